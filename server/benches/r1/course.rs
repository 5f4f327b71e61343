//! One course: a job is begun, steered and disturbed as a seed says, and in the end held against an undisturbed run.

use crate::{
    audit::{self, Calm, Known, Upload},
    files::BROKEN,
    place::{Answer, Place},
};
use measure::{Failure, dice::Dice};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A job of which nothing is heard for so long is stuck.
const STUCK: Duration = Duration::from_secs(10);
/// The server waits up to so long before it tries a document again whose model did not answer.
const PUT_OFF: Duration = Duration::from_secs(15);
/// A whole job may take so long after the last disturbance.
const END: Duration = Duration::from_secs(120);
/// What was asked for is done by then.
const DONE: Duration = Duration::from_secs(10);
const RETRIES: usize = 8;

/// How often something was asked for and taken.
pub type Tally = BTreeMap<&'static str, u64>;

/// What was asked of the whole job last, as far as the answers tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Unsure,
    Paused,
    Cancelled { keep: bool },
}

struct Course<'a> {
    place: &'a mut Place,
    dice: Dice,
    upload: Upload,
    wanted: Wanted,
    tally: &'a mut Tally,
}

/// Goes one course.
///
/// # Errors
/// When something does not hold.
pub async fn go(
    place: &mut Place,
    seed: u64,
    files: &[(String, Vec<u8>)],
    calm: &Calm,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut dice = Dice::new(seed);
    place.set_out(seed);
    let upload = begin(place, seed, &mut dice, files).await?;
    let mut course = Course { place, dice, upload, wanted: Wanted::Unsure, tally };
    for _ in 0..3 + course.dice.below(5) {
        course.step().await?;
    }
    course.honoured().await?;
    course.comes_to_an_end().await?;
    let removed = course.wanted == Wanted::Cancelled { keep: false };
    audit::check(course.place, &course.upload, calm, Known { removed, whole: false }).await?;
    if course.dice.below(4) > 0 {
        course.made_whole().await?;
        audit::check(course.place, &course.upload, calm, Known { removed: false, whole: true }).await?;
    }
    Ok(())
}

/// Uploads some of the files; in some courses the server is killed meanwhile, and who uploads tries again.
async fn begin(
    place: &mut Place,
    seed: u64,
    dice: &mut Dice,
    files: &[(String, Vec<u8>)],
) -> Result<Upload, Failure> {
    let mut chosen: Vec<_> = files.iter().filter(|(name, _)| name != BROKEN).cloned().collect();
    while chosen.len() > 3 {
        chosen.remove(dice.below(chosen.len() as u64) as usize);
    }
    if dice.below(4) == 0 {
        chosen.extend(files.iter().filter(|(name, _)| name == BROKEN).cloned());
    }
    let key = format!("course-{seed}");
    place.new_workspace(&key).await?;
    let kill = (dice.below(5) == 0).then(|| Duration::from_millis(dice.below(120)));
    let first = place.upload(&key, &chosen, kill).await?.map(|answer| Upload::of(&answer)).transpose()?;
    if kill.is_none() {
        return first.ok_or_else(|| "an upload came to nothing".into());
    }
    place.start().await?;
    let again = place.upload(&key, &chosen, None).await?.ok_or("an upload came to nothing")?;
    let again = Upload::of(&again)?;
    match first {
        Some(first) if first.job != again.job => Err("an upload was made twice under one key".into()),
        _ => Ok(again),
    }
}

impl Course<'_> {
    async fn step(&mut self) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_millis(self.dice.below(250))).await;
        match self.dice.below(10) {
            0..=2 => {
                self.place.kill();
                self.place.start().await
            }
            3..=8 => {
                let (path, what, body) = self.command();
                let answer = self.place.command(&path, &body).await?;
                self.note(what, &path, &body, &answer)
            }
            _ => {
                let (path, what, body) = self.command();
                let after = Duration::from_micros(self.dice.below(20_000));
                let answer = self.place.command_and_kill(&path, &body, after).await?;
                self.note(what, &path, &body, &answer)?;
                self.place.start().await
            }
        }
    }

    /// A command of the job, or of one of its documents: its path, its name and its body.
    fn command(&mut self) -> (String, &'static str, Value) {
        const COMMANDS: [&str; 8] =
            ["pause", "pause", "resume", "resume", "cancel", "retry", "retry", "skip-embedding"];
        let what = *self.dice.one_of(&COMMANDS);
        let of_document = self.dice.below(3) == 0;
        let at = match of_document {
            true => format!("/api/documents/{}", self.dice.one_of(&self.upload.documents).0),
            false => self.upload.path(),
        };
        let body = match what {
            "cancel" => json!({ "keep_results": self.dice.below(2) == 0 }),
            "retry" if !of_document => match self.dice.below(4) {
                0 => json!({ "scope": "all" }),
                1 => json!({ "scope": "phase", "phase": "embedding" }),
                2 => {
                    json!({ "scope": "documents", "document_ids": [self.dice.one_of(&self.upload.documents).0] })
                }
                _ => json!({}),
            },
            _ => json!({}),
        };
        (format!("{at}/{what}"), what, body)
    }

    fn note(&mut self, what: &'static str, path: &str, body: &Value, answer: &Answer) -> Result<(), Failure> {
        match answer {
            Answer::Taken => *self.tally.entry(what).or_default() += 1,
            // It says what would be possible, or why nothing is.
            Answer::Refused(problem) if problem["code"].is_string() => return Ok(()),
            Answer::Refused(problem) => return Err(format!("a refusal without a reason: {problem}").into()),
            Answer::Unknown => {}
        }
        let of_job = path.starts_with("/api/jobs/");
        self.wanted = match (what, answer) {
            ("pause", Answer::Taken) if of_job => Wanted::Paused,
            ("cancel", Answer::Taken) if of_job => Wanted::Cancelled { keep: body["keep_results"] != false },
            _ => Wanted::Unsure,
        };
        Ok(())
    }

    /// What was asked for and taken comes about, whatever happened since.
    async fn honoured(&self) -> Result<(), Failure> {
        let (what, status) = match self.wanted {
            Wanted::Unsure => return Ok(()),
            Wanted::Paused => ("a job that was to pause stands", "paused"),
            Wanted::Cancelled { .. } => ("a job that was to be cancelled is", "cancelled"),
        };
        let path = self.upload.path();
        self.place
            .until(what, DONE * self.place.slack, async |place| {
                let job = place.read(&path).await?;
                // What had nothing left to do when the pause came has ended instead.
                let ended = self.wanted == Wanted::Paused && job["status"] == "completed";
                Ok((job["status"] == status || ended).then_some(()))
            })
            .await
    }

    /// Goes on with what was paused, and waits for the end; it has to move all the time.
    async fn comes_to_an_end(&self) -> Result<(), Failure> {
        let (path, began) = (self.upload.path(), Instant::now());
        let (mut rev, mut moved) = (Value::Null, began);
        loop {
            let job = self.place.read(&path).await?;
            match job["status"].as_str() {
                Some("completed" | "failed" | "cancelled") => return Ok(()),
                Some("paused") => {
                    let resume = format!("{path}/resume");
                    self.place.command(&resume, &json!({})).await?;
                }
                _ => {}
            }
            if rev != job["rev"] {
                (rev, moved) = (job["rev"].clone(), Instant::now());
            }
            let patience = if self.waits_for_the_model().await? { PUT_OFF } else { STUCK };
            let slack = self.place.slack;
            if moved.elapsed() > patience * slack || began.elapsed() > END * slack {
                let still = moved.elapsed();
                return Err(format!(
                    "stuck for {still:.1?}, {:.1?} after the last disturbance: {job}",
                    began.elapsed()
                )
                .into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn waits_for_the_model(&self) -> Result<bool, Failure> {
        for (id, _) in &self.upload.documents {
            let document = self.place.read(&format!("/api/documents/{id}")).await?;
            let warnings = document["warnings"].as_array().ok_or("no warnings")?;
            if warnings.iter().any(|warning| warning["code"] == "retrying") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Retries until everything that can be ready is.
    async fn made_whole(&mut self) -> Result<(), Failure> {
        for _ in 0..RETRIES {
            let mut left = false;
            for (id, name) in &self.upload.documents {
                let document = self.place.read(&format!("/api/documents/{id}")).await?;
                left |= document["status"] != "ready" && name != BROKEN;
            }
            if !left {
                return Ok(());
            }
            let path = format!("{}/retry", self.upload.path());
            match self.place.command(&path, &json!({ "scope": "failed" })).await? {
                Answer::Taken => *self.tally.entry("retry").or_default() += 1,
                other => return Err(format!("what is left could not be retried: {other:?}").into()),
            }
            self.comes_to_an_end().await?;
        }
        Err(format!("something is left after {RETRIES} retries").into())
    }
}
