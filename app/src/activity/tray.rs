//! The tray: a quiet number in the top bar while something runs, and a line a job. It works without a script, and never
//! closes by itself. While a mouse is over the lines none of them moves away from under it.

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
    let stores = Stores::expect();
    let active = RwSignal::from(stores.active());
    let number = Memo::new(move |_| active.with(Vec::len));
    let pointed = RwSignal::new(false);
    let lines = Memo::new(move |before: Option<&Vec<JobId>>| {
        let known = |id: &JobId| stores.job(*id).with(Option::is_some);
        lines(before.filter(|_| pointed.get()), active.get(), known)
    });
    let is_busy = Memo::new(move |_| number.get() > 0);
    view! {
        <details class="tray" hidden=move || !is_busy.get()>
            <summary class="tray-count" title="What goes on" data-jobs=move || number.get()>
                <Icon name=IconName::Activity />
                <span>{move || number.get()}</span>
                <span class="sr-only">{move || format!("{} under way", count(number.get() as u64, "job", "jobs"))}</span>
            </summary>
            <div
                class="tray-panel"
                role="group"
                aria-label="Jobs under way"
                on:pointerenter=move |ev| pointed.set(ev.pointer_type() == "mouse")
                on:pointerleave=move |_| pointed.set(false)
            >
                <Each
                    each=move || lines.get()
                    key=|id: &JobId| id.uuid().as_u128()
                    show=|id| view! { <Line id /> }
                />
            </div>
        </details>
    }
}

/// The jobs to show. While somebody points at those that were there `before`, one that ends among them stays for so long:
/// its line would be taken by that of another, whose button is pressed instead. Nothing stays when nothing is under way.
fn lines(before: Option<&Vec<JobId>>, active: Vec<JobId>, is_known: impl Fn(&JobId) -> bool) -> Vec<JobId> {
    let Some(before) = before.filter(|_| !active.is_empty()) else { return active };
    let stays = |id: &JobId| active.contains(id) || is_known(id);
    let mut all: Vec<JobId> = before.iter().copied().filter(stays).collect();
    all.extend(active.iter().filter(|id| !before.contains(id)));
    all
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
    use crate::samples::{id, job};

    #[test]
    fn a_line_that_somebody_points_at_stays_until_the_pointer_leaves_or_nothing_is_under_way() {
        let ids = |ns: &[u64]| ns.iter().map(|n| id(*n)).collect::<Vec<JobId>>();
        let before = ids(&[1, 2, 3]);
        let shown = |before, active: &[u64]| lines(before, ids(active), |_| true);
        assert_eq!(shown(Some(&before), &[2, 3, 4]), ids(&[1, 2, 3, 4]));
        assert_eq!(shown(None, &[2, 3, 4]), ids(&[2, 3, 4]));
        assert_eq!(shown(Some(&before), &[]), ids(&[]));
        // All was read anew, and nobody knows any more what became of it.
        assert_eq!(lines(Some(&before), ids(&[3]), |id| *id != before[0]), ids(&[2, 3]));
    }

    #[test]
    fn large_numbers_have_their_separators() {
        let mut job = job(1, 5, JobStatus::Running);
        (job.metrics.documents_done, job.metrics.documents_total) = (1_200, 10_000);
        (job.metrics.documents_failed, job.eta_seconds) = (1_000, Some(61));
        assert_eq!(line(&job), "1,200 of 10,000 done · 1,000 failed · about 2 min left");
    }
}
