//! Uploads that go on after they broke off: a file is announced with its size, comes in parts, and is a file like any
//! other once it is whole. What was acknowledged is durable; whoever comes back asks how much that is.

use crate::{
    Error, Rejected, Result, Services, command, composed,
    documents::{Kept, refusal},
    keys,
    ports::{BlobError, NewDocument, PartialFile, StoreError, WholeFile},
};
use bytes::Bytes;
use domain::{
    DocumentId, OnDuplicate, Timestamp, UserId, WorkspaceId,
    upload::{self, kept_name},
};
use futures::{StreamExt, stream::BoxStream};
use uuid::Uuid;

/// How long a file is kept of which no part comes, in seconds.
const KEPT_SECONDS: i64 = 24 * 3_600;
/// A file that has all its bytes for so many seconds, and is no document, has nobody who is about to make it one.
const LEFT_SECONDS: i64 = 600;
/// So many bytes at most are lost of one part when the server is killed in the middle of it.
const ACKNOWLEDGED_EVERY: u64 = 4 * 1024 * 1024;

/// What a sender says of a file before its first byte.
pub struct Announced {
    pub filename: String,
    pub size_bytes: u64,
    /// The first workspace when absent.
    pub workspace: Option<WorkspaceId>,
    /// SHA-256 of the whole file, hexadecimal.
    pub sha256: Option<String>,
    /// Once whole it becomes a document by itself. Otherwise it waits for an upload that names it.
    pub alone: bool,
    /// What becomes of it then, where the workspace has the same already.
    pub on_duplicate: OnDuplicate,
    /// All that the sender said, in its own notation: it is given back as it is.
    pub metadata: Option<String>,
}

/// The next bytes of a file.
pub struct Part {
    /// Where the sender believes that the file stands.
    pub offset: u64,
    pub body: BoxStream<'static, std::result::Result<Bytes, BlobError>>,
    /// Whether what came is what was sent, asked at the end of the body. Without it every byte that came counts, also of
    /// a body that broke off.
    pub verify: Option<Box<dyn FnOnce() -> bool + Send>>,
}

/// How far a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub id: DocumentId,
    /// The document that has it, once it is whole: one of its own, where that has its id.
    pub document_id: DocumentId,
    pub workspace_id: WorkspaceId,
    pub filename: String,
    pub size_bytes: u64,
    /// What is durable of it.
    pub received_bytes: u64,
    /// When it is forgotten, unless a part of it comes; `None` when it is whole.
    pub expires_at: Option<Timestamp>,
    /// What its sender said of it; of one that is whole [`Services::upload_metadata`] knows.
    metadata: Option<String>,
}

impl Standing {
    fn of_part(file: &PartialFile) -> Self {
        Self {
            id: file.id,
            document_id: file.id,
            workspace_id: file.workspace_id,
            filename: file.filename.clone(),
            size_bytes: file.size_bytes,
            received_bytes: file.received_bytes,
            expires_at: Some(file.updated_at.plus_seconds(KEPT_SECONDS)),
            metadata: file.metadata.clone(),
        }
    }

    fn of_whole(document: &NewDocument, workspace_id: WorkspaceId) -> Self {
        Self {
            id: document.id,
            document_id: document.id,
            workspace_id,
            filename: document.filename.clone(),
            size_bytes: document.size_bytes,
            received_bytes: document.size_bytes,
            expires_at: None,
            metadata: None,
        }
    }

    pub fn is_whole(&self) -> bool {
        self.expires_at.is_none()
    }
}

const DAMAGED: &str = "The file was damaged in transfer. Send it again.";

fn damaged() -> Error {
    // The status that the tus protocol has for it.
    Error::problem(460, "damaged_in_transfer", DAMAGED)
}

fn stands_elsewhere(at: u64) -> Error {
    let detail = format!("The upload stands at byte {at}. Ask where it stands, and go on from there.");
    Error::problem(409, "wrong_offset", detail)
}

impl Services {
    /// Announces a file. The same command answers the file that it announced before.
    ///
    /// # Errors
    /// The refusals of a file by its size; those of an upload into the workspace.
    pub async fn announce_upload(
        &self,
        user: UserId,
        announced: Announced,
        command_id: Option<String>,
    ) -> Result<Standing> {
        let workspace = match announced.workspace {
            Some(workspace) => workspace,
            None => self.first_workspace(user).await?,
        };
        self.may_upload(user, workspace).await?;
        let filename = kept_name(&composed(announced.filename));
        if let Some(refused) = upload::refused_size(announced.size_bytes, self.limits.file_bytes) {
            return Err(rejected(&filename, refused.status, refused.code, refused.sentence));
        }
        // The same key names the same file for ever, also once that is whole.
        let id = match &command_id {
            Some(command) => {
                let print = command::print([user.to_string().as_str(), "upload", command]);
                DocumentId::new(Uuid::from_u128(u128::from_str_radix(&print[..32], 16).unwrap_or_default()))
            }
            None => DocumentId::new(self.ids.uuid()),
        };
        if let Some(command) = &command_id {
            match self.upload_standing(user, id).await {
                // What came of it may have another name by now, or be another document, which had the same already.
                Ok(known) => {
                    let (files, size) = (&self.partial_files, announced.size_bytes);
                    let is_same = known.workspace_id == workspace
                        && files.has_announced(user, command, &filename, size).await?;
                    return if is_same { Ok(known) } else { Err(StoreError::OtherCommand.into()) };
                }
                Err(Error::NotFound(_)) => {}
                Err(e) => return Err(e),
            }
        }
        let new = PartialFile {
            id,
            user_id: user,
            workspace_id: workspace,
            filename,
            size_bytes: announced.size_bytes,
            received_bytes: 0,
            content_hash: announced.sha256.map(|hash| hash.to_ascii_lowercase()),
            alone: announced.alone,
            on_duplicate: announced.on_duplicate,
            blob_key: keys::drawn(user, id, self.ids.uuid()),
            metadata: announced.metadata,
            updated_at: self.clock.now(),
        };
        let kept = self.partial_files.announce_file(new, command_id).await.map_err(|e| match e {
            StoreError::NotFound => Error::NotFound("workspace"),
            other => other.into(),
        })?;
        Ok(Standing::of_part(&kept))
    }

    /// How far the file is. A file that has all its bytes, and of which a killed server could not say so any more, is
    /// made whole on the way.
    ///
    /// # Errors
    /// As those of [`Services::extend_upload`].
    pub async fn upload_standing(&self, user: UserId, id: DocumentId) -> Result<Standing> {
        match self.partial_files.partial_file(user, id).await? {
            Some(file) if file.received_bytes < file.size_bytes => Ok(Standing::of_part(&file)),
            Some(file) => self.on_its_own(|services| async move { services.make_whole(file).await }).await,
            None => self.on_its_own(|services| async move { services.whole_standing(user, id).await }).await,
        }
    }

    /// What the sender said of the file when it announced it, in its own notation.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn upload_metadata(&self, user: UserId, standing: &Standing) -> Result<Option<String>> {
        if !standing.is_whole() {
            return Ok(standing.metadata.clone());
        }
        Ok(self.partial_files.announced_metadata(user, standing.id).await?)
    }

    /// Takes the next part of a file. What came of it is durable when this returns, also when the body broke off; the
    /// last part makes the file whole.
    ///
    /// # Errors
    /// 409 `wrong_offset` when the file stands elsewhere, 423 when somebody else is sending a part of it, 460 when what
    /// came is not what was sent; 413, 415 and 422 when the whole file is refused, which is then gone.
    pub async fn extend_upload(&self, user: UserId, id: DocumentId, part: Part) -> Result<Standing> {
        let Some(file) = self.partial_files.partial_file(user, id).await? else {
            let standing = self.upload_standing(user, id).await?;
            // The last part was sent again, since its answer was lost.
            return if part.offset == standing.size_bytes {
                Ok(standing)
            } else {
                Err(stands_elsewhere(standing.size_bytes))
            };
        };
        if part.offset != file.received_bytes {
            return Err(stands_elsewhere(file.received_bytes));
        }
        // The one who sends may go away at any moment; what came is kept all the same.
        self.on_its_own(|services| async move { services.take_part(file, part).await }).await
    }

    /// Gives a file up that is not whole, or that is and waits for an upload.
    ///
    /// # Errors
    /// `NotFound` also when it is a document by now.
    pub async fn give_up_upload(&self, user: UserId, id: DocumentId) -> Result<()> {
        match self.partial_files.forget_file(user, id).await {
            Ok(key) => Ok(self.blobs.delete(&key).await?),
            Err(StoreError::NotFound) => self.drop_file(user, id).await,
            Err(e) => Err(e.into()),
        }
    }

    /// Makes documents of the files that came whole, and whose server was killed before it could: their sender believes
    /// that all is done, and may never ask again. Each is taken by one job, however many servers look at once.
    pub(crate) async fn finish_left_uploads(&self) -> Result<usize> {
        let left = self.partial_files.left_files(self.clock.now().plus_seconds(-LEFT_SECONDS)).await?;
        let mut finished = 0;
        for (user, id) in left {
            match self.upload_standing(user, id).await {
                Ok(_) => finished += 1,
                // Refused like any other, or another server was faster. What can be tried again is, in the next round.
                Err(error) => {
                    tracing::warn!(%error, document_id = %id, "a file that came whole is no document yet");
                }
            }
        }
        Ok(finished)
    }

    pub(crate) async fn forget_old_uploads(&self) -> Result<u64> {
        Ok(self.partial_files.forget_old_files(self.clock.now().plus_seconds(-KEPT_SECONDS)).await?)
    }

    /// Somebody may give the upload up while a part of it comes, or be through with it, and the part comes to lie there
    /// after the others went: nothing of that stays either.
    async fn take_part(&self, file: PartialFile, part: Part) -> Result<Standing> {
        let (user, id, key) = (file.user_id, file.id, file.blob_key.clone());
        let taken = self.put_part(file, part).await;
        if taken.is_err()
            && matches!(self.partial_files.partial_file(user, id).await, Ok(None))
            && let Err(error) = self.give_up_file(&key, id).await
        {
            tracing::warn!(%error, document_id = %id, "a part of an upload that was given up stays behind");
        }
        taken
    }

    async fn put_part(&self, mut file: PartialFile, part: Part) -> Result<Standing> {
        // A sender that comes back has a new line; the old one may look alive for a while yet.
        let Some(turn) = self.uploads.begin_alone(&file.blob_key).await else {
            return Err(Error::problem(
                423,
                "upload_locked",
                "Another request is sending a part of this file.",
            ));
        };
        // Whoever had the turn before may have moved it on. At another server that one may still be sending, and may wake
        // up at any time: nothing of that is noted from now on, and all that it can still write is parts of its own turn.
        let (offset, now) = (part.offset, self.clock.now());
        let begun = self.partial_files.begin_part(file.user_id, file.id, offset, now).await?;
        let Some(number) = begun else { return self.moved_on(&file).await };
        let Part { body, verify, .. } = part;
        let mut body = body.take_until(turn.wanted()).boxed();
        let mut broken_off = None;
        let enough = if verify.is_some() { u64::MAX } else { ACKNOWLEDGED_EVERY };
        let mut verify = verify;
        loop {
            let (at, room) = (file.received_bytes, file.size_bytes - file.received_bytes);
            let came = self.blobs.append(&file.blob_key, number, at, &mut body, enough, room).await;
            let came = match came {
                Ok(came) => came,
                Err(BlobError::TooLarge { .. }) => {
                    let detail = "More bytes came than the file was said to have.";
                    return Err(Error::problem(413, "too_long", detail));
                }
                Err(BlobError::NotFound) => return self.lost(&file, number).await,
                Err(e) => return Err(e.into()),
            };
            if let Some(verify) = verify.take() {
                if came.broken_off.is_some() || turn.is_wanted() {
                    return Err(Error::problem(400, "broken_off", "The part broke off before its end."));
                }
                if !verify() {
                    return Err(damaged());
                }
            }
            let (from, now) = (file.received_bytes, self.clock.now());
            let noted = self.partial_files.extend_file(file.user_id, file.id, number, from, came.end, now);
            if !noted.await? {
                return self.moved_on(&file).await;
            }
            (file.received_bytes, file.updated_at) = (came.end, now);
            broken_off = came.broken_off.or(broken_off);
            if !came.more {
                break;
            }
        }
        if file.received_bytes == file.size_bytes {
            return self.make_whole(file).await;
        }
        if let Some(reason) = broken_off {
            tracing::debug!(%reason, document_id = %file.id, "a part of an upload broke off; what came is kept");
        }
        Ok(Standing::of_part(&file))
    }

    /// Somebody else has gone on with the file: tells where it stands.
    async fn moved_on(&self, file: &PartialFile) -> Result<Standing> {
        let at = match self.partial_files.partial_file(file.user_id, file.id).await? {
            Some(now) => now.received_bytes,
            None => self.whole_standing(file.user_id, file.id).await?.size_bytes,
        };
        Err(stands_elsewhere(at))
    }

    /// What came before is not there any more. Where the turn is over, it may be so because the file is whole; otherwise
    /// nothing can be put behind it, and the sender has to begin anew.
    async fn lost(&self, file: &PartialFile, turn: u64) -> Result<Standing> {
        let (at, now) = (file.received_bytes, self.clock.now());
        if !self.partial_files.extend_file(file.user_id, file.id, turn, at, at, now).await? {
            return self.moved_on(file).await;
        }
        self.refuse(file, Error::NotFound("upload")).await
    }

    /// The file can become nothing: it is forgotten, and its sender is told why. Unless another request has made something
    /// of it: this one then looked at parts that were on their way out.
    async fn refuse(&self, file: &PartialFile, why: Error) -> Result<Standing> {
        match self.partial_files.forget_file(file.user_id, file.id).await {
            Ok(key) => {
                self.blobs.delete(&key).await?;
                Err(why)
            }
            Err(StoreError::NotFound) => match self.whole_standing(file.user_id, file.id).await {
                // Another request has just come to the same end.
                Err(Error::NotFound(_)) => Err(why),
                standing => standing,
            },
            Err(e) => Err(e.into()),
        }
    }

    /// All bytes are here: makes one file of them under a key of its own, looks at it as at any other, and hands it on. Two
    /// may do so at once; the one whose file gets the row wins, and only then the parts go.
    async fn make_whole(&self, file: PartialFile) -> Result<Standing> {
        let key = keys::drawn(file.user_id, file.id, self.ids.uuid());
        let made = Kept::begin(self, &key);
        let found = match self.blobs.put_together(&file.blob_key, file.size_bytes, &key).await {
            Ok(found) => found,
            Err(BlobError::NotFound) => {
                if self.partial_files.partial_file(file.user_id, file.id).await?.is_some() {
                    return Err(BlobError::NotFound.into());
                }
                self.drop_parts(&file).await;
                return self.whole_standing(file.user_id, file.id).await;
            }
            Err(e) => return Err(e.into()),
        };
        if file.content_hash.as_ref().is_some_and(|hash| *hash != found.sha256) {
            made.remove().await?;
            return self.refuse(&file, damaged()).await;
        }
        let mime_type = match self.kind_of(&key, &found.head, &file.filename).await? {
            Ok(mime_type) => mime_type,
            Err(sentence) => {
                let refused = rejected(&file.filename, 415, "unsupported_type", sentence);
                made.remove().await?;
                return self.refuse(&file, refused).await;
            }
        };
        let document = NewDocument {
            id: file.id,
            filename: file.filename.clone(),
            mime_type,
            size_bytes: found.size,
            content_hash: found.sha256,
            blob_key: key,
            sent_ahead: true,
        };
        match self.partial_files.complete_file(file.user_id, document, self.clock.now()).await {
            Ok(()) => {
                made.keep();
                self.drop_parts(&file).await;
            }
            // By another request; what became of it is there to be read.
            Err(StoreError::NotFound) => {
                if let Err(error) = made.remove().await {
                    tracing::warn!(%error, document_id = %file.id, "a second file of an upload stays behind");
                }
            }
            Err(e) => {
                // The row may be there all the same, and then its file has to stay. That of none the sweep finds.
                if !e.wrote_nothing() {
                    made.keep();
                }
                return Err(e.into());
            }
        }
        self.whole_standing(file.user_id, file.id).await
    }

    /// No row names the parts any more, so the sweep finds what stays of them.
    async fn drop_parts(&self, file: &PartialFile) {
        if let Err(error) = self.blobs.delete(&file.blob_key).await {
            tracing::warn!(%error, document_id = %file.id, "the parts of an upload stay behind");
        }
    }

    /// A file that is whole; one that becomes a document by itself does so now, where it has not yet.
    async fn whole_standing(&self, user: UserId, id: DocumentId) -> Result<Standing> {
        if let Some(WholeFile { document, workspace_id, alone, on_duplicate }) =
            self.partial_files.whole_file(user, id).await?
        {
            let mut standing = Standing::of_whole(&document, workspace_id);
            if alone {
                let made = self.start_upload_of(user, workspace_id, &[id], on_duplicate, None).await?;
                standing.document_id = made.documents.first().map_or(id, |d| d.document_id);
            }
            return Ok(standing);
        }
        let went = self.sent_files.became(user, id).await?.map_or(id, |(document, _)| document);
        let document = self.documents.document(user, went).await?.ok_or(Error::NotFound("upload"))?;
        Ok(Standing {
            id,
            document_id: went,
            workspace_id: document.workspace_id,
            filename: document.filename,
            size_bytes: document.size_bytes,
            received_bytes: document.size_bytes,
            expires_at: None,
            metadata: None,
        })
    }

    /// Does the work on a task that does not end with the request.
    async fn on_its_own<T, W>(&self, work: impl FnOnce(Services) -> W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let task = crate::actor::spawn(work(self.clone()));
        task.await.map_err(|e| Error::Internal { what: "resumable upload", cause: Box::new(e) })?
    }
}

fn rejected(filename: &str, status: u16, code: &str, detail: String) -> Error {
    refusal(&[Rejected { filename: filename.to_owned(), code: code.to_owned(), detail, status }])
}
