//! Sentences for the steps that the catalogue does not know, by a language model where there is one. Each step is asked
//! about once, apart from the work; until then, and whenever the model has nothing usable to say, the rule of
//! `domain::message` speaks.

use crate::{
    Services,
    ports::{Asked, Sentences, Signal, StoreError, Wordsmith, heard},
};
use domain::message::FILE;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Steps that are ever asked about: names come from outside, and each costs a request.
const MOST_STEPS: u32 = 1_000;
/// Documents that say a new sentence in one go.
const AT_ONCE: u32 = 100;
/// Between two looks for steps whose time has come; a new one is told at once.
const LOOK: Duration = Duration::from_secs(5);
/// Before the second try, in seconds; it doubles up to the longest.
const PAUSE: u32 = 60;
const LONGEST_PAUSE: u32 = 6 * 3_600;
/// Longest sentence, in characters.
const LONGEST: usize = 120;

/// Who words steps, and what was asked for already.
pub struct Wording {
    sentences: Arc<dyn Sentences>,
    model: Option<Arc<dyn Wordsmith>>,
    /// The model may be told the name of a file.
    names_files: bool,
    /// Steps that this process noted: a worker reports the same ones again and again.
    noted: Mutex<BTreeSet<String>>,
}

impl Wording {
    pub fn new(sentences: Arc<dyn Sentences>, model: Option<Arc<dyn Wordsmith>>, names_files: bool) -> Self {
        Self { sentences, model, names_files, noted: Mutex::default() }
    }

    /// Whether the step has yet to be noted.
    fn is_new(&self, step: &str) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.len() < MOST_STEPS as usize && noted.insert(step.to_owned())
    }

    fn forget(&self, step: &str) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(step);
    }
}

/// Seconds before a step is asked about again.
fn pause(tries: u32) -> u32 {
    PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE)
}

/// What can be shown of an answer: one plain line. `{file}` may stand in it once.
fn usable(answer: &str, step: &str, filename: Option<&str>) -> Option<String> {
    let mut line = answer.trim();
    for (open, close) in [('"', '"'), ('“', '”'), ('\'', '\'')] {
        line = line.strip_prefix(open).and_then(|l| l.strip_suffix(close)).unwrap_or(line).trim();
    }
    let plain = line.replacen(FILE, "", 1);
    let is_short = (1..=LONGEST).contains(&line.chars().count());
    let has_words = plain.chars().any(char::is_alphabetic);
    // Markup, addresses, what is not to be seen, and what turns the direction of a line.
    let is_odd = |c: char| {
        c.is_control()
            || "<>[]{}*_`#|\\@=~^".contains(c)
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let has_address = plain.contains("://") || plain.to_lowercase().contains("www.");
    if !is_short || !has_words || plain.contains(is_odd) || has_address {
        return None;
    }
    (!tells_of(&plain, step, filename.unwrap_or_default())).then(|| line.to_owned())
}

/// Whether it repeats a word of one person's file, which everybody would read.
fn tells_of(sentence: &str, step: &str, filename: &str) -> bool {
    let words = |text: &str| -> BTreeSet<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.chars().count() > 2);
        parts.map(str::to_lowercase).collect()
    };
    let (said, known) = (words(sentence), words(step));
    // What kind of file it is, may be said.
    let name = filename.rsplit_once('.').map_or(filename, |(name, _)| name);
    words(name).iter().any(|word| said.contains(word) && !known.contains(word))
}

impl Services {
    /// Notes that a step has no sentence of its own. Never a reason for a report to fail.
    pub(crate) async fn want_sentence(&self, step: &str) {
        let wording = &self.wording;
        if wording.model.is_none() || !wording.is_new(step) {
            return;
        }
        match wording.sentences.want_sentence(step, MOST_STEPS, self.clock.now()).await {
            Ok(()) => self.bus.publish(Signal::WorkReady),
            Err(error) => {
                wording.forget(step);
                tracing::warn!(%error, step, "a sentence for the step will be wanted at its next report");
            }
        }
    }

    /// Asks about one step whose time has come. Answers whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn word_a_step(&self) -> Result<bool, StoreError> {
        let wording = &self.wording;
        let Some(model) = &wording.model else { return Ok(false) };
        let Some(Asked { step, tries }) = wording.sentences.take_wordless(self.clock.now(), pause).await?
        else {
            return Ok(false);
        };
        let filename = match wording.names_files {
            true => wording.sentences.file_in_step(&step).await?,
            false => None,
        };
        let answer = match model.sentence(&step, filename.as_deref()).await {
            Ok(answer) => answer,
            Err(reason) => {
                tracing::warn!(%reason, step, tries, "there is no sentence for the step yet");
                return Ok(true);
            }
        };
        let Some(sentence) = usable(&answer, &step, filename.as_deref()) else {
            tracing::warn!(step, tries, "what the model says of the step cannot be shown");
            return Ok(true);
        };
        wording.sentences.keep_sentence(&step, &sentence).await?;
        while wording.sentences.reword_step(&step, &sentence, AT_ONCE, self.clock.now()).await? > 0 {}
        Ok(true)
    }

    /// Asks for as long as the future is polled, about one step at a time. Without a model there is nothing to do.
    pub async fn run_wordsmith(self) {
        if self.wording.model.is_none() {
            return;
        }
        let mut bus = self.bus.subscribe();
        loop {
            match self.word_a_step().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "steps will be worded later"),
            }
            let wake = heard(&mut bus, |signal| matches!(signal, Signal::WorkReady));
            let _ = tokio::time::timeout(LOOK, wake).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_line_is_shown_as_it_is() {
        for (answer, shown) in [
            ("Untangling the curves of your drawing…", "Untangling the curves of your drawing…"),
            ("  \"Untangling the curves…\"\n", "Untangling the curves…"),
            ("“Untangling {file}…”", "Untangling {file}…"),
            ("Je démêle les courbes…", "Je démêle les courbes…"),
        ] {
            assert_eq!(usable(answer, "reticulating_splines", None).as_deref(), Some(shown));
        }
    }

    #[test]
    fn what_is_no_plain_short_line_is_refused() {
        let long = "Untangling ".repeat(12);
        for answer in [
            "",
            "   ",
            "…",
            "{file}",
            "Untangling…\nThen sorting…",
            "Untangling\tcurves",
            "<b>Untangling</b>",
            "**Untangling** the curves",
            "[Untangling](x)",
            "See https://example.org now",
            "See www.example.org",
            "Untangling {file} and {file}",
            "Untangling {name}",
            "reticulating_splines",
            "Untangling\u{202e}sevruc",
            long.as_str(),
        ] {
            assert_eq!(usable(answer, "reticulating_splines", None), None, "{answer}");
        }
    }

    #[test]
    fn a_sentence_that_everybody_reads_repeats_no_word_of_one_file() {
        let file = Some("Salaries_Ada-2026.xlsx");
        assert_eq!(usable("Reading the salaries of your team…", "sum_up", file), None);
        assert_eq!(usable("Adding up ADA's figures…", "sum_up", file), None);
        assert!(usable("Adding up the figures of {file}…", "sum_up", file).is_some());
        // A word that the step brings itself tells nothing.
        assert!(usable("Adding up the salaries…", "sum_salaries", file).is_some());
    }

    #[test]
    fn the_pause_grows_from_a_minute_to_six_hours() {
        let pauses: Vec<u32> = [0, 1, 2, 8, 9, 40].map(pause).to_vec();
        assert_eq!(pauses, [60, 120, 240, 15_360, 21_600, 21_600]);
    }
}
