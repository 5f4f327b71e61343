//! The reducer: what a client knows, and how an event changes it. Pure, so that a property test can say what matters:
//! shuffled, doubled or replayed feeds end in the same store. The maps are sorted vectors: ids ascend with time, so new
//! entries come last, and the code of a tree for each of them would have to be downloaded by every visitor.

use crate::{
    chat::ConversationId,
    event::{EntityKey, Event, FileProgress},
    ids::{DocumentId, JobId, WorkspaceId},
    resource::{Document, Job, User, Workspace},
    step::Step,
};
use litemap::LiteMap;

/// Everything that a client knows of one user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    documents: LiteMap<DocumentId, Document>,
    workspaces: LiteMap<WorkspaceId, Workspace>,
    jobs: LiteMap<JobId, Job>,
    steps: LiteMap<DocumentId, LiteMap<Step, FileProgress>>,
    settings: Option<(User, u64)>,
    /// Seq of the newest change of each conversation of which one was told.
    conversations: LiteMap<ConversationId, u64>,
    /// Seq at which a document was deleted last. Nothing older brings it back; what is newer was told after it was
    /// brought back.
    gone_documents: LiteMap<DocumentId, u64>,
    /// Seq at which a workspace was deleted, for good.
    gone_workspaces: LiteMap<WorkspaceId, u64>,
}

impl Store {
    pub fn document(&self, id: DocumentId) -> Option<&Document> {
        self.documents.get(&id)
    }

    /// The document with the progress that its newest step told since: what a row shows. Merged on reading, so that
    /// the order in which the two arrive does not matter.
    pub fn live_document(&self, id: DocumentId) -> Option<Document> {
        let mut document = self.documents.get(&id)?.clone();
        let newest = self.steps.get(&id).and_then(|steps| steps.values().max_by_key(|s| s.rev));
        if let Some(step) = newest.filter(|s| s.rev > document.rev && s.attempt == document.attempt) {
            document.step = Some(step.step.clone());
            document.message = Some(step.message.clone());
            document.progress = document.progress.max(step.progress);
        }
        Some(document)
    }

    pub fn workspace(&self, id: WorkspaceId) -> Option<&Workspace> {
        self.workspaces.get(&id)
    }

    /// Whether it was told that this workspace was deleted, for good. One that is unknown may only not have been told of.
    pub fn is_workspace_gone(&self, id: WorkspaceId) -> bool {
        self.gone_workspaces.contains_key(&id)
    }

    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values()
    }

    pub fn workspaces(&self) -> impl Iterator<Item = &Workspace> {
        self.workspaces.values()
    }

    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// Jobs that have not ended.
    pub fn active_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(|j| !j.status.is_final())
    }

    /// Steps of a document in the order in which they began.
    pub fn steps(&self, id: DocumentId) -> Vec<&FileProgress> {
        let mut steps: Vec<_> = self.steps.get(&id).map(|m| m.values().collect()).unwrap_or_default();
        steps.sort_by_key(|s| (s.started_at, s.rev));
        steps
    }

    pub fn user(&self) -> Option<&User> {
        self.settings.as_ref().map(|(u, _)| u)
    }

    /// Applies an event; answers what it changed, or `None` when it told nothing new.
    pub fn apply(&mut self, event: &Event) -> Option<EntityKey> {
        let changed = match event {
            Event::DocumentStatus(d) => self.put_document(d),
            Event::WorkspaceStatus(w) => self.put_workspace(w),
            Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => self.put_job(j),
            Event::FileProgress(p) => self.put_step(p),
            Event::DocumentDeleted(d) => self.delete_document(d.id, d.rev),
            Event::WorkspaceDeleted(w) => self.delete_workspace(w.id, w.rev),
            Event::SettingsChanged(s) => {
                let newer = self.settings.as_ref().is_none_or(|(_, rev)| s.rev > *rev);
                if newer {
                    self.settings = Some((s.user.clone(), s.rev));
                }
                newer
            }
            Event::ConversationChanged(c) => raise(&mut self.conversations, c.conversation_id.clone(), c.rev),
            Event::SessionEnded { .. } => false,
        };
        changed.then(|| event.entity())
    }

    /// Takes a document as the server rendered or listed it; same rule as for events.
    pub fn put_document(&mut self, new: &Document) -> bool {
        if self.is_gone(new.id, new.rev) || self.gone_workspaces.contains_key(&new.workspace_id) {
            return false;
        }
        let newer = self.documents.get(&new.id).is_none_or(|old| new.rev > old.rev);
        if newer {
            self.documents.insert(new.id, new.clone());
        }
        newer
    }

    pub fn put_workspace(&mut self, new: &Workspace) -> bool {
        if self.gone_workspaces.contains_key(&new.id) {
            return false;
        }
        let newer = self.workspaces.get(&new.id).is_none_or(|old| new.rev > old.rev);
        if newer {
            self.workspaces.insert(new.id, new.clone());
        }
        newer
    }

    pub fn put_job(&mut self, new: &Job) -> bool {
        let newer = self.jobs.get(&new.job_id).is_none_or(|old| new.rev > old.rev);
        if newer {
            self.jobs.insert(new.job_id, new.clone());
        }
        newer
    }

    pub fn put_step(&mut self, new: &FileProgress) -> bool {
        if self.is_gone(new.document_id, new.rev) || self.gone_workspaces.contains_key(&new.workspace_id) {
            return false;
        }
        let steps = self.steps.entry(new.document_id).or_default();
        // Steps of an earlier attempt are history, which the document's page reads from the log.
        if steps.values().any(|s| s.attempt > new.attempt) {
            return false;
        }
        steps.retain(|_, s| s.attempt == new.attempt);
        let newer = steps.get(&new.step).is_none_or(|old| new.rev > old.rev);
        if newer {
            steps.insert(new.step.clone(), new.clone());
        }
        newer
    }

    /// Whether what was told of the document at that seq was told before it was deleted.
    fn is_gone(&self, id: DocumentId, rev: u64) -> bool {
        self.gone_documents.get(&id).is_some_and(|gone| rev <= *gone)
    }

    /// Takes away what is older than the deletion. What is newer is there again, however late this is heard.
    fn delete_document(&mut self, id: DocumentId, rev: u64) -> bool {
        let newer = raise(&mut self.gone_documents, id, rev);
        if self.documents.get(&id).is_some_and(|document| document.rev <= rev) {
            self.documents.remove(&id);
        }
        let none_left = self.steps.get_mut(&id).is_some_and(|steps| {
            steps.retain(|_, step| step.rev > rev);
            steps.is_empty()
        });
        if none_left {
            self.steps.remove(&id);
        }
        newer
    }

    fn delete_workspace(&mut self, id: WorkspaceId, rev: u64) -> bool {
        let first = raise(&mut self.gone_workspaces, id, rev);
        self.workspaces.remove(&id);
        self.documents.retain(|_, d| d.workspace_id != id);
        self.steps.retain(|_, steps| steps.values().all(|s| s.workspace_id != id));
        first
    }
}

/// Keeps the highest seq of each key; true when this is it.
fn raise<K: Ord>(seqs: &mut LiteMap<K, u64>, key: K, rev: u64) -> bool {
    let mut first = false;
    let kept = seqs.entry(key).or_insert_with(|| {
        first = true;
        rev
    });
    let newer = first || rev > *kept;
    *kept = (*kept).max(rev);
    newer
}
