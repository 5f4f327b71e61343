//! What a screen reader hears of running work: the start, and each quarter, once. The end is said by the notices.

use super::{Activity, job_title};
use crate::effect::effect_after;
use crate::stores::Stores;
use crate::view;
use domain::{Job, JobId, JobStatus};
use leptos::prelude::*;
use litemap::LiteMap;

/// Quarters that were said of each job.
type Said = LiteMap<JobId, u8>;

#[component]
pub fn Announcer() -> impl IntoView {
    let stores = Stores::expect();
    let Activity { jobs, .. } = Activity::expect();
    let words = RwSignal::new(String::new());
    effect_after(move |before: Option<Said>| {
        let is_first = before.is_none();
        let mut said = before.unwrap_or_default();
        let ids = jobs.get();
        for id in &ids {
            stores.job(*id).with(|job| {
                if let Some(text) = job.as_ref().and_then(|job| news(job, &mut said)).filter(|_| !is_first) {
                    words.set(text);
                }
            });
        }
        said.into_iter().filter(|(id, _)| ids.contains(id)).collect()
    });
    view! {
        <p class="sr-only" role="status" aria-live="polite" data-said="">
            {move || words.get()}
        </p>
    }
}

/// What is new about a job, if it is to be said.
fn news(job: &Job, said: &mut Said) -> Option<String> {
    if job.status != JobStatus::Running {
        return None;
    }
    let quarter = (job.progress.clamp(0.0, 99.0) / 25.0) as u8;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::job;

    #[test]
    fn the_start_and_each_quarter_are_said_once() {
        let mut said = Said::new();
        let mut heard = vec![];
        for progress in [0.0, 3.0, 24.9, 25.0, 26.0, 24.0, 51.0, 76.0, 99.9, 100.0] {
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
}
