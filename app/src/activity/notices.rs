//! A word when a job ended, wherever the person is. Of all their tabs, in whatever browser, the first one that somebody
//! looks at says it, and no other.

use super::job_title;
use crate::{
    components::{Each, Toast, Tone},
    effect::effect,
    locks, paths,
    server_fns::shell::tell_end,
    stores::Stores,
    view,
    wire::Wire,
};
use domain::{Job, JobStatus, WorkspaceId, message::count};
use leptos::{ev, prelude::*, task::spawn_local, web_sys};
use std::time::Duration;

/// So long a good word stays; what went wrong stays until it is dismissed.
const STAYS: Duration = Duration::from_secs(10);
/// No more than these are shown at once; older ones go.
const MOST: usize = 4;
/// The browser remembers that so many ends were told.
const REMEMBERED: usize = 50;

#[derive(Clone)]
struct Notice {
    rev: u64,
    workspace: WorkspaceId,
    tone: Tone,
    text: String,
}

/// Those on screen.
type Shown = RwSignal<Vec<Notice>>;

#[component]
pub fn Notices() -> impl IntoView {
    let stores = Stores::expect();
    let ended = RwSignal::from(stores.ended());
    let shown: Shown = RwSignal::new(vec![]);
    let take = move || {
        if ended.with_untracked(Vec::is_empty) || !is_seen() {
            return;
        }
        for job in ended.try_update(std::mem::take).unwrap_or_default() {
            let Some(notice) = notice(&job) else { continue };
            once(&job, move || {
                let (rev, tone) = (notice.rev, notice.tone);
                shown.try_update(|all| {
                    all.push(notice);
                    let over = all.len().saturating_sub(MOST);
                    all.drain(..over);
                });
                if tone == Tone::Done {
                    set_timeout(move || close(shown, rev), STAYS);
                }
            });
        }
    };
    effect(move || {
        ended.track();
        take();
    });
    effect(move || {
        let seen = window_event_listener(ev::visibilitychange, move |_| take());
        on_cleanup(move || seen.remove());
    });
    view! {
        <div class="toasts">
            <Each
                each=move || shown.get().into_iter().map(|notice| (notice, shown)).collect()
                key=|(notice, _): &(Notice, Shown)| notice.rev.into()
                show=|(notice, shown)| view! { <Said notice shown /> }
            />
        </div>
    }
}

fn close(shown: Shown, rev: u64) {
    shown.try_update(|all| all.retain(|n| n.rev != rev));
}

#[component]
fn Said(notice: Notice, shown: Shown) -> impl IntoView {
    let Notice { rev, workspace, tone, text } = notice;
    view! {
        <Toast tone text on_close=Callback::new(move |()| close(shown, rev))>
            <a class="link" href=paths::workspace(workspace) on:click=move |_| close(shown, rev)>
                "Show"
            </a>
        </Toast>
    }
}

fn is_seen() -> bool {
    document().visibility_state() == web_sys::VisibilityState::Visible
}

/// Tells the end of a job if nobody has told it yet. What a tab of this browser told is remembered here, and the lock
/// decides between tabs that learn of it in the same moment; between browsers the server decides.
fn once(job: &Job, tell: impl FnOnce() + 'static) {
    let end = format!("{}/{}", job.job_id, job.attempt);
    if let Ok(Some(storage)) = window().local_storage() {
        let key = format!("insighthub-told-{}", job.user_id);
        let told = storage.get_item(&key).ok().flatten().unwrap_or_default();
        let Some(told) = told_with(&told, &end) else { return };
        // A storage that is full or forbidden costs a second notice at worst.
        let _ = storage.set_item(&key, &told);
    }
    let (id, attempt) = (job.job_id, job.attempt);
    locks::in_one_tab(&format!("insighthub-told-{end}"), move || {
        spawn_local(async move {
            // A server that cannot be asked costs a second notice at worst.
            if !matches!(tell_end(id, attempt).await, Ok(Wire(false))) {
                tell();
            }
        });
    });
}

/// The ends that were told, a line each, with one more; `None` when it is among them.
fn told_with(told: &str, end: &str) -> Option<String> {
    let mut lines: Vec<&str> = told.lines().collect();
    if lines.contains(&end) {
        return None;
    }
    lines.push(end);
    let over = lines.len().saturating_sub(REMEMBERED);
    Some(lines.split_off(over).join("\n"))
}

fn notice(job: &Job) -> Option<Notice> {
    let (tone, end) = outcome(job)?;
    Some(Notice { rev: job.rev, workspace: job.kb_id, tone, text: format!("{}: {end}.", job_title(job)) })
}

/// What is to be said about the end of a job; nothing about one that somebody cancelled, who knows it.
fn outcome(job: &Job) -> Option<(Tone, String)> {
    let failed = job.metrics.documents_failed;
    match job.status {
        JobStatus::Completed if failed == 0 => Some((Tone::Done, "done".to_owned())),
        JobStatus::Completed => {
            let read = count(job.metrics.documents_done, "file is ready", "files are ready");
            Some((Tone::Warning, format!("{read}, {failed} failed")))
        }
        JobStatus::Failed => Some((
            Tone::Failed,
            job.error.as_deref().map_or("failed", |e| e.trim_end_matches('.')).to_owned(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::job;

    fn ended(status: JobStatus, done: u64, failed: u64) -> Option<(Tone, String)> {
        let mut job = job(1, 5, status);
        (job.metrics.documents_done, job.metrics.documents_failed) = (done, failed);
        job.error = (status == JobStatus::Failed).then(|| "All 2 files failed.".to_owned());
        outcome(&job)
    }

    #[test]
    fn an_end_is_told_once_and_the_oldest_are_forgotten() {
        let mut told = String::new();
        for n in 0..60 {
            told = told_with(&told, &format!("job-{n}/1")).expect("it is new");
            assert_eq!(told_with(&told, &format!("job-{n}/1")), None);
        }
        assert_eq!(told.lines().count(), REMEMBERED);
        assert!(told_with(&told, "job-59/2").is_some(), "another attempt has another end");
        assert!(told_with(&told, "job-0/1").is_some());
    }

    #[test]
    fn an_end_says_how_it_went() {
        assert_eq!(ended(JobStatus::Completed, 4, 0), Some((Tone::Done, "done".into())));
        assert_eq!(
            ended(JobStatus::Completed, 1, 2),
            Some((Tone::Warning, "1 file is ready, 2 failed".into()))
        );
        assert_eq!(ended(JobStatus::Failed, 0, 2), Some((Tone::Failed, "All 2 files failed".into())));
        assert_eq!(ended(JobStatus::Cancelled, 0, 0), None);
        assert_eq!(ended(JobStatus::Running, 0, 0), None);
    }
}
