//! Uploading and reading documents.

use crate::{
    Error, Result, Services, command, composed, keys,
    ports::{BlobError, Blobs, NewDocument, NewJob, PageQuery, StoreError, TakenFiles},
    sent_files::NamedFiles,
    spans,
    sweep::Underway,
};
use bytes::Bytes;
use domain::{
    Chunk, Document, DocumentId, DocumentStatus, FieldErrors, FileKind, JobId, JobKind, OnDuplicate, UserId,
    WorkspaceId,
    duplicates::{Known, Taken},
    event::FileProgress,
    labels::{self, Edit},
    provision::WorkspaceAction,
    resource::{Page, Version},
    upload::{self, kept_name},
};
use futures::stream::BoxStream;
use serde::Serialize;
use std::sync::Arc;

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
    /// One that is about to be stored.
    pub(crate) fn begin(services: &Services, key: &str) -> Self {
        let underway = services.uploads.begin(key);
        Self { blobs: services.blobs.clone(), key: Some(key.to_owned()), _underway: Some(underway) }
    }

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

/// A file of an upload, and the document that has it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Of the file, as one that was sent ahead is named.
    pub file_id: DocumentId,
    pub document_id: DocumentId,
    /// What the document is called; of one that has a name of its own, not what its file is called.
    pub filename: String,
    pub status: DocumentStatus,
    pub outcome: Taken,
    /// Of the document's content that the file is.
    pub version: u32,
}

impl Accepted {
    fn of(file_id: DocumentId, document: Document, outcome: Taken) -> Self {
        Self {
            file_id,
            document_id: document.id,
            version: document.next_version.unwrap_or(document.version),
            filename: document.filename,
            status: document.status,
            outcome,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UploadAnswer {
    /// Of what is to be done; when all files were skipped, the newest job of the first document that has one.
    pub job_id: Option<JobId>,
    pub documents: Vec<Accepted>,
    pub rejected: Vec<Rejected>,
}

/// A file that somebody is about to send.
#[derive(Clone, Debug)]
pub struct Offered {
    pub filename: String,
    pub size_bytes: Option<u64>,
    /// SHA-256, hexadecimal, where it is known by then.
    pub content_hash: Option<String>,
}

/// What a workspace has of a file that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The document with the very same content.
    pub same: Option<Known>,
    /// The document of the same name, with other content.
    pub namesake: Option<Known>,
    /// A document has as many bytes: it may be the same, which only its hash tells.
    pub same_size: bool,
}

/// The print of an upload: the names of all files, the contents of those that were taken, and what else was said. None,
/// when a file was not taken for want of room: it may be, when the same is sent again.
pub(crate) fn print<'a>(
    files: &'a [ReceivedFile],
    rejected: &'a [Rejected],
    said: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    if rejected.iter().any(|r| r.status == upload::no_room().status) {
        return None;
    }
    let taken = files.iter().flat_map(|f| [&*f.document.filename, &*f.document.content_hash]);
    let refused = rejected.iter().map(|r| &*r.filename);
    Some(command::print(taken.chain(["refused"]).chain(refused).chain(said)))
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

    /// Takes one file of an upload: streams it to where files lie and tells its type by content.
    ///
    /// # Errors
    /// The inner error refuses this file alone; the outer one ends the upload (disk or client gone).
    pub async fn receive_file(
        &self,
        user: UserId,
        filename: &str,
        body: BoxStream<'static, std::result::Result<Bytes, BlobError>>,
    ) -> Result<std::result::Result<ReceivedFile, Rejected>> {
        let filename = kept_name(&composed(filename.to_owned()));
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
                tracing::error!(%error, "an upload was refused: the disk is full, or the store of the files");
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
        match self.kind_of(&blob_key, &received.head, &filename).await? {
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

    /// The MIME type of a stored file, told by its content; or the sentence of a refusal.
    pub(crate) async fn kind_of(
        &self,
        key: &str,
        head: &Bytes,
        filename: &str,
    ) -> Result<std::result::Result<String, String>> {
        let whole = match self.file_types.wants_whole(head) {
            true => Some(self.blobs.open(key).await?),
            false => None,
        };
        Ok(self.file_types.detect(head, whole, filename).await)
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
        on_duplicate: OnDuplicate,
        command_id: Option<String>,
    ) -> Result<UploadAnswer> {
        let NamedFiles { files, already, rejected } = self.named_files(user, workspace, named).await?;
        let made_before = already.first().and_then(|(_, d, _)| d.job_id);
        let already = already.into_iter().map(|(file, document, taken)| Accepted::of(file, document, taken));
        if files.is_empty() && made_before.is_some() {
            return Ok(UploadAnswer { job_id: made_before, documents: already.collect(), rejected });
        }
        let mut answer =
            self.start_upload(user, workspace, files, rejected, on_duplicate, command_id).await?;
        answer.documents.extend(already);
        Ok(answer)
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
        on_duplicate: OnDuplicate,
        command_id: Option<String>,
    ) -> Result<UploadAnswer> {
        if files.is_empty() {
            return Err(refusal(&rejected));
        }
        let place = workspace.to_string();
        // Where the address of the command says it, it cannot be another one.
        let is_unnamed = command_id.as_deref().is_some_and(|command| !command.contains(&place));
        let way = (on_duplicate != OnDuplicate::default()).then(|| on_duplicate.as_str());
        let said = is_unnamed.then_some(place.as_str()).into_iter().chain(way);
        let command_print = print(&files, &rejected, said);
        let (documents, files): (Vec<NewDocument>, Vec<Kept>) =
            files.into_iter().map(|f| (f.document, f.file)).unzip();
        let received: Vec<(DocumentId, Option<String>)> =
            documents.iter().map(|d| (d.id, d.sent_ahead.then(|| d.blob_key.clone()))).collect();
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
        let drawn = new.id;
        let (jobs, blobs) = (self.jobs.clone(), self.blobs.clone());
        // On a task of its own: the one who asked may go away at any moment, but from here on the job may be made, and
        // then its files have to stay.
        let made = crate::actor::spawn(async move {
            let taken = match jobs.take_files(new, on_duplicate).await {
                Ok(taken) => taken,
                Err(failed) if !failed.wrote_nothing() => {
                    // The job may be there all the same, and then its files have to stay. Those of none the sweep finds.
                    files.into_iter().for_each(Kept::keep);
                    return Err(failed.into());
                }
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
            for (file, (id, sent_ahead)) in files.into_iter().zip(received) {
                // What was skipped goes, and so do the second copies of the files under the same `Idempotency-Key`. The job is
                // there by now and has to be told; what cannot be removed here, the sweep finds.
                let removed = if taken.files.iter().any(|t| t.keeps(id)) {
                    file.keep();
                    Ok(())
                } else if let Some(key) = sent_ahead {
                    let skipped = taken.files.iter().any(|t| t.file == id);
                    if skipped { blobs.delete(&key).await } else { Ok(()) }
                } else {
                    file.remove().await
                };
                if let Err(error) = removed {
                    tracing::warn!(%error, "a file that was not taken stays behind");
                }
            }
            Ok::<_, Error>(taken)
        });
        let made = made.await.map_err(|e| Error::Internal { what: "upload", cause: Box::new(e) })?;
        let TakenFiles { job, files } = made?;
        for file in &files {
            // On a line of the request: it leads from the request's id to that of the work, and back.
            tracing::debug!(correlation_id = %file.document.id, "a document was taken");
        }
        let job_id = job.map(|job| job.job_id).or_else(|| files.iter().find_map(|f| f.document.job_id));
        if let Some(job) = job_id {
            spans::led_to(job, drawn);
        }
        let documents = files.into_iter().map(|f| Accepted::of(f.file, f.document, f.taken)).collect();
        Ok(UploadAnswer { job_id, documents, rejected })
    }

    /// What the workspace has of files that somebody is about to send, in their order.
    ///
    /// # Errors
    /// `NotFound` also when the workspace is somebody else's; `Invalid` when there are too many.
    pub async fn held_files(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        offered: Vec<Offered>,
    ) -> Result<Vec<Held>> {
        self.workspace(user, workspace).await?;
        if offered.len() > self.limits.files {
            let message = format!("Ask for at most {} files at once.", self.limits.files);
            return Err(FieldErrors::one("files", message).into());
        }
        let offered: Vec<Offered> = offered
            .into_iter()
            .map(|file| Offered {
                filename: kept_name(&composed(file.filename)),
                size_bytes: file.size_bytes,
                content_hash: file.content_hash.map(|hash| hash.to_ascii_lowercase()),
            })
            .collect();
        let names: Vec<&str> = offered.iter().map(|file| file.filename.as_str()).collect();
        let hashes: Vec<&str> = offered.iter().filter_map(|file| file.content_hash.as_deref()).collect();
        let known = self.jobs.known_files(user, workspace, &names, &hashes).await?;
        let sizes: Vec<u64> = offered.iter().filter_map(|file| file.size_bytes).collect();
        let sizes = self.jobs.known_sizes(user, workspace, &sizes).await?;
        let held = |file: &Offered| {
            let same_bytes = |k: &&Known| Some(&k.content_hash) == file.content_hash.as_ref();
            let same = known.iter().find(same_bytes).cloned();
            let namesake = known.iter().find(|k| k.filename == file.filename && !same_bytes(k)).cloned();
            let same_size = file.size_bytes.is_some_and(|size| sizes.contains(&size));
            Held { namesake, same, same_size }
        };
        Ok(offered.iter().map(held).collect())
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
        tag: Option<&str>,
        page: PageQuery,
    ) -> Result<Page<Document>> {
        self.workspace(user, workspace).await?;
        let tag = match tag.map(|tag| labels::tag(&composed(tag.to_owned()))).transpose() {
            Ok(tag) => tag,
            Err(message) => return Err(FieldErrors::one("tag", message).into()),
        };
        Ok(self.documents.documents(user, workspace, tag.as_deref(), page).await?)
    }

    /// Its passages, or those of a version that was replaced.
    pub async fn list_chunks(
        &self,
        user: UserId,
        document: DocumentId,
        version: Option<u32>,
        page: PageQuery,
    ) -> Result<Page<Chunk>> {
        self.document(user, document).await?;
        Ok(self.documents.chunks(user, document, version, page).await?)
    }

    /// Its versions, the newest first.
    pub async fn versions(&self, user: UserId, id: DocumentId) -> Result<Vec<Version>> {
        self.documents.versions(user, id).await?.ok_or(Error::NotFound("document"))
    }

    /// Renames, tags, enables or disables a document.
    ///
    /// # Errors
    /// `Invalid` by field; 409 `too_many_tags`, `workspace_deleting`.
    pub async fn edit_document(&self, user: UserId, id: DocumentId, edit: Edit) -> Result<Document> {
        let all = |tags: Vec<String>| -> Vec<String> { tags.into_iter().map(composed).collect() };
        let edit = Edit {
            filename: edit.filename.map(composed),
            tags: edit.tags.map(all),
            add_tags: all(edit.add_tags),
            remove_tags: all(edit.remove_tags),
            enabled: edit.enabled,
        };
        let edit = edit.checked()?;
        let edited = self.documents.edit_document(user, id, edit, self.clock.now()).await;
        edited.map_err(|e| match e {
            StoreError::NotFound => Error::NotFound("document"),
            other => other.into(),
        })
    }

    /// Under which key the file of a document is stored, or that of one of its versions.
    ///
    /// # Errors
    /// `NotFound` also for a version that was given up.
    pub async fn content(&self, user: UserId, id: DocumentId, version: Option<u32>) -> Result<Content> {
        let document = self.document(user, id).await?;
        let (filename, mime_type, key) = match version.filter(|version| *version != document.version) {
            None => {
                let key = self.documents.blob_key(user, id).await?.ok_or(Error::NotFound("document"))?;
                (document.filename, document.mime_type, key)
            }
            Some(version) => {
                let file = self.documents.version_file(user, id, version).await?;
                let file = file.ok_or(Error::NotFound("version"))?;
                (file.filename, file.mime_type, file.blob_key)
            }
        };
        Ok(Content { filename, mime_type, key })
    }

    /// The beginning of a document's text, for showing it.
    ///
    /// # Errors
    /// 404 `not_read` before it was read; `NotFound` also for a version that was given up.
    pub async fn preview(&self, user: UserId, id: DocumentId, version: Option<u32>) -> Result<Preview> {
        let document = self.document(user, id).await?;
        let version = version.unwrap_or(document.version);
        let file = self.documents.version_file(user, id, version).await?;
        let file = file.ok_or(Error::NotFound("version"))?;
        let stored = match self.blobs.get(&keys::text(user, document.id, version)).await {
            Ok(bytes) => bytes,
            Err(BlobError::NotFound) => {
                return Err(Error::problem(404, "not_read", "This document was not read yet."));
            }
            Err(e) => return Err(e.into()),
        };
        let stored = self.chunker.text(stored).await?;
        let text: String = stored.chars().take(LONGEST_PREVIEW).collect();
        let whole = text.len() == stored.len();
        let kind = FileKind::of_mime(&file.mime_type);
        let shown = kind.and_then(|kind| self.file_types.structure(kind, &text));
        Ok(Preview { version, is_html: shown.is_some(), body: shown.unwrap_or(text), whole })
    }
}

/// Characters of a preview: many pages, and no more than a browser shows without trouble.
const LONGEST_PREVIEW: usize = 100_000;

/// The file of a document, to be handed out.
pub struct Content {
    pub filename: String,
    pub mime_type: String,
    /// Under which it is stored.
    pub key: String,
}

/// The beginning of a document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Of the document's content.
    pub version: u32,
    /// It is HTML, which holds nothing but text and its structure; otherwise it is plain text.
    pub is_html: bool,
    pub body: String,
    /// There is no more of it.
    pub whole: bool,
}
