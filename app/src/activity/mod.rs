//! What goes on, wherever the person is: the tray in the top bar, the progress in the browser's tab, the notices when
//! something ended, and what a screen reader hears of it.

mod announcer;
mod controls;
pub mod desktop;
mod notices;
mod spoken;
mod tab;
mod tray;

use crate::{live::Live, stores::Stores};
use domain::{Job, JobId, JobKind, JobStatus, message::count, shown::Shown};
use leptos::prelude::*;

pub use announcer::Announcer;
pub use controls::Controls;
pub use notices::Notices;
pub use spoken::{Sentences, Spoken};
#[cfg(not(feature = "ssr"))]
pub use tab::titled;
pub use tray::Tray;

/// The jobs that have not ended, and how far they are together.
#[derive(Clone, Copy)]
pub struct Activity {
    jobs: RwSignal<Vec<JobId>>,
    /// Of the running jobs, whole percents; `None` while none runs, or while nobody can know.
    #[cfg_attr(
        feature = "ssr",
        expect(dead_code, reason = "only the browser's half changes the title of the tab")
    )]
    percent: Memo<Option<u8>>,
}

impl Activity {
    pub fn provide(stores: Stores, live: Live) {
        let jobs = RwSignal::from(stores.active());
        let is_open = live.is_open();
        let percent = Memo::new(move |_| {
            if !is_open.get() {
                return None;
            }
            let running: Vec<f64> = jobs.with(|ids| {
                let of = |id: &JobId| stores.job(*id).with(|job| running(stores, job.as_ref()));
                ids.iter().filter_map(of).collect()
            });
            let all = running.iter().sum::<f64>();
            (!running.is_empty()).then(|| (all / running.len() as f64).floor().clamp(0.0, 100.0) as u8)
        });
        provide_context(Self { jobs, percent });
        tab::keep(percent);
    }

    fn expect() -> Self {
        expect_context()
    }
}

fn running(stores: Stores, job: Option<&Job>) -> Option<f64> {
    let job = job.filter(|job| job.status == JobStatus::Running && job.halted.is_none())?;
    (!is_doomed(stores, job)).then_some(job.progress)
}

/// Whether the workspace of a job is being deleted, or was: nothing of it is worked on then, whatever its row says.
pub fn is_doomed(stores: Stores, job: &Job) -> bool {
    job.kind != JobKind::Delete && stores.is_workspace_doomed(job.kb_id)
}

/// What the badge of a job shows as things are now.
pub fn shown_now(stores: Stores, job: &Job) -> Shown {
    let shown = Shown::of_job(job);
    if is_doomed(stores, job) { shown.in_doomed_workspace() } else { shown }
}

/// What the badge of a job shows, followed live.
pub fn job_shown(job: RwSignal<Option<Job>>) -> Memo<Shown> {
    let stores = Stores::expect();
    Memo::new(move |_| {
        job.with(|job| match job {
            Some(job) => shown_now(stores, job),
            None => Shown::Pending { behind: None },
        })
    })
}

/// A job without its pace and what is left, where `known` is false: while what is on screen may be old, nobody knows them.
pub fn at_present(job: &Job, known: bool) -> Job {
    let mut job = job.clone();
    if !known {
        (job.rate, job.eta_seconds) = (None, None);
        for phase in &mut job.phase_details {
            (phase.rate, phase.eta_seconds) = (None, None);
        }
    }
    job
}

/// A site as people name it: without the scheme, and not longer than a title may be.
fn site(url: &str) -> String {
    const LONGEST: usize = 60;
    let name = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What a job does: "Upload of 4 files".
pub fn job_title(job: &Job) -> String {
    let files = count(job.metrics.documents_total, "file", "files");
    match job.kind {
        JobKind::Upload => format!("Upload of {files}"),
        JobKind::Crawl => match &job.crawl {
            Some(crawl) => format!("Crawl of {}", site(&crawl.url)),
            None => "Crawl".into(),
        },
        JobKind::Reindex => format!("Indexing {files} anew"),
        JobKind::Delete => {
            format!("Deleting {}", count(job.metrics.documents_total, "document", "documents"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{job, workspace};
    use domain::{Event, Workspace, WorkspaceStatus, event::WorkspaceDeleted};

    #[test]
    fn in_a_workspace_that_is_being_deleted_only_the_job_that_deletes_is_worked_on() {
        Owner::new().with(|| {
            let stores = Stores::new();
            provide_context(stores);
            let upload = Job { progress: 40.0, ..job(1, 5, JobStatus::Running) };
            let deletes = Job { kind: JobKind::Delete, ..job(2, 5, JobStatus::Running) };
            for job in [&upload, &deletes] {
                stores.apply(Event::JobUpdate(job.clone()));
            }
            let shown = |job: &Job| job_shown(RwSignal::from(stores.job(job.job_id)));
            let (one, other) = (shown(&upload), shown(&deletes));
            assert_eq!(one.get_untracked(), Shown::Processing { percent: 40.0 });
            assert_eq!(running(stores, Some(&upload)), Some(40.0));
            stores.apply(Event::WorkspaceStatus(Workspace {
                status: WorkspaceStatus::Deleting,
                ..workspace(1, 6)
            }));
            assert_eq!(one.get_untracked(), Shown::Deleting);
            assert_eq!(other.get_untracked(), Shown::Processing { percent: 0.0 });
            assert_eq!(running(stores, Some(&upload)), None);
            // Nothing of it is worked on once it is gone, either.
            stores.apply(Event::WorkspaceDeleted(WorkspaceDeleted { id: upload.kb_id, rev: 7 }));
            assert_eq!(one.get_untracked(), Shown::Deleting);
            assert_eq!(running(stores, Some(&upload)), None);
        });
    }
}
