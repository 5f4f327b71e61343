//! Deleting for good: at once for those who look, piece by piece for the disk. The mark is one transaction, from which
//! on nobody can come in and no work goes on; the rest is done in the background, and after a crash it goes on with
//! whatever is still there. Every piece may be done twice, so servers need not agree on who does it.

use crate::{
    Error, Result, Services, Who, keys,
    ports::{Deletion, Doomed, DoomedDocument, PageQuery, Signal, StoreError, heard},
};
use domain::JobId;
use futures::future::try_join_all;
use std::time::Duration;

/// Deletions that are looked up at once.
const AT_ONCE: u32 = 20;
/// Documents whose removal shares its transactions.
const DOCUMENTS: u32 = 16;
/// Rows that one transaction removes for one document, or of one table: well under a second of work.
const ROWS: u32 = 400;
/// A deletion is not called through before that many seconds after its mark: by then every worker knows that its lease
/// is gone and writes no file any more.
const SETTLED_SECONDS: i64 = 10;
/// How long the ids of a deletion are kept, in seconds.
const KEPT_SECONDS: i64 = 24 * 3_600;
/// Pause before a deletion is tried again when the store or the disk failed, and the fallback of the wake-up.
const PAUSE: Duration = Duration::from_secs(5);

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

    /// Takes away what is being deleted. Answers how many deletions came to their end.
    ///
    /// # Errors
    /// When the store or the disk fails; what is left over is found again by the next call.
    pub async fn delete_doomed(&self) -> Result<usize> {
        let under_way = self.deletions.deletions(AT_ONCE).await?;
        let mut ended = 0;
        let mut failed = None;
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

    /// Answers whether it is through.
    async fn carry_out_deletion(&self, deletion: &Deletion) -> Result<bool> {
        let doomed = deletion.doomed;
        self.forget_vectors(doomed).await?;
        loop {
            let some = self.deletions.doomed_documents(doomed, DOCUMENTS).await?;
            if some.is_empty() {
                break;
            }
            // The files first: once the rows are gone, nobody knows of them any more.
            try_join_all(some.iter().map(|d| self.remove_files(doomed, d))).await?;
            try_join_all(some.iter().map(|d| self.remove_document(doomed, d))).await?;
        }
        while !self.deletions.remove_rows(doomed, ROWS).await? {}
        self.deletions.remove_doomed(doomed).await?;
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
        let mut page = PageQuery::first(PageQuery::MAX);
        loop {
            let some = self.workspaces.workspaces(doomed.user(), page).await?;
            some.items.iter().for_each(|workspace| self.vectors.forget(workspace.id));
            match some.next {
                Some(next) => page = PageQuery { limit: PageQuery::MAX, after: Some(next) },
                None => return Ok(()),
            }
        }
    }

    async fn remove_files(&self, doomed: Doomed, document: &DoomedDocument) -> Result<()> {
        self.blobs.delete(&document.blob_key).await?;
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
            let _ = tokio::time::timeout(PAUSE, wake).await;
        }
    }
}
