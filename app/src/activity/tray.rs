//! The tray: a quiet number in the top bar while something runs, and a line a job. It works without a script, and never
//! closes by itself.

use super::{Controls, at_present, job_shown, job_title};
use crate::{
    components::{Each, Icon, IconName, StatusBadge, words},
    live::Live,
    paths,
    stores::Stores,
    view,
};
use domain::{
    Job, JobId, JobStatus,
    message::{count, number},
    shown::Shown,
};
use leptos::prelude::*;

#[component]
pub fn Tray() -> impl IntoView {
    // Of the stores around it: the server renders each part of a page with its own.
    let jobs = RwSignal::from(Stores::expect().active());
    let number = Memo::new(move |_| jobs.with(Vec::len));
    let is_busy = Memo::new(move |_| number.get() > 0);
    view! {
        <details class="tray" hidden=move || !is_busy.get()>
            <summary class="tray-count" title="What goes on" data-jobs=move || number.get()>
                <Icon name=IconName::Activity />
                <span>{move || number.get()}</span>
                <span class="sr-only">{move || format!("{} under way", count(number.get() as u64, "job", "jobs"))}</span>
            </summary>
            <div class="tray-panel" role="group" aria-label="Jobs under way">
                <Each
                    each=move || jobs.get()
                    key=|id: &JobId| id.uuid().as_u128()
                    show=|id| view! { <Line id /> }
                />
            </div>
        </details>
    }
}

#[component]
fn Line(id: JobId) -> impl IntoView {
    let stores = Stores::expect();
    let job = RwSignal::from(stores.job(id));
    let is_lost = Live::expect().is_lost();
    let of = move |part: fn(&Job) -> String| job.with(|j| j.as_ref().map(part).unwrap_or_default());
    let workspace = job.with_untracked(|j| j.as_ref().map(|j| j.kb_id));
    let place = workspace.map(|id| RwSignal::from(stores.workspace(id)));
    let name = move || place.and_then(|w| w.with(|w| w.as_ref().map(|w| w.name.clone())));
    let shown = job_shown(job);
    let progress = move || job.with(|j| words::share(j.as_ref().map_or(0.0, |j| j.progress)));
    view! {
        <div class="tray-job" data-job-id=id.to_string() data-status=move || shown.with(|s| s.key())>
            <a class="trunc" href=workspace.map(paths::workspace)>
                <strong>{move || of(job_title)}</strong>
                <span class="meta">" in " {name}</span>
            </a>
            <StatusBadge shown />
            <progress class="bar" max="100" value=progress aria-label=move || of(job_title)></progress>
            <span class="meta num">
                {move || {
                    let known = !is_lost.get() && shown.with(|s| *s != Shown::Deleting);
                    job.with(|j| j.as_ref().map(|j| line(&at_present(j, known))))
                }}
            </span>
            {workspace.map(|workspace| view! { <Controls id workspace job named=true /> })}
        </div>
    }
}

/// "12 of 40 done · about 2 min left"
fn line(job: &Job) -> String {
    let (done, total) = (job.metrics.documents_done, job.metrics.documents_total);
    let mut parts = vec![format!("{} of {} done", number(done), number(total))];
    let failed = job.metrics.documents_failed + job.metrics.pages_failed;
    if failed > 0 {
        parts.push(format!("{} failed", number(failed)));
    }
    if job.status == JobStatus::Running {
        parts.extend(job.eta_seconds.map(words::time_left));
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::job;

    #[test]
    fn large_numbers_have_their_separators() {
        let mut job = job(1, 5, JobStatus::Running);
        (job.metrics.documents_done, job.metrics.documents_total) = (1_200, 10_000);
        (job.metrics.documents_failed, job.eta_seconds) = (1_000, Some(61));
        assert_eq!(line(&job), "1,200 of 10,000 done · 1,000 failed · about 2 min left");
    }
}
