//! Deleting for good: at once for those who look, piece by piece for the disk. The mark is one transaction, from which
//! on nobody can come in and no work goes on; the rest is done in the background, and after a crash it goes on with
//! whatever is still there. Every piece may be done twice, so servers need not agree on who does it. A document, a
//! conversation or a workspace is left as it is for some seconds, within which its deletion can be undone.

use crate::{
    Error, Result, Services, Who, keys,
    ports::{Deletion, Doomed, DoomedDocument, PageQuery, Signal, StoreError, heard},
};
use domain::{
    Document, DocumentId, JobId, Timestamp, UserId, Workspace, WorkspaceId,
    event::DocumentDeleted,
    ingest::deletion::{LATE_SECONDS, REMOVED_SECONDS, UNDO_SECONDS},
    provision,
};
use futures::future::try_join_all;
use std::time::Duration;

/// Deletions that are looked up at once.
const AT_ONCE: u32 = 20;
/// Documents whose removal shares its transactions.
const DOCUMENTS: u32 = 16;
/// The same of a workspace, which tells how far it is after each.
const DOCUMENTS_TOLD: u32 = 4;
/// Rows that one transaction removes for one document, or of one table: well under a second of work.
const ROWS: u32 = 400;
/// A deletion is not called through before that many seconds after its mark: by then every worker knows that its lease
/// is gone and writes no file any more.
const SETTLED_SECONDS: i64 = REMOVED_SECONDS;
/// How long the ids of a deletion are kept, in seconds.
const KEPT_SECONDS: i64 = 24 * 3_600;
/// Pause before a deletion is tried again when the store or the disk failed.
const PAUSE: Duration = Duration::from_secs(5);
/// So often is looked for what can be undone no more.
const LOOK: Duration = Duration::from_secs(1);

/// A workspace that is being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkspaceDeletion {
    /// The job that says how far it is.
    pub job_id: JobId,
    /// Until then it can be undone.
    pub undo_until: Timestamp,
}

impl Services {
    /// Deletes the account: its sessions, keys and streams end before this returns, the rest follows by itself. Answers
    /// the id under which that is told in the log.
    ///
    /// # Errors
    /// 403 `wrong_password` at `password`; 429 `too_many_attempts` after too many of those.
    pub async fn delete_account(&self, who: &Who, password: String) -> Result<JobId> {
        self.confirm_password(who, password, "password").await?;
        let job = JobId::new(self.ids.uuid());
        let begun = self.deletions.begin_account_deletion(who.user.id, job, self.clock.now()).await;
        let deletion = begun.map_err(|e| match e {
            // Deleted from another tab a moment ago.
            StoreError::NotFound => Error::Unauthorized,
            other => other.into(),
        })?;
        tracing::info!(job_id = %deletion.job_id, "an account is being deleted");
        Ok(deletion.job_id)
    }

    /// Deletes a document: it is out of view and out of work when this returns. Its rows and its file go some seconds
    /// later, and until then [`Services::restore_document`] brings it back.
    ///
    /// # Errors
    /// 404 also when it is deleted already; 409 `workspace_deleting`.
    pub async fn delete_document(&self, user: UserId, id: DocumentId) -> Result<DocumentDeleted> {
        let deleted = self.deletions.delete_document(user, id, self.clock.now()).await;
        let deleted = deleted.map_err(|e| missing(e, "document"))?;
        tracing::info!(correlation_id = %id, "a document was deleted");
        Ok(deleted)
    }

    /// Brings a document back that was just deleted; what was to be done with it goes on. One that is there is answered as
    /// it is.
    ///
    /// # Errors
    /// 404 when nothing is left of it; 409 `undo_over`.
    pub async fn restore_document(&self, user: UserId, id: DocumentId) -> Result<Document> {
        let now = self.clock.now();
        let job = JobId::new(self.ids.uuid());
        let restored = self.deletions.restore_document(user, id, job, in_time(now), now).await;
        restored.map_err(|e| missing(e, "document"))
    }

    /// Deletes a workspace with everything in it. Nothing is done there any more when this returns; some seconds later it
    /// goes, document by document, and until then [`Services::restore_workspace`] takes that back.
    ///
    /// # Errors
    /// 404 when there is none.
    pub async fn delete_workspace(&self, user: UserId, id: WorkspaceId) -> Result<WorkspaceDeletion> {
        let now = self.clock.now();
        let (job, not_before) = (JobId::new(self.ids.uuid()), now.plus_seconds(REMOVED_SECONDS));
        let begun = self.deletions.begin_workspace_deletion(user, id, job, not_before, now).await;
        let deletion = begun.map_err(|e| missing(e, "workspace"))?;
        tracing::info!(correlation_id = %id, job_id = %deletion.job_id, "a workspace is being deleted");
        let undo_until = deletion.created_at.plus_seconds(UNDO_SECONDS);
        Ok(WorkspaceDeletion { job_id: deletion.job_id, undo_until })
    }

    /// The same by the page, where its name is typed first.
    ///
    /// # Errors
    /// `Invalid` at `confirm` when it is another name; otherwise as [`Services::delete_workspace`].
    pub async fn delete_workspace_by_name(
        &self,
        user: UserId,
        id: WorkspaceId,
        typed: &str,
    ) -> Result<WorkspaceDeletion> {
        let workspace = self.workspace(user, id).await?;
        provision::confirm_name(&workspace.name, typed)?;
        self.delete_workspace(user, id).await
    }

    /// Takes the deletion of a workspace back. One that is not being deleted is answered as it is.
    ///
    /// # Errors
    /// 404 when nothing is left of it; 409 `undo_over`.
    pub async fn restore_workspace(&self, user: UserId, id: WorkspaceId) -> Result<Workspace> {
        let now = self.clock.now();
        let restored = self.deletions.restore_workspace(user, id, in_time(now), now).await;
        restored.map_err(|e| missing(e, "workspace"))
    }

    /// Takes away what is being deleted. Answers how many deletions came to their end.
    ///
    /// # Errors
    /// When the store or the disk fails; what is left over is found again by the next call.
    pub async fn delete_doomed(&self) -> Result<usize> {
        let mut failed = self.remove_deleted_documents().await.err();
        failed = self.remove_deleted_conversations().await.err().or(failed);
        let under_way = self.deletions.deletions(self.clock.now(), AT_ONCE).await?;
        let mut ended = 0;
        for deletion in &under_way {
            match self.carry_out_deletion(deletion).await {
                Ok(through) => ended += usize::from(through),
                // The others need not wait for it.
                Err(e) => failed = Some(e),
            }
        }
        self.forget_ended().await?;
        failed.map_or(Ok(ended), Err)
    }

    /// Takes away the documents that were deleted one by one, once nobody can bring them back.
    async fn remove_deleted_documents(&self) -> Result<()> {
        loop {
            let before = self.clock.now().plus_seconds(-REMOVED_SECONDS);
            let some = self.deletions.doom_documents(before, DOCUMENTS).await?;
            if some.is_empty() {
                return Ok(());
            }
            // The files first: once the rows are gone, nobody knows of them any more.
            try_join_all(some.iter().map(|(doomed, d)| self.remove_files(*doomed, d))).await?;
            try_join_all(some.iter().map(|(doomed, d)| self.remove_document(*doomed, d))).await?;
        }
    }

    /// The same with conversations.
    async fn remove_deleted_conversations(&self) -> Result<()> {
        let before = self.clock.now().plus_seconds(-REMOVED_SECONDS);
        while self.chats.remove_deleted_conversations(before, ROWS).await? {}
        Ok(())
    }

    /// Answers whether it is through.
    async fn carry_out_deletion(&self, deletion: &Deletion) -> Result<bool> {
        let doomed = deletion.doomed;
        let is_told = matches!(doomed, Doomed::Workspace(..));
        self.forget_vectors(doomed).await?;
        loop {
            // It was taken back since it was found.
            if !self.deletions.tell_deletion(deletion, self.clock.now()).await? {
                return Ok(true);
            }
            let limit = if is_told { DOCUMENTS_TOLD } else { DOCUMENTS };
            let some = self.deletions.doomed_documents(doomed, limit).await?;
            if some.is_empty() {
                break;
            }
            // The files first: once the rows are gone, nobody knows of them any more.
            try_join_all(some.iter().map(|d| self.remove_files(doomed, d))).await?;
            try_join_all(some.iter().map(|d| self.remove_document(doomed, d))).await?;
        }
        while !self.deletions.remove_rows(doomed, ROWS).await? {}
        self.deletions.remove_doomed(deletion, self.clock.now()).await?;
        self.clear_folder(doomed).await?;
        let now = self.clock.now();
        if now.seconds_since(deletion.created_at) < SETTLED_SECONDS {
            return Ok(false);
        }
        let mut anew = true;
        while !self.deletions.forget_words(std::mem::take(&mut anew)).await? {}
        self.deletions.end_deletion(deletion.job_id, now).await?;
        tracing::info!(job_id = %deletion.job_id, "a deletion is through: nothing is left");
        Ok(true)
    }

    /// What of it is in memory here; elsewhere it is never asked for again and makes room for others.
    async fn forget_vectors(&self, doomed: Doomed) -> Result<()> {
        if let Doomed::Workspace(_, workspace) = doomed {
            self.retriever.forget(workspace);
            return Ok(());
        }
        let mut page = PageQuery::first(PageQuery::MAX);
        loop {
            let some = self.workspaces.workspaces(doomed.user(), page).await?;
            some.items.iter().for_each(|workspace| self.retriever.forget(workspace.id));
            match some.next {
                Some(next) => page = PageQuery { limit: PageQuery::MAX, after: Some(next) },
                None => return Ok(()),
            }
        }
    }

    async fn remove_files(&self, doomed: Doomed, document: &DoomedDocument) -> Result<()> {
        self.blobs.delete(&document.blob_key).await?;
        for key in self.deletions.files_of_versions(document.id).await? {
            self.blobs.delete(&key).await?;
        }
        Ok(self.blobs.delete_folder(&keys::texts(doomed.user(), document.id)).await?)
    }

    async fn remove_document(&self, doomed: Doomed, document: &DoomedDocument) -> Result<()> {
        while !self.deletions.remove_document(doomed, document.id, ROWS).await? {}
        Ok(())
    }

    /// What no row names: uploads that were under way, and exports.
    async fn clear_folder(&self, doomed: Doomed) -> Result<()> {
        match doomed {
            Doomed::Account(user) => Ok(self.blobs.delete_folder(&keys::folder(user)).await?),
            // Files of its uploads have rows, and went with those.
            Doomed::Workspace(..) | Doomed::Document(..) => Ok(()),
        }
    }

    async fn forget_ended(&self) -> Result<()> {
        let before = self.clock.now().plus_seconds(-KEPT_SECONDS);
        for deletion in self.deletions.ended_deletions(before, AT_ONCE).await? {
            // Once more, for an upload that another server was still taking in when the folder was cleared.
            self.clear_folder(deletion.doomed).await?;
            self.deletions.forget_deletion(deletion.job_id).await?;
        }
        Ok(())
    }

    /// Deletes for as long as the future is polled: woken by the bus, with a slow poll in case a wake-up was lost.
    pub async fn run_deleter(self) {
        // Interest first, then the look, or a wake-up between the two is lost.
        let mut bus = self.bus.subscribe();
        loop {
            match self.delete_doomed().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(e) => {
                    tracing::warn!(error = format!("{e:?}"), "a deletion will be tried again");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            let wake = heard(&mut bus, |signal| matches!(signal, Signal::AccountClosed { .. }));
            let _ = tokio::time::timeout(LOOK, wake).await;
        }
    }
}

/// What was deleted at that moment or later can still be brought back.
pub(crate) const fn in_time(now: Timestamp) -> Timestamp {
    now.plus_seconds(-(UNDO_SECONDS + LATE_SECONDS))
}

fn missing(e: StoreError, what: &'static str) -> Error {
    match e {
        StoreError::NotFound => Error::NotFound(what),
        other => other.into(),
    }
}
