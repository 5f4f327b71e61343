//! Uploading and reading documents.

use crate::{
    Error, Result, Services, command, keys,
    ports::{BlobError, Blobs, NewDocument, NewJob, PageQuery},
    sent_files::NamedFiles,
    sweep::Underway,
};
use bytes::Bytes;
use domain::{
    Chunk, Document, DocumentId, DocumentStatus, FieldErrors, JobId, JobKind, UserId, WorkspaceId,
    event::FileProgress,
    provision::WorkspaceAction,
    resource::Page,
    upload::{self, kept_name},
};
use futures::stream::BoxStream;
use serde::Serialize;
use std::{path::PathBuf, sync::Arc};

/// A file of an upload that was taken: it is durable, but no document yet. Dropped, it takes its file with it, so that
/// an upload that is given up leaves nothing behind.
pub struct ReceivedFile {
    document: NewDocument,
    file: Kept,
}

impl ReceivedFile {
    pub(crate) fn into_parts(self) -> (NewDocument, Kept) {
        (self.document, self.file)
    }
}

/// A stored file that goes when nobody keeps it.
pub(crate) struct Kept {
    blobs: Arc<dyn Blobs>,
    key: Option<String>,
    /// No row names it yet, and it is no orphan.
    _underway: Option<Underway>,
}

impl Kept {
    pub(crate) fn keep(mut self) {
        self.key = None;
    }

    pub(crate) async fn remove(mut self) -> std::result::Result<(), BlobError> {
        match self.key.take() {
            Some(key) => self.blobs.delete(&key).await,
            None => Ok(()),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        // Outside of a runtime the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let blobs = self.blobs.clone();
        runtime.spawn(async move {
            if let Err(error) = blobs.delete(&key).await {
                tracing::warn!(key, %error, "a file of a given-up upload stays behind");
            }
        });
    }
}

/// A file of an upload that was refused; the others go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    pub filename: String,
    pub code: String,
    pub detail: String,
    /// What a request with this file alone would answer: 413, 415, 422 or 507.
    #[serde(skip)]
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    pub document_id: DocumentId,
    pub filename: String,
    pub status: DocumentStatus,
}

impl From<Document> for Accepted {
    fn from(d: Document) -> Self {
        Self { document_id: d.id, filename: d.filename, status: d.status }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UploadAnswer {
    pub job_id: JobId,
    pub documents: Vec<Accepted>,
    pub rejected: Vec<Rejected>,
}

/// The print of an upload: the names of all files, and the contents of those that were taken. None, when one was not
/// taken for want of room: it may be, when the same is sent again.
pub(crate) fn print(files: &[ReceivedFile], rejected: &[Rejected]) -> Option<String> {
    if rejected.iter().any(|r| r.status == upload::no_room().status) {
        return None;
    }
    let taken = files.iter().flat_map(|f| [&*f.document.filename, &*f.document.content_hash]);
    Some(command::print(taken.chain(["refused"]).chain(rejected.iter().map(|r| &*r.filename))))
}

/// What an upload is answered of which nothing was taken: the first reason, with those of all under `file`.
pub(crate) fn refusal(rejected: &[Rejected]) -> Error {
    let mut errors = FieldErrors::default();
    for r in rejected {
        errors.add("file", format!("{}: {}", r.filename, r.detail));
    }
    let Some(first) = rejected.first() else {
        return Error::Invalid(FieldErrors::one("file", "Choose at least one file."));
    };
    let mut problem = domain::Problem::new(first.status, &first.code, first.detail.clone());
    problem.errors = errors;
    Error::Problem(Box::new(problem))
}

impl Services {
    /// Whether files may be uploaded there: asked before a byte is read. Waits a while for a workspace that is being
    /// made.
    ///
    /// # Errors
    /// 409 with the code and the sentence of the workspace's status.
    pub async fn may_upload(&self, user: UserId, workspace: WorkspaceId) -> Result<()> {
        match self.made(user, workspace).await?.status.refuses(WorkspaceAction::Upload) {
            None => Ok(()),
            Some(refusal) => Err(refusal.into()),
        }
    }

    /// Takes one file of an upload: streams it to disk and tells its type by content.
    ///
    /// # Errors
    /// The inner error refuses this file alone; the outer one ends the upload (disk or client gone).
    pub async fn receive_file(
        &self,
        user: UserId,
        filename: &str,
        body: BoxStream<'static, std::result::Result<Bytes, BlobError>>,
    ) -> Result<std::result::Result<ReceivedFile, Rejected>> {
        let filename = kept_name(filename);
        let reject = |status, code: &str, detail: String| {
            Ok(Err(Rejected { filename: filename.clone(), code: code.to_owned(), detail, status }))
        };
        let id = DocumentId::new(self.ids.uuid());
        let blob_key = keys::document(user, id);
        let underway = self.uploads.begin(&blob_key);
        let received = match self.blobs.receive(&blob_key, body, self.limits.file_bytes).await {
            Ok(received) => received,
            Err(BlobError::TooLarge { limit }) => {
                let refused = upload::too_large(limit);
                return reject(refused.status, refused.code, refused.sentence);
            }
            Err(BlobError::Full(error)) => {
                tracing::error!(%error, "an upload was refused: the disk is full");
                let refused = upload::no_room();
                return reject(refused.status, refused.code, refused.sentence);
            }
            Err(BlobError::BrokenOff(reason)) => {
                tracing::debug!(reason, "an upload broke off");
                return Err(Error::problem(400, "broken_off", "The upload broke off before its end."));
            }
            Err(e) => return Err(e.into()),
        };
        let file = Kept { blobs: self.blobs.clone(), key: Some(blob_key.clone()), _underway: Some(underway) };
        if let Some(refused) = upload::refused_size(received.size, self.limits.file_bytes) {
            file.remove().await?;
            return reject(refused.status, refused.code, refused.sentence);
        }
        let path = self.blobs.path(&blob_key).await?;
        match self.file_types.detect(&path, &received.head, &filename).await {
            Ok(mime_type) => {
                let document = NewDocument {
                    id,
                    filename,
                    mime_type,
                    size_bytes: received.size,
                    content_hash: received.sha256,
                    blob_key,
                    sent_ahead: false,
                };
                Ok(Ok(ReceivedFile { document, file }))
            }
            Err(sentence) => {
                file.remove().await?;
                reject(415, "unsupported_type", sentence)
            }
        }
    }

    /// A file that has its row among those that were sent ahead: given up, it stays.
    pub(crate) fn sent_ahead(&self, document: NewDocument) -> ReceivedFile {
        ReceivedFile { document, file: Kept { blobs: self.blobs.clone(), key: None, _underway: None } }
    }

    /// Makes one job of files that were sent ahead. What became a document before is answered as it is.
    ///
    /// # Errors
    /// As those of [`Services::start_upload`].
    pub async fn start_upload_of(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        named: &[DocumentId],
        command_id: Option<String>,
    ) -> Result<UploadAnswer> {
        let NamedFiles { files, already, rejected } = self.named_files(user, workspace, named).await?;
        let made_before = already.first().and_then(|d| d.job_id);
        let already = already.into_iter().map(Accepted::from);
        match made_before {
            Some(job_id) if files.is_empty() => {
                Ok(UploadAnswer { job_id, documents: already.collect(), rejected })
            }
            _ => {
                let mut answer = self.start_upload(user, workspace, files, rejected, command_id).await?;
                answer.documents.extend(already);
                Ok(answer)
            }
        }
    }

    /// Makes a job of the files that were taken.
    ///
    /// # Errors
    /// 413, 415, 422 or 507 when none was taken: the status of the first refusal, its reasons under `file`.
    pub async fn start_upload(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        files: Vec<ReceivedFile>,
        rejected: Vec<Rejected>,
        command_id: Option<String>,
    ) -> Result<UploadAnswer> {
        if files.is_empty() {
            return Err(refusal(&rejected));
        }
        let command_print = print(&files, &rejected);
        let (documents, files): (Vec<NewDocument>, Vec<Kept>) =
            files.into_iter().map(|f| (f.document, f.file)).unzip();
        let new = NewJob {
            id: JobId::new(self.ids.uuid()),
            kind: JobKind::Upload,
            user_id: user,
            workspace_id: workspace,
            documents,
            command_id,
            command_print,
            created_at: self.clock.now(),
        };
        let jobs = self.jobs.clone();
        // On a task of its own: the one who asked may go away at any moment, but from here on the job may be made, and
        // then its files have to stay.
        let made = crate::actor::spawn(async move {
            let (job, documents) = match jobs.create_job(new).await {
                Ok(made) => made,
                Err(refused) => {
                    // Before the refusal is told, so that nothing of it is left when it is read.
                    for file in files {
                        if let Err(error) = file.remove().await {
                            tracing::warn!(%error, "a file of a refused upload stays behind");
                        }
                    }
                    return Err(refused.into());
                }
            };
            for file in files {
                // The same `Idempotency-Key` answers the first upload's documents; the second copies of the files go.
                let is_used = |key: &String| documents.iter().any(|d| key.ends_with(&d.id.to_string()));
                if file.key.as_ref().is_some_and(is_used) {
                    file.keep();
                } else {
                    file.remove().await?;
                }
            }
            Ok::<_, Error>((job, documents))
        });
        let made = made.await.map_err(|e| Error::Internal { what: "upload", cause: Box::new(e) })?;
        let (job, documents) = made?;
        Ok(UploadAnswer {
            job_id: job.job_id,
            documents: documents.into_iter().map(Accepted::from).collect(),
            rejected,
        })
    }

    pub async fn document(&self, user: UserId, id: DocumentId) -> Result<Document> {
        self.documents.document(user, id).await?.ok_or(Error::NotFound("document"))
    }

    /// What was told of the steps of its attempts before the present one, attempt after attempt.
    pub async fn earlier_steps(&self, user: UserId, id: DocumentId) -> Result<Vec<FileProgress>> {
        let document = self.document(user, id).await?;
        Ok(self.documents.earlier_steps(user, document.id).await?)
    }

    pub async fn list_documents(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        page: PageQuery,
    ) -> Result<Page<Document>> {
        self.workspace(user, workspace).await?;
        Ok(self.documents.documents(user, workspace, page).await?)
    }

    pub async fn list_chunks(
        &self,
        user: UserId,
        document: DocumentId,
        page: PageQuery,
    ) -> Result<Page<Chunk>> {
        self.document(user, document).await?;
        Ok(self.documents.chunks(user, document, page).await?)
    }

    /// The document and the path of its file.
    pub async fn content(&self, user: UserId, id: DocumentId) -> Result<(Document, PathBuf)> {
        let document = self.document(user, id).await?;
        let key = self.documents.blob_key(user, id).await?.ok_or(Error::NotFound("document"))?;
        Ok((document, self.blobs.path(&key).await?))
    }
}
