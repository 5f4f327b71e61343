//! Versions of documents, in memory: the same steps as in `jobs::versions` and `jobs::create`.

use super::{DocumentRow, State, Task, TaskStatus, VersionRow, work::TaskKey};
use crate::jobs::{Sorted, sent, upload};
use domain::{
    Document, DocumentId, JobId, OnDuplicate, Timestamp, UserId, WorkspaceId,
    duplicates::{self, Fate, Known, Taken},
    ingest::{self, DocumentState, JobState, Told, control},
    resource::{Version, VersionState},
    status::Processor,
};
use services::ports::{LoggedEvent, NewDocument, NewJob, StoreError};

type Files = Vec<(DocumentId, DocumentId, Taken)>;

impl State {
    pub(super) fn like(&self, workspace: WorkspaceId, names: &[&str], hashes: &[&str]) -> Vec<Known> {
        let mut found: Vec<(Timestamp, Known)> = vec![];
        for row in self.documents.values().filter(|row| row.state.document.workspace_id == workspace) {
            let d = &row.state.document;
            let known = |content_hash: &str| Known {
                id: d.id,
                filename: d.filename.clone(),
                content_hash: content_hash.to_owned(),
            };
            if names.contains(&d.filename.as_str()) || hashes.contains(&d.content_hash.as_str()) {
                found.push((d.created_at, known(&d.content_hash)));
            }
            if let Some(next) = row.state.next.as_ref().filter(|n| hashes.contains(&n.content_hash.as_str()))
            {
                found.push((d.created_at, known(&next.content_hash)));
            }
        }
        found.sort_by_key(|(at, known)| std::cmp::Reverse((*at, known.id)));
        found.into_iter().map(|(_, known)| known).collect()
    }

    /// Answers the id of the job, where there is one, and who has each file.
    pub(super) fn take_files(
        &mut self,
        new: &NewJob,
        on_duplicate: OnDuplicate,
        db_now: Timestamp,
    ) -> Result<(Option<JobId>, Files, Vec<LoggedEvent>), StoreError> {
        let found = self.workspaces.get(&new.workspace_id).filter(|(w, _)| w.user_id == new.user_id);
        let (workspace, config) = found.cloned().ok_or(StoreError::NotFound)?;
        let fates = self.fates(new, on_duplicate);
        let sorted = Sorted::of(&new.documents, &fates);
        let files = sorted.taken(new, &fates);
        if sorted.work.is_empty() {
            return Ok((None, files, vec![]));
        }
        let now = new.created_at;
        let size = (sorted.replaced.len() as u64, sorted.replaced.iter().map(|(_, d)| d.size_bytes).sum());
        let uploads: Vec<_> = sorted.added.iter().map(|d| upload(d)).collect();
        let (job, mut documents, mut told) = ingest::create_with(
            (new.id, new.kind),
            new.user_id,
            new.workspace_id,
            &uploads,
            size,
            &config,
            now,
        );
        let word_of_job = told.events.pop();
        for (document, same) in documents.iter_mut().zip(&sorted.same) {
            if let Some((of, name)) = same {
                told.events.extend(ingest::say_duplicate(document, (*of, name.as_str()), now));
            }
        }
        for (document, upload) in documents.into_iter().zip(&sorted.added) {
            let row = DocumentRow { state: document, blob_key: upload.blob_key.clone() };
            self.documents.insert(upload.id, row);
        }
        let mut logged = vec![];
        for (id, file) in &sorted.replaced {
            logged.extend(self.set_free(*id, (db_now, now))?);
            let replaced = self.replace(&job, *id, file, workspace.processor, now)?;
            told.events.extend(replaced.events);
        }
        told.events.extend(word_of_job);
        for (place, id) in sorted.work.iter().enumerate() {
            self.tasks.insert((new.id, job.job.attempt, *id), Task::waiting(place));
        }
        let told = self.add_job(job, new.command_id.clone(), told);
        logged.extend(self.tell(new.user_id, new.workspace_id, told, now)?);
        Ok((Some(new.id), files, logged))
    }

    fn fates(&self, new: &NewJob, on_duplicate: OnDuplicate) -> Vec<Fate> {
        let hashes: Vec<&str> = new.documents.iter().map(|d| d.content_hash.as_str()).collect();
        let names: Vec<&str> = match on_duplicate {
            OnDuplicate::Replace => new.documents.iter().map(|d| d.filename.as_str()).collect(),
            OnDuplicate::Skip | OnDuplicate::KeepBoth => vec![],
        };
        let known = self.like(new.workspace_id, &names, &hashes);
        duplicates::fates(&sent(&new.documents), &known, on_duplicate)
    }

    /// Takes a document out of the jobs that have it still to do.
    fn set_free(
        &mut self,
        id: DocumentId,
        times: (Timestamp, Timestamp),
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let state = self.documents.get(&id).ok_or(StoreError::NotFound)?.state.clone();
        let has = |(key, task): &(&TaskKey, &Task)| {
            let job = self.jobs.get(&key.0).map(|row| &row.state.job);
            key.2 == id
                && task.status != TaskStatus::Ended
                && job.is_some_and(|job| job.attempt == key.1 && !job.status.is_final())
        };
        let jobs: Vec<TaskKey> = self.tasks.iter().filter(has).map(|(key, _)| *key).collect();
        let mut logged = vec![];
        for key in jobs {
            if let Some(task) = self.tasks.get_mut(&key) {
                task.status = TaskStatus::Ended;
                task.owner.clear();
                task.not_before = Timestamp::default();
            }
            let mut job = self.jobs.get(&key.0).ok_or(StoreError::NotFound)?.state.clone();
            let told = control::withdraw(&mut job, &state, times.1)?;
            let (user, workspace) = (job.job.user_id, job.job.kb_id);
            if let Some(row) = self.jobs.get_mut(&key.0) {
                row.state = job.clone();
            }
            logged.extend(self.tell(user, workspace, told, times.1)?);
            logged.extend(self.honour_job(job, times)?);
        }
        Ok(logged)
    }

    fn replace(
        &mut self,
        job: &JobState,
        id: DocumentId,
        new: &NewDocument,
        processor: Processor,
        now: Timestamp,
    ) -> Result<Told, StoreError> {
        self.note_present(id);
        let last = self.versions.range((id, 0)..=(id, u32::MAX)).next_back();
        let version = last.map_or(1, |((_, version), _)| version + 1);
        let row = self.documents.get_mut(&id).ok_or(StoreError::NotFound)?;
        let before = row.state.clone();
        let mut state = before.clone();
        if processor == Processor::External && state.live > 0 {
            (state.live, state.live_chunks, state.indexed) = (0, 0, None);
        }
        let told = ingest::replace(job, &mut state, &upload(new), version, now)?;
        let added = VersionRow {
            version: Version {
                version,
                state: VersionState::Next,
                filename: new.filename.clone(),
                mime_type: new.mime_type.clone(),
                size_bytes: new.size_bytes,
                content_hash: new.content_hash.clone(),
                chunk_count: 0,
                created_at: now,
                replaced_at: None,
                actor: Some(services::actor::current()),
            },
            blob_key: new.blob_key.clone(),
            served: false,
        };
        self.versions.insert((id, version), added);
        let live = state.live;
        if state.next.is_none() {
            self.take_over(&before, &state, now);
        }
        if let Some(row) = self.documents.get_mut(&id) {
            row.state = state;
        }
        self.drop_chunks(id, |run| run != live);
        Ok(told)
    }

    pub(super) fn take_over(&mut self, before: &DocumentState, after: &DocumentState, now: Timestamp) {
        let id = after.document.id;
        if let Some(old) = self.versions.get_mut(&(id, before.document.version)) {
            old.version.chunk_count = before.live_chunks;
            old.version.replaced_at = Some(now);
        }
        let Some(new) = self.versions.get_mut(&(id, after.document.version)) else { return };
        new.served = true;
        let blob_key = new.blob_key.clone();
        if let Some(row) = self.documents.get_mut(&id) {
            row.blob_key = blob_key;
        }
    }

    /// The row of the version that the document has, where it has none yet.
    pub(super) fn note_present(&mut self, id: DocumentId) {
        let Some(row) = self.documents.get(&id) else { return };
        let d = &row.state.document;
        let actor = self.first_actor(d.user_id, id);
        let version = Version { actor, ..Version::only(d, row.state.live_chunks) };
        let present = VersionRow { version, blob_key: row.blob_key.clone(), served: true };
        self.versions.entry((id, d.version)).or_insert(present);
    }

    fn first_actor(&self, user: UserId, id: DocumentId) -> Option<domain::Actor> {
        let log = self.logs.get(&user)?;
        let of = |kept: &&super::Kept| kept.about.document == Some(id);
        log.kept.values().find(of).map(|kept| kept.actor.clone())
    }

    pub(super) fn versions_of(&self, row: &DocumentRow) -> Vec<Version> {
        let d: &Document = &row.state.document;
        let chunks = if row.state.live > 0 { row.state.live_chunks } else { d.chunk_count };
        let rows = self.versions.range((d.id, 0)..=(d.id, u32::MAX)).rev();
        let mut versions: Vec<Version> = rows
            .map(|((_, version), row)| {
                let state = VersionState::of(*version, row.served, d);
                let kept = row.version.chunk_count;
                let chunk_count = if state == VersionState::Current { chunks } else { kept };
                Version { state, chunk_count, ..row.version.clone() }
            })
            .collect();
        if versions.is_empty() {
            versions.push(Version::only(d, chunks));
        }
        versions
    }
}
