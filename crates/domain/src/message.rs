//! The sentences that people read while a document is worked on. One place, so that another language is another copy
//! of this file's table; no model is needed. Where one is there, it words the steps that the table does not know.

use crate::step::Step;
use serde::{Deserialize, Serialize};

/// What is known when the sentence is made. A fact that is missing makes the sentence plainer, never wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub filename: Option<String>,
    pub pages: Option<u64>,
    pub chunks: Option<u64>,
    /// Chunks embedded so far.
    pub done: Option<u64>,
    pub columns: Option<u64>,
    pub rows: Option<u64>,
    pub new_rows: Option<u64>,
    pub existing_rows: Option<u64>,
    /// 0–1.
    pub similarity: Option<f64>,
    pub kind: Option<String>,
    pub reason: Option<String>,
    /// What a model said of a step that this file does not know. [`FILE`] stands where the name of the file belongs.
    pub sentence: Option<String>,
}

/// In a sentence that serves for every file: where the name of the file belongs.
pub const FILE: &str = "{file}";

impl Facts {
    pub fn file(name: &str) -> Self {
        Self { filename: Some(name.to_owned()), ..Self::default() }
    }
}

/// A number with separators: 12,345.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// "1 page", "2 pages", "1,200 pages".
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// A time to wait: "42 seconds", "1 minute", "3 hours"; rounded up.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..=90 => count(seconds, "second", "seconds"),
        91..=5_400 => count(seconds.div_ceil(60), "minute", "minutes"),
        _ => count(seconds.div_ceil(3_600), "hour", "hours"),
    }
}

/// The sentence for a step.
pub fn friendly(step: &Step, facts: &Facts) -> String {
    let file = facts.filename.as_deref();
    let this = file.unwrap_or("this file");
    match step {
        Step::Validating => format!("Checking {this}…"),
        Step::ExtractingText => match facts.pages {
            Some(n) => format!("Reading {}…", count(n, "page", "pages")),
            None => format!("Reading the text of {}…", file.unwrap_or("your file")),
        },
        Step::ChunkingText | Step::ProcessingContent => match facts.chunks {
            Some(n) => format!("Split the text into {}", count(n, "chunk", "chunks")),
            None => "Splitting the text into chunks…".into(),
        },
        Step::CreatingEmbeddings => match (facts.done, facts.chunks) {
            (Some(done), Some(all)) => {
                format!("Creating embeddings: {} of {}…", number(done), count(all, "chunk", "chunks"))
            }
            (None, Some(all)) => format!("Creating embeddings for {}…", count(all, "chunk", "chunks")),
            _ => "Creating embeddings…".into(),
        },
        Step::StoringMetadata => "Storing the index…".into(),
        Step::Finished => match facts.chunks {
            Some(n) => format!("Done: {} ready to search", count(n, "chunk", "chunks")),
            None => "Done".into(),
        },
        Step::Initializing => "Getting ready…".into(),
        Step::Crawling => match facts.pages {
            Some(n) => format!("Reading the site: {} so far…", count(n, "page", "pages")),
            None => "Reading the site…".into(),
        },
        Step::RetrievingContext => "Looking for passages that answer your question…".into(),
        Step::SelectingModel => "Choosing a model…".into(),
        Step::GeneratingResponse => "Writing the answer…".into(),
        Step::StoringResponse => "Saving the answer…".into(),
        Step::InitializingStreaming => format!("Getting ready to read {}…", file.unwrap_or("your file")),
        Step::DuplicateCheck => format!("Checking if I've seen {this} before…"),
        Step::FieldDetection => match facts.columns {
            Some(n) => format!("Found {} in your data", count(n, "column", "columns")),
            None => "Analyzing the structure of your data…".into(),
        },
        Step::PlatformDetection => "Figuring out where this data came from…".into(),
        Step::DocumentClassification => match &facts.kind {
            Some(kind) => format!("This looks like {kind}"),
            None => "Understanding what type of document this is…".into(),
        },
        Step::StartingTransaction => "Setting up secure storage for your data…".into(),
        Step::Storing => format!("Saving the details of {}…", file.unwrap_or("your file")),
        Step::Extracting => match facts.rows {
            Some(n) => format!("Reading through {}…", count(n, "row", "rows")),
            None => "Reading through your data…".into(),
        },
        Step::ProcessingDecision => "Processing your request…".into(),
        Step::DuplicateFound => "Found an exact match: I've processed this before".into(),
        Step::NearDuplicateFound => match facts.similarity {
            Some(s) => {
                let percent = percent(s);
                let article = if percent == 8 || percent == 11 || percent == 18 || percent / 10 == 8 {
                    "an"
                } else {
                    "a"
                };
                format!("Found {article} {percent} % match with something I processed earlier")
            }
            None => "Found a similar file: let me compare them".into(),
        },
        Step::ContentDuplicateFound => "This data overlaps with something I already have".into(),
        Step::DeltaAnalysisComplete => match (facts.new_rows, facts.existing_rows) {
            (Some(new), Some(old)) => format!(
                "Spotted the differences: {}, {} I already know",
                count(new, "new row", "new rows"),
                number(old)
            ),
            _ => "Spotted the differences in your data".into(),
        },
        Step::EntityResolution => "Matching entities across your data…".into(),
        Step::Classification => "Categorizing what I found…".into(),
        Step::Enrichment => "Adding context to your data…".into(),
        Step::Complete => match file {
            Some(name) => format!("Done! {name} is ready"),
            None => "Done! I've processed your file successfully".into(),
        },
        Step::Error => match &facts.reason {
            Some(reason) => reason.clone(),
            None => "Something went wrong with this file".into(),
        },
        Step::Other(name) => match &facts.sentence {
            Some(sentence) => sentence.replace(FILE, this),
            None => readable(name),
        },
    }
}

fn percent(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 100.0).round() as u64
}

/// `reticulating_splines` → "Reticulating splines…"; never blank.
fn readable(name: &str) -> String {
    let words =
        name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => format!("{}{}…", first.to_uppercase(), chars.as_str()),
        None => "Working…".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_is_ever_blank() {
        for step in Step::KNOWN {
            assert!(!friendly(step, &Facts::default()).trim().is_empty(), "{step}");
            assert!(!friendly(step, &Facts::file("expenses.csv")).trim().is_empty(), "{step}");
        }
        assert_eq!(friendly(&Step::Other("__".into()), &Facts::default()), "Working…");
    }

    #[test]
    fn facts_make_the_sentence_richer() {
        assert_eq!(
            friendly(&Step::DuplicateCheck, &Facts::file("expenses.csv")),
            "Checking if I've seen expenses.csv before…"
        );
        let delta = Facts { new_rows: Some(42), existing_rows: Some(1_156), ..Facts::default() };
        assert_eq!(
            friendly(&Step::DeltaAnalysisComplete, &delta),
            "Spotted the differences: 42 new rows, 1,156 I already know"
        );
        let near = Facts { similarity: Some(0.87), ..Facts::default() };
        assert_eq!(
            friendly(&Step::NearDuplicateFound, &near),
            "Found an 87 % match with something I processed earlier"
        );
    }

    #[test]
    fn one_is_singular() {
        let one = Facts { chunks: Some(1), ..Facts::default() };
        assert_eq!(friendly(&Step::Finished, &one), "Done: 1 chunk ready to search");
    }

    #[test]
    fn a_foreign_step_reads_well() {
        assert_eq!(friendly(&Step::from("reticulating_splines"), &Facts::default()), "Reticulating splines…");
    }

    #[test]
    fn a_sentence_of_a_model_takes_the_place_of_the_rule_for_foreign_steps_alone() {
        let facts = Facts { sentence: Some("Untangling {file}…".into()), ..Facts::file("net.pdf") };
        assert_eq!(friendly(&Step::from("reticulating_splines"), &facts), "Untangling net.pdf…");
        let nameless = Facts { filename: None, ..facts.clone() };
        assert_eq!(friendly(&Step::from("reticulating_splines"), &nameless), "Untangling this file…");
        assert_eq!(friendly(&Step::Validating, &facts), "Checking net.pdf…");
    }

    #[test]
    fn a_time_to_wait_is_rounded_up_to_a_plain_unit() {
        assert_eq!(
            [1, 60, 91, 3_000, 5_401, 86_400].map(duration),
            ["1 second", "60 seconds", "2 minutes", "50 minutes", "2 hours", "24 hours"].map(String::from)
        );
    }

    #[test]
    fn numbers_have_separators() {
        assert_eq!(
            [0, 12, 999, 1_000, 1_234_567].map(number),
            ["0", "12", "999", "1,000", "1,234,567"].map(String::from)
        );
    }
}
