//! The durable job queue. `domain::ingest` decides what a piece of work changes and tells; here the rows are loaded,
//! locked, handed to it and written back, each time in one transaction. No rule of the product is decided here.

mod check;
mod checkpoint;
mod claim;
mod control;
mod crawl;
mod create;
mod edit;
mod input;
mod interrupted;
mod known;
mod many;
mod parts;
mod passages;
mod queue;
mod read;
mod report;
mod requests;
mod rest;
mod rows;
mod stale;
mod stall;
pub(crate) mod standing;
mod unheard;
mod unread;
mod versions;
mod withdraw;
mod words;

pub(crate) use edit::edit;
pub(crate) use input::{
    Sorted, clean, clean_checkpoint, clean_document, clean_job, clean_option, lease_micros, sent, upload,
};
pub(crate) use many::{Of, carry_out};
pub(crate) use parts::drop_all_dead;
pub(crate) use rows::{CHUNK, DOCUMENT, chunk, document, insert_job, number, parsed, update_job};
pub(crate) use stale::find as stale_documents;
pub(crate) use unheard::workspace_is_theirs;
pub(crate) use withdraw::{delete, restore};
pub(crate) use words::reword;

use crate::{fault::Fault, open::Store, workspaces, writer::Tx};
use async_trait::async_trait;
use control::Steered;
use create::Made;
use domain::{
    Chunk, ChunkId, Document, DocumentId, EntityKey, Event, Job, JobId, JobStatus, OnDuplicate, Timestamp,
    UserId, WorkspaceId,
    away::EndedJob,
    duplicates::{Known, Taken},
    ingest::{
        Checkpoint, ChunkMark, DocumentState, JobState, Told,
        control::{Control, DocumentControl, Retry},
    },
    report::DocumentReport,
    resource::{Attempt, Page},
};
use rows::JOB;
use services::ports::{
    Alike, Claim, Command, JobStore, NewJob, NewReindex, PageQuery, StoreError, TakenFile, TakenFiles,
    Unread, WorkerId,
};
use sqlx::{AssertSqlSafe, Row};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The job, kept from everybody else until the transaction ends.
pub(crate) async fn lock_job(tx: &mut Tx, id: JobId) -> Result<Option<JobState>, Fault> {
    let sql = format!("SELECT {JOB} FROM jobs WHERE jobs.id = $1{}", tx.engine.for_update());
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(&mut tx.conn).await?;
    let job = row.as_ref().map(rows::job).transpose()?;
    if let Some(state) = &job {
        tx.found(EntityKey::Job(id), state.job.status.as_str());
    }
    Ok(job)
}

/// The document with the key of its file, kept from everybody else until the transaction ends; none when it is deleted,
/// also while that can be undone.
async fn lock_document(tx: &mut Tx, id: DocumentId) -> Result<Option<(DocumentState, String)>, Fault> {
    let sql = format!(
        "SELECT {DOCUMENT} FROM documents WHERE documents.id = $1 AND documents.deleted_at IS NULL{}",
        tx.engine.for_update()
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(&mut tx.conn).await?;
    let Some(row) = row else { return Ok(None) };
    let state = document(&row)?;
    tx.found(EntityKey::Document(id), state.document.status.as_str());
    Ok(Some((state, row.try_get("blob_key")?)))
}

/// Emits what a change told, and the workspace last when its counts changed.
pub(crate) async fn tell(
    tx: &mut Tx,
    user: UserId,
    workspace: WorkspaceId,
    told: Told,
    now: Timestamp,
) -> Result<(), Fault> {
    for mut event in told.events {
        queue::keep_told(tx, &mut event).await?;
        tx.emit(user, event, now);
    }
    if told.counts_changed {
        workspaces::note_activity(tx, workspace, now).await?;
        let workspace = workspaces::load_locked(tx, workspace).await?.ok_or(StoreError::NotFound)?;
        tx.emit(user, Event::WorkspaceStatus(workspace), now);
    }
    Ok(())
}

/// What became of a file whose job was made before.
pub(crate) fn taken_before(document: &Document) -> Taken {
    let is_later = document.version > 1 || document.next_version.is_some();
    if is_later { Taken::Replaced } else { Taken::Added }
}

#[async_trait]
impl JobStore for Store {
    async fn take_files(&self, mut new: NewJob, on_duplicate: OnDuplicate) -> Result<TakenFiles, StoreError> {
        clean_job(&mut new);
        let user = new.user_id;
        let written = self
            .writer()
            .write_for(user, "create job", (new, on_duplicate), |tx, (new, on_duplicate)| {
                Box::pin(create::create(tx, new, *on_duplicate))
            })
            .await?;
        let Made { job, place, mut files, buried } = written.value;
        parts::drop_all_dead(self, user, &buried).await;
        // Read back: only what is committed has its revs, and a job that was made before has gone on since.
        let (job, mut documents) = match job {
            Some(id) => {
                let job = self.read_job_at(user, id, place).await?;
                (Some(job.ok_or(StoreError::NotFound)?), self.documents_of_job(id).await?)
            }
            None => (None, vec![]),
        };
        if files.is_empty() {
            files = documents.iter().map(|d| (d.id, d.id, taken_before(d))).collect();
        }
        for (_, id, _) in files.iter().filter(|(_, _, taken)| *taken == Taken::Skipped) {
            if !documents.iter().any(|d| d.id == *id) {
                documents.extend(self.read_document(user, *id).await?);
            }
        }
        let by_id: BTreeMap<DocumentId, Document> = documents.into_iter().map(|d| (d.id, d)).collect();
        let file = |(file, id, taken): (DocumentId, DocumentId, Taken)| {
            Some(TakenFile { file, document: by_id.get(&id)?.clone(), taken })
        };
        // A document that somebody deleted since is not told any more.
        Ok(TakenFiles { job, files: files.into_iter().filter_map(file).collect() })
    }

    async fn known_files(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        names: &[&str],
        hashes: &[&str],
    ) -> Result<Vec<Known>, StoreError> {
        Ok(versions::read_like(self, user, workspace, names, hashes).await?)
    }

    async fn known_sizes(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        sizes: &[u64],
    ) -> Result<BTreeSet<u64>, StoreError> {
        Ok(versions::read_sizes(self, user, workspace, sizes).await?)
    }

    async fn reindex(&self, mut new: NewReindex) -> Result<Option<Job>, StoreError> {
        clean_option(&mut new.command_id);
        let user = new.user_id;
        let written = self
            .writer()
            .write_for(user, "reindex", new, |tx, new| Box::pin(create::reindex(tx, new)))
            .await?;
        match written.value {
            Some((id, place)) => Ok(self.read_job_at(user, id, place).await?),
            None => Ok(None),
        }
    }

    async fn requeue(
        &self,
        user: UserId,
        job: JobId,
        limit: u32,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        stale::requeue(self, user, job, limit, now).await
    }

    async fn compare(&self, workspace: WorkspaceId, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        stale::compare(self, workspace, limit, now).await
    }

    async fn job(&self, user: UserId, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.read_job(user, id).await?)
    }

    async fn jobs_by_id(&self, user: UserId, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
        Ok(self.read_jobs_by_id(user, ids).await?)
    }

    async fn jobs_under_way(&self, user: UserId, limit: u32) -> Result<Vec<Job>, StoreError> {
        Ok(self.read_jobs_under_way(user, limit).await?)
    }

    async fn jobs(
        &self,
        user: UserId,
        status: Option<JobStatus>,
        page: PageQuery,
    ) -> Result<Page<Job>, StoreError> {
        Ok(self.read_jobs(user, status, page).await?)
    }

    async fn jobs_of(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        page: PageQuery,
    ) -> Result<Page<Job>, StoreError> {
        Ok(self.read_jobs_of(user, workspace, page).await?)
    }

    async fn newest_job(&self, user: UserId, workspace: WorkspaceId) -> Result<Option<Job>, StoreError> {
        Ok(self.read_newest_job(user, workspace).await?)
    }

    async fn claim(
        &self,
        worker: &WorkerId,
        lease_seconds: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        let wanted =
            claim::Wanted { worker: worker.0.clone(), lease: lease_micros(lease_seconds), limit, now };
        let written =
            self.writer().write("claim", wanted, |tx, wanted| Box::pin(claim::claim(tx, wanted))).await?;
        Ok(written.value)
    }

    async fn heartbeat(
        &self,
        worker: &WorkerId,
        in_hand: &[DocumentId],
        lease_seconds: u32,
    ) -> Result<Vec<DocumentId>, StoreError> {
        let argument = (worker.0.clone(), in_hand.to_vec(), lease_micros(lease_seconds));
        let written = self
            .writer()
            .write("heartbeat", argument, |tx, (worker, in_hand, lease)| {
                Box::pin(claim::extend_leases(tx, worker, in_hand, *lease))
            })
            .await?;
        Ok(written.value)
    }

    async fn checkpoint(
        &self,
        claim: &Claim,
        mut checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        clean_checkpoint(&mut checkpoint);
        if let Checkpoint::Chunked { chunks } = &mut checkpoint {
            chunks.sort_by_key(|c| c.ordinal);
        }
        let checkpoint = Arc::new(checkpoint);
        parts::write_ahead(self, claim, &checkpoint).await?;
        let written = self
            .writer()
            .write_for(
                claim.user_id,
                "checkpoint",
                (claim.clone(), checkpoint, now),
                |tx, (claim, checkpoint, now)| Box::pin(checkpoint::commit(tx, claim, checkpoint, *now)),
            )
            .await?;
        parts::drop_all_dead(self, claim.user_id, &written.value).await;
        Ok(())
    }

    async fn marks(&self, claim: &Claim) -> Result<Vec<ChunkMark>, StoreError> {
        Ok(passages::marks(self, claim.document_id).await?)
    }

    async fn drop_dead_chunks(&self) -> Result<usize, StoreError> {
        parts::drop_any_dead(self).await
    }

    async fn gets_on(&self, claim: &Claim, now: Timestamp) -> Result<(), StoreError> {
        self.writer()
            .write_for(claim.user_id, "gets on", (claim.clone(), now), |tx, (claim, now)| {
                Box::pin(claim::note_progress(tx, claim, false, *now))
            })
            .await?;
        Ok(())
    }

    async fn end_stalled(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        stall::end(self, seconds, limit, now).await
    }

    async fn tell_interrupted(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        interrupted::report(self, seconds, limit, now).await
    }

    async fn tell_unheard(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        unheard::report(self, seconds, limit, now).await
    }

    async fn release(&self, claim: &Claim, now: Timestamp) -> Result<(), StoreError> {
        let written = self
            .writer()
            .write_for(claim.user_id, "release", (claim.clone(), now), |tx, (claim, now)| {
                Box::pin(claim::release(tx, claim, *now))
            })
            .await?;
        parts::drop_all_dead(self, claim.user_id, &written.value).await;
        Ok(())
    }

    async fn control(
        &self,
        user: UserId,
        job: JobId,
        control: Control,
        now: Timestamp,
    ) -> Result<Job, StoreError> {
        let written = self
            .writer()
            .write_for(user, "control job", (user, job, control, now), |tx, (user, job, control, now)| {
                Box::pin(control::job(tx, *user, *job, control, *now))
            })
            .await?;
        let Steered { buried, place } = written.value;
        parts::drop_all_dead(self, user, &buried).await;
        Ok(self.read_job_at(user, job, place).await?.ok_or(StoreError::NotFound)?)
    }

    async fn retry_under(
        &self,
        user: UserId,
        job: JobId,
        retry: Retry,
        mut command: Command,
        now: Timestamp,
    ) -> Result<Job, StoreError> {
        clean(&mut command.id);
        let argument = (user, job, retry, command, now);
        let written = self
            .writer()
            .write_for(user, "retry job", argument, |tx, (user, job, retry, command, now)| {
                Box::pin(control::retry_under(tx, *user, *job, retry, command, *now))
            })
            .await?;
        let Steered { buried, place } = written.value;
        parts::drop_all_dead(self, user, &buried).await;
        Ok(self.read_job_at(user, job, place).await?.ok_or(StoreError::NotFound)?)
    }

    async fn control_document(
        &self,
        user: UserId,
        document: DocumentId,
        control: DocumentControl,
        now: Timestamp,
    ) -> Result<Job, StoreError> {
        let argument = (user, document, control, now);
        let written = self
            .writer()
            .write_for(user, "control document", argument, |tx, (user, document, control, now)| {
                Box::pin(control::document(tx, *user, *document, *control, *now))
            })
            .await?;
        let (job, buried) = written.value;
        parts::drop_all_dead(self, user, &buried).await;
        Ok(self.read_job(user, job).await?.ok_or(StoreError::NotFound)?)
    }

    async fn asked(&self, worker: &WorkerId) -> Result<Vec<DocumentId>, StoreError> {
        Ok(requests::asked(self, &worker.0).await?)
    }

    async fn honour_requests(&self, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        requests::sweep(self, limit, now).await
    }

    async fn attempts(&self, user: UserId, job: JobId) -> Result<Option<Vec<Attempt>>, StoreError> {
        Ok(control::attempts(self, user, job).await?)
    }

    async fn report_document(
        &self,
        user: UserId,
        id: DocumentId,
        mut said: DocumentReport,
        now: Timestamp,
    ) -> Result<Document, StoreError> {
        for text in [&mut said.error, &mut said.error_code, &mut said.step, &mut said.message] {
            clean_option(text);
        }
        self.writer()
            .write_for(user, "report document", (user, id, said, now), |tx, (user, id, said, now)| {
                Box::pin(report::commit(tx, *user, *id, said, *now))
            })
            .await?;
        // Read back: only what is committed has its rev.
        Ok(self.read_document(user, id).await?.ok_or(StoreError::NotFound)?)
    }

    async fn void_leases(&self) -> Result<u64, StoreError> {
        let written =
            self.writer().write("void leases", (), |tx, ()| Box::pin(claim::void_leases(tx))).await?;
        Ok(written.value)
    }

    async fn tell_queue(&self, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        queue::tell(self, limit, now).await
    }

    async fn tell_end(&self, user: UserId, job: JobId, attempt: u32) -> Result<bool, StoreError> {
        let written = self
            .writer()
            .write_for(user, "tell end", (user, job, attempt), |tx, (user, job, attempt)| {
                Box::pin(rest::tell_end(tx, *user, *job, *attempt))
            })
            .await?;
        Ok(written.value)
    }

    async fn tell_ends(&self, user: UserId, upto: u64, limit: u32) -> Result<Vec<EndedJob>, StoreError> {
        rest::tell_ends(self, user, upto, limit).await
    }

    async fn tell_rest(&self, limit: u32, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        rest::tell(self, limit, now).await
    }

    async fn known(&self, claim: &Claim, limit: u32) -> Result<Vec<(ChunkId, ChunkId)>, StoreError> {
        Ok(known::find(self, claim, limit).await?)
    }

    async fn namesake(&self, claim: &Claim) -> Result<Option<(DocumentId, u32)>, StoreError> {
        Ok(known::namesake(self, claim).await?)
    }

    async fn most_alike(&self, claim: &Claim) -> Result<Option<Alike>, StoreError> {
        Ok(known::most_alike(self, claim).await?)
    }

    async fn unembedded(&self, document: DocumentId, limit: u32) -> Result<Vec<Chunk>, StoreError> {
        Ok(self.read_unembedded(document, limit).await?)
    }

    async fn unread(&self, document: DocumentId, limit: u32) -> Result<Unread, StoreError> {
        Ok(unread::find(self, document, limit).await?)
    }
}
