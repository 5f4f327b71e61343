//! Files that are sent ahead, one by one, before an upload makes one job of them all: so each can be refused, broken off
//! or sent again by itself.

use crate::{
    Error, ReceivedFile, Rejected, Result, Services,
    documents::{print, refusal},
    ports::{NewDocument, SentFile},
};
use domain::{Document, DocumentId, UserId, WorkspaceId, duplicates::Taken};
use std::collections::{BTreeMap, BTreeSet};

/// How long a file is kept that no upload asks for, in seconds.
const KEPT_SECONDS: i64 = 24 * 3_600;

/// What an upload finds of the files that it names.
#[derive(Default)]
pub(crate) struct NamedFiles {
    pub files: Vec<ReceivedFile>,
    /// Those that documents have: the same upload, sent again.
    pub already: Vec<(DocumentId, Document, Taken)>,
    /// Those that are not here any more, or never were.
    pub rejected: Vec<Rejected>,
}

impl Services {
    /// Keeps a file that was sent ahead.
    ///
    /// # Errors
    /// The refusal of the file; 422 when the idempotency key was used for something else.
    pub async fn keep_file(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        received: std::result::Result<ReceivedFile, Rejected>,
        command_id: Option<String>,
    ) -> Result<NewDocument> {
        let received = received.map_err(|rejected| refusal(&[rejected]))?;
        let command_print = print(std::slice::from_ref(&received), &[], None);
        let (document, file) = received.into_parts();
        let new = SentFile {
            document,
            user_id: user,
            workspace_id: workspace,
            command_id,
            command_print,
            created_at: self.clock.now(),
        };
        let store = self.sent_files.clone();
        // On a task of its own: the one who asked may go away at any moment, but from here on the row may be made, and
        // then its file has to stay.
        let kept = crate::actor::spawn(async move {
            let id = new.document.id;
            let kept = match store.keep_file(new).await {
                Ok(kept) => kept,
                Err(e) => {
                    if !e.wrote_nothing() {
                        // The row may be there all the same. A file that has none the sweep finds.
                        file.keep();
                    }
                    return Err(e.into());
                }
            };
            if kept.id == id {
                file.keep();
            } else {
                file.remove().await?;
            }
            Ok::<_, Error>(kept)
        });
        kept.await.map_err(|e| Error::Internal { what: "sent file", cause: Box::new(e) })?
    }

    /// Removes a file that was sent ahead.
    ///
    /// # Errors
    /// `NotFound` also when it is a document by now.
    pub async fn drop_file(&self, user: UserId, id: DocumentId) -> Result<()> {
        let key = self.sent_files.drop_file(user, id).await.map_err(|e| match e {
            crate::ports::StoreError::NotFound => Error::NotFound("file"),
            other => other.into(),
        })?;
        Ok(self.blobs.delete(&key).await?)
    }

    /// Finds the files that an upload names, in the order in which it names them.
    pub(crate) async fn named_files(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        ids: &[DocumentId],
    ) -> Result<NamedFiles> {
        let mut named = NamedFiles::default();
        if ids.is_empty() {
            return Ok(named);
        }
        let sent = self.sent_files.sent_files(user, workspace, ids).await?;
        let mut sent: BTreeMap<DocumentId, NewDocument> = sent.into_iter().map(|d| (d.id, d)).collect();
        let mut seen = BTreeSet::new();
        for id in ids.iter().copied().filter(|id| seen.insert(*id)) {
            if let Some(document) = sent.remove(&id) {
                named.files.push(self.sent_ahead(document));
                continue;
            }
            let went = self.sent_files.became(user, id).await?.unwrap_or((id, Taken::Added));
            match self.documents.document(user, went.0).await? {
                Some(document) if document.workspace_id == workspace => {
                    named.already.push((id, document, went.1));
                }
                _ => named.rejected.push(Rejected {
                    filename: id.to_string(),
                    code: "file_gone".to_owned(),
                    detail: "This file is not on the server any more. Send it again.".to_owned(),
                    status: 422,
                }),
            }
        }
        Ok(named)
    }

    /// Forgets the files that nobody asked for; answers how many. The sweeper finds what lies on the disk.
    pub(crate) async fn drop_old_files(&self) -> Result<u64> {
        Ok(self.sent_files.drop_old_files(self.clock.now().plus_seconds(-KEPT_SECONDS)).await?)
    }
}
