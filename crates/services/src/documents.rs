//! Uploading and reading documents.

use crate::{
    Error, Result, Services,
    ports::{BlobError, NewDocument, NewJob, PageQuery},
};
use bytes::Bytes;
use domain::{
    Chunk, Document, DocumentId, DocumentStatus, FieldErrors, JobId, JobKind, UserId, WorkspaceId,
    WorkspaceStatus, resource::Page,
};
use futures::stream::BoxStream;
use serde::Serialize;
use std::path::PathBuf;

/// A file of an upload that was taken: it is durable, but no document yet.
#[derive(Debug)]
pub struct ReceivedFile(NewDocument);

/// A file of an upload that was refused; the others go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    pub filename: String,
    pub code: String,
    pub detail: String,
    /// What a request with this file alone would answer: 413, 415 or 422.
    #[serde(skip)]
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    pub document_id: DocumentId,
    pub filename: String,
    pub status: DocumentStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UploadAnswer {
    pub job_id: JobId,
    pub documents: Vec<Accepted>,
    pub rejected: Vec<Rejected>,
}

impl Services {
    /// Whether files may be uploaded there: asked before a byte is read.
    pub async fn may_upload(&self, user: UserId, workspace: WorkspaceId) -> Result<()> {
        match self.workspace(user, workspace).await?.status {
            WorkspaceStatus::Ready | WorkspaceStatus::Provisioning => Ok(()),
            WorkspaceStatus::Error => Err(Error::problem(
                409,
                "workspace_error",
                "This workspace could not be made ready. Retry that first.",
            )),
            WorkspaceStatus::Deleting => {
                Err(Error::problem(409, "workspace_deleting", "This workspace is being deleted."))
            }
        }
    }

    /// Takes one file of an upload: streams it to disk and tells its type by content.
    ///
    /// # Errors
    /// The inner error refuses this file alone; the outer one ends the upload (disk or client gone).
    pub async fn receive_file(
        &self,
        filename: &str,
        body: BoxStream<'static, std::result::Result<Bytes, BlobError>>,
    ) -> Result<std::result::Result<ReceivedFile, Rejected>> {
        let filename = clean_filename(filename);
        let reject = |status, code: &str, detail: String| {
            Ok(Err(Rejected { filename: filename.clone(), code: code.to_owned(), detail, status }))
        };
        let id = DocumentId::new(self.ids.uuid());
        let blob_key = format!("documents/{id}");
        let received = match self.blobs.receive(&blob_key, body, self.limits.file_bytes).await {
            Ok(received) => received,
            Err(BlobError::TooLarge { limit }) => {
                return reject(
                    413,
                    "too_large",
                    format!("The file is larger than {} MB.", limit / 1024 / 1024),
                );
            }
            Err(BlobError::BrokenOff(reason)) => {
                tracing::debug!(reason, "an upload broke off");
                return Err(Error::problem(400, "broken_off", "The upload broke off before its end."));
            }
            Err(e) => return Err(e.into()),
        };
        if received.size == 0 {
            self.blobs.delete(&blob_key).await?;
            return reject(422, "empty_file", "The file is empty.".into());
        }
        let path = self.blobs.path(&blob_key).await?;
        match self.file_types.detect(&path, &received.head, &filename).await {
            Ok(mime_type) => Ok(Ok(ReceivedFile(NewDocument {
                id,
                filename,
                mime_type,
                size_bytes: received.size,
                content_hash: received.sha256,
                blob_key,
            }))),
            Err(sentence) => {
                self.blobs.delete(&blob_key).await?;
                reject(415, "unsupported_type", sentence)
            }
        }
    }

    /// Makes a job of the files that were taken.
    ///
    /// # Errors
    /// 413, 415 or 422 when none was taken: the status of the first refusal, its reasons under `file`.
    pub async fn start_upload(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        files: Vec<ReceivedFile>,
        rejected: Vec<Rejected>,
        command_id: Option<String>,
    ) -> Result<UploadAnswer> {
        if files.is_empty() {
            let mut errors = FieldErrors::default();
            for r in &rejected {
                errors.add("file", format!("{}: {}", r.filename, r.detail));
            }
            let Some(first) = rejected.first() else {
                return Err(Error::Invalid(FieldErrors::one("file", "Choose at least one file.")));
            };
            let mut problem = domain::Problem::new(first.status, &first.code, first.detail.clone());
            problem.errors = errors;
            return Err(Error::Problem(Box::new(problem)));
        }
        let keys: Vec<String> = files.iter().map(|f| f.0.blob_key.clone()).collect();
        let made = self
            .jobs
            .create_job(NewJob {
                id: JobId::new(self.ids.uuid()),
                kind: JobKind::Upload,
                user_id: user,
                workspace_id: workspace,
                documents: files.into_iter().map(|f| f.0).collect(),
                command_id,
                created_at: self.clock.now(),
            })
            .await;
        let (job, documents) = match made {
            Ok(made) => made,
            Err(e) => {
                for key in keys {
                    let _ = self.blobs.delete(&key).await;
                }
                return Err(e.into());
            }
        };
        // The same `Idempotency-Key` answers the first upload's documents; the second copies of the files go.
        for key in keys {
            if !documents.iter().any(|d| key.ends_with(&d.id.to_string())) {
                self.blobs.delete(&key).await?;
            }
        }
        Ok(UploadAnswer {
            job_id: job.job_id,
            documents: documents
                .into_iter()
                .map(|d| Accepted { document_id: d.id, filename: d.filename, status: d.status })
                .collect(),
            rejected,
        })
    }

    pub async fn document(&self, user: UserId, id: DocumentId) -> Result<Document> {
        self.documents.document(user, id).await?.ok_or(Error::NotFound("document"))
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

/// A name that is safe to show and to send back: the last part of a path, without control characters, at most 200
/// characters, never empty.
fn clean_filename(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    let clean = clean.trim();
    if clean.is_empty() { "untitled".to_owned() } else { clean.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filename_loses_its_path_and_its_control_characters() {
        assert_eq!(clean_filename("../../etc/passwd"), "passwd");
        assert_eq!(clean_filename("C:\\Users\\ada\\notes.txt"), "notes.txt");
        assert_eq!(clean_filename("a\u{0}b\r\n.txt"), "ab.txt");
        assert_eq!(clean_filename("  "), "untitled");
    }
}
