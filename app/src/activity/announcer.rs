//! What a screen reader hears of running work: the start, each quarter and the end, once in each tab. The end of every job is
//! said, also where the person wants no notice of it, or has it in another tab.

use super::{
    Activity, job_title,
    notices::outcome,
    spoken::{Sentences, Spoken},
};
use crate::components::Tone;
use crate::effect::effect_after;
use crate::stores::Stores;
use crate::view;
use domain::{Job, JobId, JobStatus};
use leptos::prelude::*;
use litemap::LiteMap;

/// Quarters that were said of each job.
type Said = LiteMap<JobId, u8>;

/// An attempt of a job, whose end is said once.
type Ended = (JobId, u32);

/// So many ends are known to be said.
const REMEMBERED: usize = 50;

#[component]
pub fn Announcer() -> impl IntoView {
    let stores = Stores::expect();
    let Activity { jobs, .. } = Activity::expect();
    let politely = Sentences::new();
    effect_after(move |before: Option<Said>| {
        let is_first = before.is_none();
        let mut said = before.unwrap_or_default();
        let ids = jobs.get();
        let mut fresh = vec![];
        for id in &ids {
            stores.job(*id).with(|job| fresh.extend(job.as_ref().and_then(|job| news(job, &mut said))));
        }
        if !is_first {
            politely.say(fresh);
        }
        said.into_iter().filter(|(id, _)| ids.contains(id)).collect()
    });
    let at_once = Sentences::new();
    let ends = RwSignal::from(stores.ends());
    effect_after(move |before: Option<Vec<Ended>>| {
        let mut said = before.unwrap_or_default();
        if ends.with(Vec::is_empty) {
            return said;
        }
        for job in ends.try_update(std::mem::take).unwrap_or_default() {
            if let Some((tone, text)) = end(&job, &mut said) {
                let region = if tone == Tone::Failed { at_once } else { politely };
                region.say(vec![text]);
            }
        }
        said
    });
    view! {
        <Spoken sentences=politely attr:data-said="" />
        <Spoken sentences=at_once at_once=true attr:data-said-at-once="" />
    }
}

/// What is new about a job, if it is to be said.
fn news(job: &Job, said: &mut Said) -> Option<String> {
    if job.status != JobStatus::Running {
        return None;
    }
    // A sum of shares may fall short of its quarter by its last bit.
    let quarter = ((job.progress + 1e-6).clamp(0.0, 99.0) / 25.0) as u8;
    match said.insert(job.job_id, quarter) {
        None => Some(format!("{} has started.", job_title(job))),
        Some(before) if before < quarter => Some(format!("{}: {} percent.", job_title(job), quarter * 25)),
        Some(before) => {
            // A step back is none: it was said.
            said.insert(job.job_id, before.max(quarter));
            None
        }
    }
}

/// How a job ended, unless that was said.
fn end(job: &Job, said: &mut Vec<Ended>) -> Option<(Tone, String)> {
    let (tone, how) = match job.status {
        JobStatus::Cancelled => (Tone::Warning, "cancelled".to_owned()),
        _ => outcome(job)?,
    };
    let ended = (job.job_id, job.attempt);
    if said.contains(&ended) {
        return None;
    }
    said.push(ended);
    said.drain(..said.len().saturating_sub(REMEMBERED));
    Some((tone, format!("{}: {how}.", job_title(job))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::job;

    #[test]
    fn the_start_and_each_quarter_are_said_once() {
        let mut said = Said::new();
        let mut heard = vec![];
        for progress in [0.0, 3.0, 24.9, 24.999_999_999, 26.0, 24.0, 51.0, 76.0, 99.9, 100.0] {
            let mut job = job(1, 5, JobStatus::Running);
            job.progress = progress;
            job.metrics.documents_total = 2;
            heard.extend(news(&job, &mut said));
        }
        let of = |end: &str| format!("Upload of 2 files{end}");
        assert_eq!(
            heard,
            [of(" has started."), of(": 25 percent."), of(": 50 percent."), of(": 75 percent.")]
        );
    }

    #[test]
    fn every_end_of_an_attempt_is_said_once_also_one_that_somebody_asked_for() {
        let mut said = vec![];
        let ended = |n, attempt, status| {
            let mut job = job(n, 5, status);
            (job.attempt, job.metrics.documents_total) = (attempt, 2);
            job.error = (status == JobStatus::Failed).then(|| "The page is torn.".to_owned());
            job
        };
        let mut heard = |job: &Job| end(job, &mut said);
        let of = |tone, end: &str| Some((tone, format!("Upload of 2 files{end}")));
        assert_eq!(heard(&ended(1, 1, JobStatus::Completed)), of(Tone::Done, ": done."));
        assert_eq!(heard(&ended(1, 1, JobStatus::Completed)), None);
        assert_eq!(heard(&ended(2, 1, JobStatus::Failed)), of(Tone::Failed, ": The page is torn."));
        assert_eq!(heard(&ended(3, 1, JobStatus::Cancelled)), of(Tone::Warning, ": cancelled."));
        assert_eq!(heard(&ended(2, 2, JobStatus::Completed)), of(Tone::Done, ": done."));
        assert_eq!(heard(&ended(4, 1, JobStatus::Running)), None);
    }
}
