//! What the page knows, live: the domain's reducer decides what an event changes, and one signal for each entity tells
//! whoever shows it. Nothing here does I/O. It belongs to the app, so it outlives every page.

mod changes;
mod known;
mod listing;
mod shelf;

pub use shelf::Watched;

use domain::{
    Document, DocumentId, DocumentStatus, Event, Export, Job, JobId, JobStatus, Timestamp, User, UserId,
    Workspace, WorkspaceId,
    chat::ConversationId,
    event::FileProgress,
    pages::{DocumentPage, JobPage, Shell, WorkspacePage},
    reducer::Store,
    resource::{Density, Theme},
};
use known::Known;
use leptos::prelude::*;
use listing::Listing;
use litemap::LiteMap;
use shelf::{Shelf, set_if_new};

/// What a document's badge needs of its job; it changes seldom, while the job's counters change all the time.
#[derive(Clone, Debug, PartialEq)]
pub struct JobState(Job);

impl JobState {
    pub fn job(&self) -> &Job {
        &self.0
    }

    fn same_as(&self, job: &Job) -> bool {
        (self.0.status, self.0.queue_position, self.0.requested, self.0.attempt)
            == (job.status, job.queue_position, job.requested, job.attempt)
    }
}

/// Something that is worth a word, wherever the person is.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A job ended.
    Ended(Job),
    /// A document gets nowhere, since just now.
    Stalled(Document),
    /// Another browser signed in to the account; `rev` is the seq of that.
    SignedIn { user: UserId, device: String, rev: u64 },
}

#[derive(Default)]
struct Inner {
    known: Store,
    documents: Shelf<DocumentId, Document>,
    steps: Shelf<DocumentId, Vec<FileProgress>>,
    workspaces: Shelf<WorkspaceId, Workspace>,
    jobs: Shelf<JobId, Job>,
    job_states: Shelf<JobId, JobState>,
    /// The job that a workspace's panel shows.
    panels: Shelf<WorkspaceId, JobId>,
    /// The jobs of workspaces whose list somebody looked at.
    job_lists: LiteMap<WorkspaceId, ArcRwSignal<Vec<(Timestamp, JobId)>>>,
    listings: LiteMap<WorkspaceId, Listing>,
    /// Seq of what was told last in workspaces whose history somebody looked at; also by the steps of their documents, or not.
    newest: LiteMap<(WorkspaceId, bool), ArcRwSignal<u64>>,
    workspace_ids: ArcRwSignal<Vec<WorkspaceId>>,
    /// Jobs that have not ended, oldest first.
    active: ArcRwSignal<Vec<JobId>>,
    /// What the stream told that is worth a word, until somebody takes it to say so.
    news: ArcRwSignal<Vec<News>>,
    /// Jobs that were under way and are not any more, as the stream told, until somebody takes them to say it aloud.
    ends: ArcRwSignal<Vec<Job>>,
    user: ArcRwSignal<Option<User>>,
    /// The look that is saved, whatever is tried out meanwhile.
    look: ArcRwSignal<Option<(Theme, Density)>>,
    /// The newest export that the stream told of.
    export: ArcRwSignal<Option<Export>>,
    /// The last change of the person's default RAG config that the stream told of.
    rag_rev: ArcRwSignal<u64>,
    /// The last change of the list of signed-in browsers that the stream told of.
    sessions_rev: ArcRwSignal<u64>,
    /// Rises with each change of a conversation that the stream told of, and when one may have been missed.
    talks: ArcRwSignal<u64>,
    /// What that was when each conversation changed last, and when any may have.
    talks_of: LiteMap<ConversationId, u64>,
    talks_of_all: u64,
    /// Conversations that were deleted since.
    talks_gone: Vec<ConversationId>,
    /// How often all was read anew, since the stream could not tell what had been missed.
    anew: ArcRwSignal<u32>,
    /// Largest file that may be uploaded, in bytes; 0 until the shell has told.
    max_file_bytes: u64,
    /// Events that came while a fresh snapshot was on its way; they are applied on top of it.
    held: Option<Vec<Event>>,
}

/// A snapshot of what is on screen, read after the stream could not be resumed.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub shell: Option<Shell>,
    pub workspace: Option<WorkspacePage>,
    pub document: Option<DocumentPage>,
    pub job: Option<JobPage>,
    /// Jobs that were under way and ended meanwhile.
    pub ended: Vec<Job>,
}

/// The handle; cheap to copy, given to every page through the context.
#[derive(Clone, Copy)]
pub struct Stores(StoredValue<Inner>);

impl Stores {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(StoredValue::new(Inner::default()))
    }

    /// The stores of this app.
    pub fn expect() -> Self {
        expect_context()
    }

    fn change<R: Default>(self, f: impl FnOnce(&mut Inner) -> R) -> R {
        // After the app is gone there is nobody to tell.
        self.0.try_update_value(f).unwrap_or_default()
    }

    // What pages watch.

    pub fn document(self, id: DocumentId) -> Watched<Document> {
        self.change(|s| Some(s.documents.watch(id, || s.known.live_document(id)))).unwrap_or_default()
    }

    /// A document and its job as they are now, for whoever does not stay to watch.
    pub fn document_now(self, id: DocumentId) -> (Option<Document>, Option<Job>) {
        self.change(|s| {
            let document = s.known.live_document(id);
            let job = document.as_ref().and_then(|d| s.known.job(d.job_id?).cloned());
            (document, job)
        })
    }

    /// The steps of a document in the order in which they began.
    pub fn steps(self, id: DocumentId) -> Watched<Vec<FileProgress>> {
        self.change(|s| Some(s.steps.watch(id, || s.known.known_steps(id)))).unwrap_or_default()
    }

    pub fn workspace(self, id: WorkspaceId) -> Watched<Workspace> {
        self.change(|s| Some(s.workspaces.watch(id, || s.known.workspace(id).cloned()))).unwrap_or_default()
    }

    pub fn job(self, id: JobId) -> Watched<Job> {
        self.change(|s| Some(s.jobs.watch(id, || s.known.job(id).cloned()))).unwrap_or_default()
    }

    /// What a document's badge needs of the job.
    pub fn job_state(self, id: JobId) -> Watched<JobState> {
        self.change(|s| Some(s.job_states.watch(id, || s.known.job(id).cloned().map(JobState))))
            .unwrap_or_default()
    }

    /// The job to show for a workspace: the one that runs, else one that will, else the newest.
    pub fn panel_job(self, id: WorkspaceId) -> Watched<JobId> {
        self.change(|s| Some(s.panels.watch(id, || s.known.panel_job(id)))).unwrap_or_default()
    }

    /// The jobs of a workspace that are known here, each with the moment at which it was made; in no order.
    pub fn jobs_of(self, id: WorkspaceId) -> ArcRwSignal<Vec<(Timestamp, JobId)>> {
        self.change(|s| {
            let list = s.job_lists.entry(id).or_insert_with(|| ArcRwSignal::new(s.known.jobs_of(id)));
            list.clone()
        })
    }

    /// Seq of the newest that is known of a workspace, its jobs and its documents, `with_steps` of these or without. It rises
    /// with each change of any of them.
    pub fn newest_in(self, id: WorkspaceId, with_steps: bool) -> ArcRwSignal<u64> {
        self.change(|s| {
            let newest = s
                .newest
                .entry((id, with_steps))
                .or_insert_with(|| ArcRwSignal::new(s.known.newest_in(id, with_steps)));
            newest.clone()
        })
    }

    /// Ids of the listed documents, newest first.
    pub fn document_ids(self, id: WorkspaceId) -> ArcRwSignal<Vec<DocumentId>> {
        self.change(|s| s.listings.entry(id).or_default().ids.clone())
    }

    /// Where the next part of a list begins; `None` when all are here.
    pub fn next(self, id: WorkspaceId) -> ArcRwSignal<Option<String>> {
        self.change(|s| s.listings.entry(id).or_default().next.clone())
    }

    /// Ids of all workspaces, newest first.
    pub fn workspace_ids(self) -> ArcRwSignal<Vec<WorkspaceId>> {
        self.change(|s| s.workspace_ids.clone())
    }

    /// Ids of the jobs that have not ended, oldest first.
    pub fn active(self) -> ArcRwSignal<Vec<JobId>> {
        self.change(|s| s.active.clone())
    }

    /// What the stream told that is worth a word. Whoever says it takes it out.
    pub fn news(self) -> ArcRwSignal<Vec<News>> {
        self.change(|s| s.news.clone())
    }

    /// Jobs that ended, however they did. Whoever says it aloud takes them out.
    pub fn ends(self) -> ArcRwSignal<Vec<Job>> {
        self.change(|s| s.ends.clone())
    }

    pub fn user(self) -> ArcRwSignal<Option<User>> {
        self.change(|s| s.user.clone())
    }

    /// Rises when the person's default RAG config changes.
    pub fn rag_rev(self) -> ArcRwSignal<u64> {
        self.change(|s| s.rag_rev.clone())
    }

    /// Rises when other browsers are signed in than before.
    pub fn sessions_rev(self) -> ArcRwSignal<u64> {
        self.change(|s| s.sessions_rev.clone())
    }

    /// Rises when something is different in a conversation, whichever.
    pub fn talks(self) -> ArcRwSignal<u64> {
        self.change(|s| s.talks.clone())
    }

    /// What [`Stores::talks`] was when that one changed last; 0: it has not.
    pub fn talk(self, id: &str) -> u64 {
        self.change(|s| {
            let of = s.talks_of.iter().find(|(of, _)| of.as_str() == id).map_or(0, |(_, at)| *at);
            of.max(s.talks_of_all)
        })
    }

    /// Whether the stream told that this conversation was deleted.
    pub fn is_talk_gone(self, id: &str) -> bool {
        self.change(|s| s.talks_gone.iter().any(|gone| gone.as_str() == id))
    }

    /// Whether a workspace is being deleted, or was. For whoever watches: it changes with [`Stores::workspace`].
    pub fn is_workspace_doomed(self, id: WorkspaceId) -> bool {
        let is_deleting = self.workspace(id).with(|w| w.as_ref().map(Workspace::is_deleting));
        is_deleting.unwrap_or_else(|| self.change(|s| s.known.is_workspace_gone(id)))
    }

    /// The newest export of the account that the stream told of.
    pub fn export(self) -> ArcRwSignal<Option<Export>> {
        self.change(|s| s.export.clone())
    }

    /// Rises when all was read anew: what a page keeps beside the stores has to be read again too.
    pub fn anew(self) -> ArcRwSignal<u32> {
        self.change(|s| s.anew.clone())
    }

    /// Largest file that may be uploaded, in bytes; the server alone decides while that is not known.
    pub fn max_file_bytes(self) -> u64 {
        match self.change(|s| s.max_file_bytes) {
            0 => u64::MAX,
            known => known,
        }
    }

    /// Shows a theme before the server has heard of it.
    pub fn show_theme(self, theme: Theme) {
        self.show(|user| user.theme = theme);
    }

    /// Theme and density as they are saved.
    pub fn saved_look(self) -> ArcRwSignal<Option<(Theme, Density)>> {
        self.change(|s| s.look.clone())
    }

    /// Shows theme and density before the server has heard of them.
    pub fn show_look(self, theme: Theme, density: Density) {
        self.show(|user| (user.theme, user.density) = (theme, density));
    }

    fn show(self, change: impl FnOnce(&mut User)) {
        self.user().update(|user| {
            if let Some(user) = user {
                change(user);
            }
        });
    }

    // What the server said.

    /// Takes an event of the stream. One that tells nothing new changes nothing.
    pub fn apply(self, event: Event) {
        self.change(|s| match &mut s.held {
            Some(held) => held.push(event),
            None => s.apply(&event),
        });
    }

    /// Takes what was read with the page. Once all was read anew that is old, and would bring back what is gone.
    pub fn put_shell(self, shell: &Shell) {
        self.change(|s| {
            if s.anew.get_untracked() == 0 {
                s.put_shell(shell);
            }
        });
    }

    pub fn put_workspace(self, workspace: &Workspace) {
        self.change(|s| s.put_workspace(workspace));
    }

    /// Takes a page of a workspace and lists its documents after those that are listed already.
    pub fn put_workspace_page(self, page: &WorkspacePage) {
        self.change(|s| s.put_workspace_page(page));
    }

    pub fn put_document_page(self, page: &DocumentPage) {
        self.change(|s| s.put_document_page(page));
    }

    pub fn put_job_page(self, page: &JobPage) {
        self.change(|s| s.put_job_page(page));
    }

    // Reading anew.

    /// From here until [`Stores::replace`], events are kept for later: a snapshot is on its way.
    pub fn hold(self) {
        self.change(|s| s.held.get_or_insert_default().clear());
    }

    /// Forgets everything for a fresh snapshot, and goes on with the events that came meanwhile. What is in both is
    /// known by its `rev` and taken once.
    pub fn replace(self, snapshot: &Snapshot) {
        self.change(|s| {
            let held = s.held.take().unwrap_or_default();
            s.known = Store::default();
            s.talks_of_all = s.next_talk();
            s.listings.iter_mut().for_each(|(_, listing)| listing.clear());
            set_if_new(&s.export, None);
            if let Some(shell) = &snapshot.shell {
                s.put_shell(shell);
            }
            if let Some(page) = &snapshot.workspace {
                s.put_workspace_page(page);
            }
            if let Some(page) = &snapshot.document {
                s.put_document_page(page);
            }
            if let Some(page) = &snapshot.job {
                s.put_job_page(page);
            }
            for job in &snapshot.ended {
                s.put_job(job);
                s.tell_news(News::Ended(job.clone()));
                s.ends.update(|all| all.push(job.clone()));
            }
            held.iter().for_each(|event| s.apply(event));
            s.tell_all();
            s.anew.update(|n| *n += 1);
        });
    }

    // Questions.

    /// Jobs that have not ended.
    pub fn active_jobs(self) -> Vec<Job> {
        self.change(|s| s.known.active_jobs().cloned().collect())
    }

    pub fn completed_jobs(self) -> Vec<Job> {
        self.change(|s| s.known.jobs().filter(|j| j.status == JobStatus::Completed).cloned().collect())
    }

    /// Documents of a workspace that wait or are worked on.
    pub fn active_documents(self, id: WorkspaceId) -> Vec<DocumentId> {
        use DocumentStatus::{Pending, Processing};
        self.change(|s| s.known.documents_with(id, |status| matches!(status, Pending | Processing)))
    }

    pub fn completed_documents(self, id: WorkspaceId) -> Vec<DocumentId> {
        self.change(|s| s.known.documents_with(id, |status| status == DocumentStatus::Ready))
    }

    pub fn knows_document(self, id: DocumentId) -> bool {
        self.change(|s| s.known.document(id).is_some())
    }

    /// How many documents of a workspace are on screen.
    pub fn listed(self, id: WorkspaceId) -> usize {
        self.change(|s| s.listings.get(&id).map_or(0, |l| l.ids.with_untracked(Vec::len)))
    }

    // Clearing.

    /// Takes a document off the screen. The next event about it brings it back.
    pub fn clear_document(self, id: DocumentId) {
        self.change(|s| {
            s.documents.tell(id, || None);
            s.steps.tell(id, || None);
            s.listings.iter_mut().for_each(|(_, listing)| listing.remove(id));
        });
    }

    /// Forgets everything, as after signing out.
    pub fn clear(self) {
        self.replace(&Snapshot::default());
        self.anew().set(0);
    }
}

#[cfg(test)]
mod tests;
