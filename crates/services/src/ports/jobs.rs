//! Jobs and documents: what the screens read, and what a worker claims and writes under its lease.

use super::{PageQuery, StoreError};
use async_trait::async_trait;
use domain::{
    Chunk, ChunkId, Document, DocumentId, Job, JobId, JobKind, JobStatus, OnDuplicate, Timestamp, UserId,
    WorkspaceId,
    away::EndedJob,
    duplicates::{Known, Taken},
    event::FileProgress,
    ingest::{
        Checkpoint, ChunkMark, Stage,
        control::{Control, DocumentControl, Retry},
    },
    labels::Edit,
    rag::RagConfig,
    report::DocumentReport,
    resource::{Attempt, Page, Version},
};
use std::collections::{BTreeSet, HashMap};

/// A document that was just uploaded; its file is already durable under `blob_key`.
#[derive(Clone, Debug)]
pub struct NewDocument {
    pub id: DocumentId,
    pub filename: String,
    pub mime_type: String,
    pub size_bytes: u64,
    pub content_hash: String,
    pub blob_key: String,
    /// One of the [`super::SentFiles`], which it leaves with this.
    pub sent_ahead: bool,
}

#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub kind: JobKind,
    pub user_id: UserId,
    pub workspace_id: WorkspaceId,
    pub documents: Vec<NewDocument>,
    /// The client's `Idempotency-Key`: a second creation with the same key answers the first one's job.
    pub command_id: Option<String>,
    /// Of what is sent under that key, where it can be told: with another print the key is refused.
    pub command_print: Option<String>,
    pub created_at: Timestamp,
}

/// A file of an upload, and the document that has it now.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenFile {
    /// Of the file as it was handed in.
    pub file: DocumentId,
    pub document: Document,
    pub taken: Taken,
}

impl TakenFile {
    /// Whether the very file that was handed in is kept: not when it was skipped, or came again under a command.
    pub fn keeps(&self, file: DocumentId) -> bool {
        self.file == file && self.taken != Taken::Skipped
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TakenFiles {
    /// None when there is nothing to do, since all of them were skipped.
    pub job: Option<Job>,
    pub files: Vec<TakenFile>,
}

/// The file of a version of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionFile {
    /// What it was called when it came.
    pub filename: String,
    pub mime_type: String,
    pub blob_key: String,
}

/// A file on the disk, by what its key says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileOf {
    pub key: String,
    pub document: DocumentId,
    /// It is the text that was extracted from that version; otherwise a file that somebody sent.
    pub text_of: Option<u32>,
}

/// A job that indexes the stale documents of a workspace anew.
#[derive(Clone, Debug)]
pub struct NewReindex {
    pub id: JobId,
    pub user_id: UserId,
    pub workspace_id: WorkspaceId,
    /// The client's `Idempotency-Key`: a second creation with the same key answers the first one's job.
    pub command_id: Option<String>,
    pub created_at: Timestamp,
}

/// What was sent under an `Idempotency-Key`.
#[derive(Clone, Debug)]
pub struct Command {
    /// The key, with the address that it was sent to.
    pub id: String,
    /// Of what was sent: with another print the key is refused.
    pub print: String,
}

/// One life of one worker process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub String);

/// A document that a worker may work on, as long as nobody claims it after.
#[derive(Clone, Debug)]
pub struct Claim {
    pub job_id: JobId,
    pub document_id: DocumentId,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub attempt: u32,
    /// Rises with each claim; every write of the worker is conditional on it.
    pub fence: u64,
    /// How far the document's checkpoints reach: work goes on from here.
    pub stage: Stage,
    pub filename: String,
    pub mime_type: String,
    pub version: u32,
    pub blob_key: String,
    /// Of the job: the workspace's as it was when its attempt was begun.
    pub rag_config: RagConfig,
    /// False: it is found by its words only, and has no vectors to make.
    pub embeds: bool,
}

/// A document that shares passages with another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    pub document_id: DocumentId,
    pub filename: String,
    /// How many passages of that one's run it has.
    pub shared: u64,
}

/// What a language model has yet to read of a run over a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unread {
    /// Those that it was not asked about, by ordinal.
    pub passages: Vec<UnreadPassage>,
    /// How many passages there are, about how many of them it was asked, and about how many of these in vain.
    pub all: u64,
    pub asked: u64,
    pub in_vain: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct UnreadPassage {
    pub chunk: Chunk,
    /// The names that the rules found in it, each with its thing.
    pub known: HashMap<String, String>,
}

/// Reading documents, and what a person changes of them beside their content.
#[async_trait]
pub trait Documents: Send + Sync {
    async fn document(&self, user: UserId, id: DocumentId) -> Result<Option<Document>, StoreError>;
    /// Newest first; with that tag, where one is named.
    async fn documents(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        tag: Option<&str>,
        page: PageQuery,
    ) -> Result<Page<Document>, StoreError>;
    /// Those that searches find, or that are made; by ordinal. Or those of a version that was replaced.
    async fn chunks(
        &self,
        user: UserId,
        id: DocumentId,
        version: Option<u32>,
        page: PageQuery,
    ) -> Result<Page<Chunk>, StoreError>;
    /// Its versions, the newest first; `None` when the user has no such document.
    async fn versions(&self, user: UserId, id: DocumentId) -> Result<Option<Vec<Version>>, StoreError>;
    /// The file of a version; `None` also when that was given up.
    async fn version_file(
        &self,
        user: UserId,
        id: DocumentId,
        version: u32,
    ) -> Result<Option<VersionFile>, StoreError>;
    /// Changes what a person calls it, its tags, or whether searches find it. Emits `document_status`, and nothing for
    /// what is so already; answers the document.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Refused` when its workspace is being deleted; `Invalid`.
    async fn edit_document(
        &self,
        user: UserId,
        id: DocumentId,
        edit: Edit,
        now: Timestamp,
    ) -> Result<Document, StoreError>;
    /// Steps of the document's newest attempt, in the order in which they began.
    async fn steps(&self, user: UserId, id: DocumentId) -> Result<Vec<FileProgress>, StoreError>;
    /// The same of its attempts before that, one attempt after the other.
    async fn earlier_steps(&self, user: UserId, id: DocumentId) -> Result<Vec<FileProgress>, StoreError>;
    /// The same of a job's documents, as they went in that job, whatever became of them since: of those `most` that began
    /// first, one document after the other.
    async fn steps_of_job(
        &self,
        user: UserId,
        job: JobId,
        most: u32,
    ) -> Result<Vec<FileProgress>, StoreError>;
    /// Those of the documents that there are or that a file was sent ahead for, whosever they are.
    async fn existing(&self, ids: &[DocumentId]) -> Result<BTreeSet<DocumentId>, StoreError>;
    /// Those of the files that belong to something: to a version of a document that is not given up, or to a file that was
    /// sent ahead.
    async fn kept_files(&self, files: &[FileOf]) -> Result<BTreeSet<FileOf>, StoreError>;
    /// Where the uploaded file lies.
    async fn blob_key(&self, user: UserId, id: DocumentId) -> Result<Option<String>, StoreError>;
}

/// The durable job queue. One conformance suite runs against every implementation.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Makes the job, its documents and their first events in one transaction. What the workspace has already is treated
    /// as that says (`domain::duplicates`): skipped, or made the next version of a document, which leaves the jobs that
    /// have it still to do. Emits `document_status` for each document, `job_update` and `workspace_status` (its counts
    /// changed). The same command answers the job that it made before.
    ///
    /// # Errors
    /// `Refused` when a file that was sent ahead is not there any more.
    async fn take_files(&self, new: NewJob, on_duplicate: OnDuplicate) -> Result<TakenFiles, StoreError>;

    /// The same, where each file becomes a document.
    ///
    /// # Errors
    /// As those of [`JobStore::take_files`].
    async fn create_job(&self, new: NewJob) -> Result<(Job, Vec<Document>), StoreError> {
        let taken = self.take_files(new, OnDuplicate::KeepBoth).await?;
        let job = taken.job.ok_or(StoreError::NotFound)?;
        Ok((job, taken.files.into_iter().map(|file| file.document).collect()))
    }

    /// Documents of the workspace that have one of the names or one of the contents, the newest first; none when the
    /// workspace is somebody else's.
    async fn known_files(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        names: &[&str],
        hashes: &[&str],
    ) -> Result<Vec<Known>, StoreError>;

    /// Those of the sizes, in bytes, that a document of the workspace has; none when it is somebody else's.
    async fn known_sizes(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        sizes: &[u64],
    ) -> Result<BTreeSet<u64>, StoreError>;

    /// Makes a job of exactly the documents of the workspace that are stale: ready, in no job's hands, and indexed with
    /// other settings than the workspace has now, or by an outside worker that it had before. `None` when there is none. An external workspace has none. The documents stay as they are until
    /// [`JobStore::requeue`], or a claim, takes them. Emits `job_update`.
    ///
    /// # Errors
    /// `NotFound` also when the workspace is somebody else's; `Refused` when its status does not allow it.
    async fn reindex(&self, new: NewReindex) -> Result<Option<Job>, StoreError>;

    /// Puts at most `limit` documents of a re-index job into its queue, where they were not yet; emits
    /// `document_status` for each and one `workspace_status`. Answers how many there were: 0 is the end.
    async fn requeue(
        &self,
        user: UserId,
        job: JobId,
        limit: u32,
        now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// Brings the `stale` of at most `limit` documents in line with what the workspace asks for now; emits
    /// `document_status` for each and one `workspace_status`. Answers how many there were: 0 is the end, and then the
    /// workspace is not `untold` any more.
    async fn compare(&self, workspace: WorkspaceId, limit: u32, now: Timestamp) -> Result<usize, StoreError>;

    async fn job(&self, user: UserId, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Those of them that are the user's, in no particular order.
    async fn jobs_by_id(&self, user: UserId, ids: &[JobId]) -> Result<Vec<Job>, StoreError>;

    /// What has not ended: first what runs, then what is paused, then what waits; the newest first in each.
    async fn jobs_under_way(&self, user: UserId, limit: u32) -> Result<Vec<Job>, StoreError>;

    /// Newest first.
    async fn jobs(
        &self,
        user: UserId,
        status: Option<JobStatus>,
        page: PageQuery,
    ) -> Result<Page<Job>, StoreError>;

    /// Those of a workspace, newest first.
    async fn jobs_of(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        page: PageQuery,
    ) -> Result<Page<Job>, StoreError>;

    async fn newest_job(&self, user: UserId, workspace: WorkspaceId) -> Result<Option<Job>, StoreError>;

    /// Takes at most `limit` documents whose turn it is: waiting, or leased by a worker whose lease ran out; of a
    /// pending or running job without a request, in a ready workspace that the built-in workers process; or one that they
    /// began, whoever processes the workspace by now. Fair: the user with the fewest leased documents goes first, then whoever
    /// got one longest ago, then the oldest job, then the document's place in it. Each claim raises the fence.
    /// Starts the job and the document where they are pending.
    async fn claim(
        &self,
        worker: &WorkerId,
        lease_seconds: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Extends the leases of those documents by the database's clock, as far as the worker still holds them; answers
    /// which those are. A document that the worker does not name loses its lease: the answer to a claim may have been
    /// lost, and then nobody works on what was claimed.
    async fn heartbeat(
        &self,
        worker: &WorkerId,
        in_hand: &[DocumentId],
        lease_seconds: u32,
    ) -> Result<Vec<DocumentId>, StoreError>;

    /// Commits a piece of work with its rows, its counts and its events, in one transaction. Where the chunks are too
    /// many for one, they are written ahead in several, under the fence, and nobody reads them before this one.
    ///
    /// # Errors
    /// `Fenced` when the claim is no longer the newest of the document, or it is already through.
    async fn checkpoint(
        &self,
        claim: &Claim,
        checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// What people did to passages of the claim's document.
    async fn marks(&self, claim: &Claim) -> Result<Vec<ChunkMark>, StoreError>;

    /// Of the passages of the claim's run that have no vector yet, those that are word for word in a passage of its
    /// workspace that searches find, with a vector of the same model; each with such a one. At most `limit`. Other
    /// workspaces are not looked at, also those of the same person.
    async fn known(&self, claim: &Claim, limit: u32) -> Result<Vec<(ChunkId, ChunkId)>, StoreError>;

    /// The other document of the workspace that has most of the passages of the claim's run among those that searches
    /// find.
    async fn most_alike(&self, claim: &Claim) -> Result<Option<Alike>, StoreError>;

    /// The newest other document of the claim's workspace that has the same name and is ready, with the version of its
    /// content.
    async fn namesake(&self, claim: &Claim) -> Result<Option<(DocumentId, u32)>, StoreError>;

    /// Removes a bounded part of the chunks that no search finds any more, where a worker that died left some. Answers
    /// 0 when there are none.
    async fn drop_dead_chunks(&self) -> Result<usize, StoreError>;

    /// Says that the document gets on, although nothing of it can be committed yet, or waits for something that others
    /// use: it is not stalled. Fenced like a checkpoint.
    async fn gets_on(&self, claim: &Claim, now: Timestamp) -> Result<(), StoreError>;

    /// Takes documents out of the hands of workers that hold them and got nowhere for `seconds`; at most `limit`. Each
    /// goes back into the queue, or fails when that was too often (`domain::ingest::stall`), and whoever held it writes
    /// nothing more. Emits what changed and answers how many there were.
    async fn end_stalled(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError>;

    /// Says of documents that were begun, got nowhere for `seconds` and are in nobody's hands that they are interrupted
    /// (`domain::ingest::interrupt`); at most `limit`. The next claim takes the word back. Emits what changed and answers
    /// how many there were.
    async fn tell_interrupted(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError>;

    /// Says of documents that an outside worker has begun, and of which nothing was reported for `seconds`, that they are
    /// unheard of (`domain::ingest::unheard`); at most `limit`. A report that says nothing new counts as well, and what
    /// nobody could report of, since its job stood or its workspace was not left to outside workers, has its whole time
    /// from when that is over. The next report takes the word back. Emits what changed and answers how many there were.
    async fn tell_unheard(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError>;

    /// Gives the document back, unfinished: the next claim goes on from its checkpoints. Fenced like a checkpoint. What
    /// was asked of the document is honoured with it, and what was asked of its job when no document of that is in hand
    /// any more.
    async fn release(&self, claim: &Claim, now: Timestamp) -> Result<(), StoreError>;

    /// Does what somebody wants of a job, or notes it as its request when workers have documents of it in hand; whoever
    /// gives the last one back honours it then. What is so already changes nothing. Emits what changed; answers the job.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Illegal` by the tables; `Refused` when nothing is left to retry.
    async fn control(
        &self,
        user: UserId,
        job: JobId,
        control: Control,
        now: Timestamp,
    ) -> Result<Job, StoreError>;

    /// The same of a retry that came under a key. Where it was begun under that before, nothing more is, however that
    /// attempt ended since. One that is refused leaves the key as it was.
    ///
    /// # Errors
    /// As [`JobStore::control`]; `OtherCommand`.
    async fn retry_under(
        &self,
        user: UserId,
        job: JobId,
        retry: Retry,
        command: Command,
        now: Timestamp,
    ) -> Result<Job, StoreError>;

    /// The same for one document; answers its job.
    ///
    /// # Errors
    /// As [`JobStore::control`]; `Refused` when the whole job is paused and the document is to go on.
    async fn control_document(
        &self,
        user: UserId,
        document: DocumentId,
        control: DocumentControl,
        now: Timestamp,
    ) -> Result<Job, StoreError>;

    /// Of the documents that the worker holds, those of which, or of whose jobs, somebody asked something: it gives them
    /// back at its next gate.
    async fn asked(&self, worker: &WorkerId) -> Result<Vec<DocumentId>, StoreError>;

    /// Honours requests of which nobody is left to do it, since the leases ran out; at most `limit`. Emits what changed
    /// and answers how many there were.
    async fn honour_requests(&self, limit: u32, now: Timestamp) -> Result<usize, StoreError>;

    /// The attempts of a job with the errors of their documents, the present one last; `None` when the user has no such
    /// job.
    async fn attempts(&self, user: UserId, job: JobId) -> Result<Option<Vec<Attempt>>, StoreError>;

    /// Applies what an outside worker says of a document, with its job, in one transaction; emits what changed, and
    /// nothing for what is so already.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Illegal` by the tables; `Refused` when the document is not for an
    /// outside worker, or its job stands.
    async fn report_document(
        &self,
        user: UserId,
        id: DocumentId,
        report: DocumentReport,
        now: Timestamp,
    ) -> Result<Document, StoreError>;

    /// Makes every lease free for the taking. Called by a starting server whose database nobody else can be using
    /// (SQLite): whoever held a lease is dead.
    async fn void_leases(&self) -> Result<u64, StoreError>;

    /// Tells waiting jobs their new place in the queue, where it is not what was told last; the nearest first, at most
    /// `limit`. Jobs of external workspaces have none, and count for none. Emits `job_update` for each and answers how many
    /// were told. However many servers do so at once, a place is told by one of them.
    async fn tell_queue(&self, limit: u32, now: Timestamp) -> Result<usize, StoreError>;

    /// Tells of jobs and documents what was held back because it came too soon after another word, where nothing newer
    /// was told since and the time is over; at most `limit` of each. Emits `job_update`, and `file_progress` or, outside of
    /// a step, `document_status`. Answers when the next of what is left may be told; `None` when nothing is held back.
    async fn tell_rest(&self, limit: u32, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Notes that somebody tells the person of the end of this attempt. False when it, or a later one, was told before;
    /// of any number that ask at once, one is the first.
    async fn tell_end(&self, user: UserId, job: JobId, attempt: u32) -> Result<bool, StoreError>;

    /// The same of the ends of jobs that completed or failed by that place in the user's log and that nobody told, at most
    /// `limit`, the newest first: they are told now. None of them is answered to two who ask.
    async fn tell_ends(&self, user: UserId, upto: u64, limit: u32) -> Result<Vec<EndedJob>, StoreError>;

    /// Chunks of the document that still have no vector, by ordinal: what embedding has left to do.
    async fn unembedded(&self, document: DocumentId, limit: u32) -> Result<Vec<Chunk>, StoreError>;

    /// At most `limit` passages of the newest run over the document that no language model was asked about.
    async fn unread(&self, document: DocumentId, limit: u32) -> Result<Unread, StoreError>;
}
