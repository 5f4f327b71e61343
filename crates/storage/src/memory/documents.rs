//! Reading documents, in memory.

use super::{MemoryStore, State};
use crate::{
    jobs::clean_option,
    page::{Cursor, List, limit_of, paged},
};
use async_trait::async_trait;
use domain::{
    Chunk, Document, DocumentId, JobId, Timestamp, UserId, WorkspaceId,
    event::{Event, FileProgress},
    ingest::NewChunk,
    labels::Edit,
    resource::{Page, Version},
};
use services::ports::{Documents, EventLog, FileOf, LoggedEvent, PageQuery, StoreError, VersionFile};
use std::collections::BTreeSet;

impl State {
    pub(super) fn document_of(&self, user: UserId, id: DocumentId) -> Option<&super::DocumentRow> {
        self.documents.get(&id).filter(|row| row.state.document.user_id == user)
    }
}

pub(super) fn chunk_of(document_id: DocumentId, version: u32, new: &NewChunk) -> Chunk {
    Chunk {
        id: new.id,
        document_id,
        ordinal: new.ordinal,
        text: new.text.clone(),
        page: new.page,
        heading: new.heading.clone(),
        char_start: new.char_start,
        char_end: new.char_end,
        token_count: new.token_count,
        enabled: new.enabled,
        edited: new.cut_hash.is_some(),
        version,
    }
}

#[async_trait]
impl Documents for MemoryStore {
    async fn existing(&self, ids: &[DocumentId]) -> Result<BTreeSet<DocumentId>, StoreError> {
        let state = self.lock();
        Ok(ids.iter().filter(|id| state.documents.contains_key(id)).copied().collect())
    }

    async fn document(&self, user: UserId, id: DocumentId) -> Result<Option<Document>, StoreError> {
        Ok(self.lock().document_of(user, id).map(|row| row.state.document.clone()))
    }

    async fn documents(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        tag: Option<&str>,
        page: PageQuery,
    ) -> Result<Page<Document>, StoreError> {
        let after = List::Documents.before(&page)?;
        let limit = limit_of(&page);
        let state = self.lock();
        let place = |d: &Document| (d.created_at.micros(), d.id.to_string());
        let mut documents: Vec<&Document> = state
            .documents
            .values()
            .map(|row| &row.state.document)
            .filter(|d| d.user_id == user && d.workspace_id == workspace)
            .filter(|d| tag.is_none_or(|tag| d.tags.iter().any(|t| t == tag)))
            .filter(|d| place(d) < (after.number, after.id.clone()))
            .collect();
        documents.sort_by_key(|d| std::cmp::Reverse(place(d)));
        let rows = documents.into_iter().take(limit as usize + 1).cloned().collect();
        Ok(paged(List::Documents, rows, limit, |d: &Document| Cursor::new(d.created_at.micros(), d.id)))
    }

    async fn chunks(
        &self,
        user: UserId,
        id: DocumentId,
        version: Option<u32>,
        page: PageQuery,
    ) -> Result<Page<Chunk>, StoreError> {
        let after = List::Chunks.behind(&page)?.number;
        let limit = limit_of(&page);
        let state = self.lock();
        let mut of = 1;
        let chunks = match state.document_of(user, id) {
            Some(row) if version.is_some_and(|version| version != row.state.document.version) => {
                of = version.unwrap_or_default();
                state.old_chunks.get(&(id, of)).map(Vec::as_slice).unwrap_or_default()
            }
            Some(row) => {
                let shown = if row.state.live > 0 { row.state.live } else { row.state.generation };
                of = row.state.document.version;
                state.chunks.get(&(id, shown)).map(Vec::as_slice).unwrap_or_default()
            }
            None => &[],
        };
        let rows = chunks
            .iter()
            .filter(|c| i64::from(c.ordinal) > after)
            .take(limit as usize + 1)
            .map(|c| chunk_of(id, of, c))
            .collect();
        Ok(paged(List::Chunks, rows, limit, |c: &Chunk| Cursor::new(i64::from(c.ordinal), c.id)))
    }

    async fn versions(&self, user: UserId, id: DocumentId) -> Result<Option<Vec<Version>>, StoreError> {
        let state = self.lock();
        Ok(state.document_of(user, id).map(|row| state.versions_of(row)))
    }

    async fn version_file(
        &self,
        user: UserId,
        id: DocumentId,
        version: u32,
    ) -> Result<Option<VersionFile>, StoreError> {
        let state = self.lock();
        let Some(row) = state.document_of(user, id) else { return Ok(None) };
        let d = &row.state.document;
        let file = |filename: &str, mime_type: &str, blob_key: &str| VersionFile {
            filename: filename.to_owned(),
            mime_type: mime_type.to_owned(),
            blob_key: blob_key.to_owned(),
        };
        Ok(match state.versions.get(&(id, version)) {
            Some(found) if found.served || d.next_version == Some(version) => {
                Some(file(&found.version.filename, &found.version.mime_type, &found.blob_key))
            }
            None if version == d.version => Some(file(&d.filename, &d.mime_type, &row.blob_key)),
            _ => None,
        })
    }

    async fn edit_document(
        &self,
        user: UserId,
        id: DocumentId,
        mut edit: Edit,
        now: Timestamp,
    ) -> Result<Document, StoreError> {
        clean_option(&mut edit.filename);
        let mut state = self.lock();
        let before = state.document_of(user, id).ok_or(StoreError::NotFound)?.state.document.clone();
        let mut after = before.clone();
        if edit.apply(&mut after, now)? {
            if after.filename != before.filename {
                state.note_present(id);
            }
            if let Some(row) = state.documents.get_mut(&id) {
                row.state.document = after.clone();
            }
            let logged = state.emit(user, Event::DocumentStatus(after), now)?;
            self.publish(vec![logged]);
        }
        Ok(state.document_of(user, id).ok_or(StoreError::NotFound)?.state.document.clone())
    }

    async fn kept_files(&self, files: &[FileOf]) -> Result<BTreeSet<FileOf>, StoreError> {
        let state = self.lock();
        let is_kept = |file: &&FileOf| {
            let of = |(id, version): &(DocumentId, u32), served: bool| {
                let next = state.documents.get(id).and_then(|row| row.state.document.next_version);
                served || next == Some(*version)
            };
            let kept = state.versions.iter().filter(|(key, row)| of(key, row.served));
            let present = state.documents.get(&file.document);
            match file.text_of {
                Some(version) => {
                    let is_own = |row: &super::DocumentRow| {
                        let d = &row.state.document;
                        d.version == version || d.next_version == Some(version)
                    };
                    present.is_some_and(is_own)
                        || kept.map(|(key, _)| *key).any(|key| key == (file.document, version))
                }
                None => {
                    present.is_some_and(|row| row.blob_key == file.key)
                        || kept.map(|(_, row)| &row.blob_key).any(|key| *key == file.key)
                }
            }
        };
        Ok(files.iter().filter(is_kept).cloned().collect())
    }

    async fn steps(&self, user: UserId, id: DocumentId) -> Result<Vec<FileProgress>, StoreError> {
        Ok(crate::documents::newest_steps(steps_of(self.after(user, 0, u32::MAX).await?, id)))
    }

    async fn earlier_steps(&self, user: UserId, id: DocumentId) -> Result<Vec<FileProgress>, StoreError> {
        Ok(crate::documents::earlier_steps(steps_of(self.after(user, 0, u32::MAX).await?, id)))
    }

    async fn steps_of_job(
        &self,
        user: UserId,
        job: JobId,
        most: u32,
    ) -> Result<Vec<FileProgress>, StoreError> {
        let mut by_document: Vec<Vec<FileProgress>> = vec![];
        for logged in self.after(user, 0, u32::MAX).await? {
            let Some(Event::FileProgress(p)) = logged.event() else { continue };
            if p.job_id != Some(job) {
                continue;
            }
            match by_document.iter_mut().find(|of_one| of_one[0].document_id == p.document_id) {
                Some(of_one) => of_one.push(p),
                None => by_document.push(vec![p]),
            }
        }
        by_document.truncate(most as usize);
        Ok(crate::documents::steps_by_document(by_document))
    }

    async fn blob_key(&self, user: UserId, id: DocumentId) -> Result<Option<String>, StoreError> {
        Ok(self.lock().document_of(user, id).map(|row| row.blob_key.clone()))
    }
}

fn steps_of(told: Vec<LoggedEvent>, id: DocumentId) -> impl Iterator<Item = FileProgress> {
    told.into_iter().filter_map(move |logged| match logged.event() {
        Some(Event::FileProgress(p)) if p.document_id == id => Some(p),
        _ => None,
    })
}
