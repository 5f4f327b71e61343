//! What the page knows, live: the domain's reducer decides what an event changes, and one signal for each entity tells
//! whoever shows it. Nothing here does I/O. It belongs to the app, so it outlives every page.

mod listing;
mod shelf;

pub use shelf::Watched;

use domain::{
    Document, DocumentId, DocumentStatus, EntityKey, Event, Export, Job, JobId, JobStatus, User, UserId,
    Workspace, WorkspaceId,
    chat::{ConversationChange, ConversationId},
    event::{FileProgress, SessionsChanged, SettingsChanged},
    pages::{DocumentPage, JobPage, Shell, WorkspacePage},
    reducer::Store,
    resource::{Density, Theme},
};
use leptos::prelude::*;
use listing::{Listing, place};
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
    listings: LiteMap<WorkspaceId, Listing>,
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
            s.documents.put(id, None);
            s.steps.put(id, None);
            s.listings.iter_mut().for_each(|(_, listing)| listing.remove(id));
        });
    }

    /// Forgets everything, as after signing out.
    pub fn clear(self) {
        self.replace(&Snapshot::default());
        self.anew().set(0);
    }
}

/// Questions that the pages put to what the reducer keeps.
trait Known {
    fn known_steps(&self, id: DocumentId) -> Option<Vec<FileProgress>>;
    fn panel_job(&self, id: WorkspaceId) -> Option<JobId>;
    fn newest_workspaces(&self) -> Vec<WorkspaceId>;
    fn unfinished(&self) -> Vec<JobId>;
    fn documents_with(&self, id: WorkspaceId, wanted: impl Fn(DocumentStatus) -> bool) -> Vec<DocumentId>;
}

impl Known for Store {
    fn known_steps(&self, id: DocumentId) -> Option<Vec<FileProgress>> {
        let steps: Vec<_> = self.steps(id).into_iter().cloned().collect();
        (!steps.is_empty()).then_some(steps)
    }

    fn panel_job(&self, id: WorkspaceId) -> Option<JobId> {
        let urgency = |job: &Job| match job.status {
            JobStatus::Running => 2,
            status if !status.is_final() => 1,
            _ => 0,
        };
        let here = self.jobs().filter(|job| job.kb_id == id);
        here.max_by_key(|job| (urgency(job), job.created_at, job.job_id)).map(|job| job.job_id)
    }

    fn newest_workspaces(&self) -> Vec<WorkspaceId> {
        let mut all: Vec<_> = self.workspaces().map(|w| (w.created_at, w.id)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, id)| id).collect()
    }

    fn unfinished(&self) -> Vec<JobId> {
        let mut all: Vec<_> = self.active_jobs().map(|job| (job.created_at, job.job_id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    fn documents_with(&self, id: WorkspaceId, wanted: impl Fn(DocumentStatus) -> bool) -> Vec<DocumentId> {
        self.documents().filter(|d| d.workspace_id == id && wanted(d.status)).map(|d| d.id).collect()
    }
}

impl Inner {
    fn apply(&mut self, event: &Event) {
        let had_stalled = matches!(event, Event::DocumentStatus(d) if self.is_stalled(d.id));
        let ends = match event {
            Event::JobUpdate(job) | Event::JobComplete(job) | Event::JobError(job) => {
                let known = self.known.job(job.job_id);
                job.status.is_final() && known.is_some_and(|known| !known.status.is_final())
            }
            _ => false,
        };
        let Some(changed) = self.known.apply(event) else {
            return;
        };
        match changed {
            EntityKey::Document(id) => {
                self.tell_document(id);
                if let Event::DocumentStatus(document) = event
                    && !had_stalled
                    && document.stalled().is_some()
                {
                    self.tell_news(News::Stalled(document.clone()));
                }
            }
            EntityKey::FileStep(id, _) => {
                self.steps.put(id, self.known.known_steps(id));
                self.tell_document(id);
            }
            EntityKey::Workspace(id) => {
                self.tell_workspaces(id);
                if self.known.workspace(id).is_none() {
                    self.listings.entry(id).or_default().clear();
                }
            }
            EntityKey::Job(id) => {
                self.tell_job(id);
                if let Event::JobComplete(job) | Event::JobError(job) = event {
                    self.tell_news(News::Ended(job.clone()));
                }
                if ends && let Some(job) = self.known.job(id).cloned() {
                    self.ends.update(|all| all.push(job));
                }
            }
            EntityKey::Settings(_) => {
                set_if_new(&self.user, self.known.user().cloned());
                set_if_new(&self.look, self.known.user().map(|u| (u.theme, u.density)));
                if let Event::SettingsChanged(SettingsChanged {
                    export,
                    rag_config,
                    sessions,
                    rev,
                    user,
                    ..
                }) = event
                {
                    if export.is_some() {
                        set_if_new(&self.export, export.clone());
                    }
                    if rag_config.is_some() {
                        set_if_new(&self.rag_rev, *rev);
                    }
                    if let Some(SessionsChanged { signed_in }) = sessions {
                        set_if_new(&self.sessions_rev, *rev);
                        if let Some(device) = signed_in.clone() {
                            self.tell_news(News::SignedIn { user: user.id, device, rev: *rev });
                        }
                    }
                }
            }
            EntityKey::Conversation(id) => {
                let at = self.next_talk();
                self.talks_gone.retain(|gone| *gone != id);
                if matches!(event, Event::ConversationChanged(c) if c.status == ConversationChange::Deleted) {
                    self.talks_gone.push(id.clone());
                }
                self.talks_of.insert(id, at);
            }
            EntityKey::Session(_) => {}
        }
    }

    /// One more change of a conversation.
    fn next_talk(&self) -> u64 {
        let next = self.talks.get_untracked() + 1;
        self.talks.set(next);
        next
    }

    fn is_stalled(&self, id: DocumentId) -> bool {
        self.known.document(id).is_some_and(|known| known.stalled().is_some())
    }

    fn tell_news(&self, news: News) {
        self.news.update(|all| all.push(news));
    }

    fn put_shell(&mut self, shell: &Shell) {
        if self.known.user().is_none() {
            set_if_new(&self.user, Some(shell.user.clone()));
            set_if_new(&self.look, Some((shell.user.theme, shell.user.density)));
        }
        self.max_file_bytes = shell.max_file_bytes;
        for workspace in &shell.workspaces {
            self.put_workspace(workspace);
        }
        for job in &shell.jobs {
            self.put_job(job);
        }
    }

    fn put_workspace(&mut self, workspace: &Workspace) {
        if self.known.put_workspace(workspace) {
            self.tell_workspaces(workspace.id);
        }
    }

    fn put_job(&mut self, job: &Job) {
        if self.known.put_job(job) {
            self.tell_job(job.job_id);
        }
    }

    fn put_workspace_page(&mut self, page: &WorkspacePage) {
        self.put_workspace(&page.workspace);
        for job in &page.jobs {
            self.put_job(job);
        }
        for document in &page.documents.items {
            if self.known.put_document(document) {
                self.documents.put(document.id, self.known.live_document(document.id));
            }
        }
        // What was deleted meanwhile is not listed.
        let alive = page.documents.items.iter().filter(|d| self.known.document(d.id).is_some());
        let places: Vec<_> = alive.map(place).collect();
        self.listings
            .entry(page.workspace.id)
            .or_default()
            .extend(places.into_iter(), page.documents.next.clone());
    }

    fn put_document_page(&mut self, page: &DocumentPage) {
        self.put_workspace(&page.workspace);
        if let Some(job) = &page.job {
            self.put_job(job);
        }
        let id = page.document.id;
        self.known.put_document(&page.document);
        for step in &page.steps {
            self.known.put_step(step);
        }
        self.steps.put(id, self.known.known_steps(id));
        self.tell_document(id);
    }

    fn put_job_page(&mut self, page: &JobPage) {
        self.put_workspace(&page.workspace);
        self.put_job(&page.job);
    }

    fn tell_document(&mut self, id: DocumentId) {
        let document = self.known.live_document(id);
        match &document {
            Some(d) => {
                if let Some(listing) = self.listings.get_mut(&d.workspace_id) {
                    listing.add(place(d));
                }
            }
            None => self.listings.iter_mut().for_each(|(_, listing)| listing.remove(id)),
        }
        self.documents.put(id, document);
    }

    fn tell_workspaces(&mut self, id: WorkspaceId) {
        self.workspaces.put(id, self.known.workspace(id).cloned());
        set_if_new(&self.workspace_ids, self.known.newest_workspaces());
    }

    fn tell_job(&mut self, id: JobId) {
        let Some(job) = self.known.job(id).cloned() else {
            return;
        };
        let workspace = job.kb_id;
        let state = self.job_states.watch(id, || None);
        if !state.with_untracked(|s| s.as_ref().is_some_and(|s| s.same_as(&job))) {
            state.set(Some(JobState(job.clone())));
        }
        self.jobs.put(id, Some(job));
        self.panels.put(workspace, self.known.panel_job(workspace));
        set_if_new(&self.active, self.known.unfinished());
    }

    /// After everything was replaced: what is not known any more is told so too.
    fn tell_all(&mut self) {
        let Inner { known, documents, steps, workspaces, jobs, job_states, panels, .. } = self;
        documents.retell(|id| known.live_document(*id));
        steps.retell(|id| known.known_steps(*id));
        workspaces.retell(|id| known.workspace(*id).cloned());
        jobs.retell(|id| known.job(*id).cloned());
        job_states.retell(|id| known.job(*id).cloned().map(JobState));
        panels.retell(|id| known.panel_job(*id));
        set_if_new(&self.workspace_ids, self.known.newest_workspaces());
        set_if_new(&self.active, self.known.unfinished());
    }
}

#[cfg(test)]
mod tests;
