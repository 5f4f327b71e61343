//! Files that a workspace has already, and versions of documents: the next one is made beside the one that is found, takes
//! its place in one transaction, and leaves it alone when it does not get that far.

use crate::{
    desk::{Desk, JobSubject, failed, loaded, new_chunk, step, words, worker},
    on_every_store,
};
use domain::{
    Chunk, DocumentId, DocumentStatus, Event, JobStatus, OnDuplicate, Step, UserId, WorkspaceId,
    duplicates::Taken,
    ingest::{
        Checkpoint, REPLACE_CANCELLED, REPLACE_FAILED, Stage,
        control::{Control, DocumentControl, Retry},
    },
    labels::Edit,
    resource::{Version, VersionState},
};
use services::ports::{Claim, FileOf, NewJob, PageQuery, StoreError, TakenFiles};

/// Files by name and content.
type Files<'a> = &'a [(&'a str, &'a str)];

impl<S: JobSubject> Desk<S> {
    fn new_upload(&self, user: UserId, workspace: WorkspaceId, files: Files<'_>) -> NewJob {
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let mut new = self.new_job(user, workspace, &names);
        for (document, (_, content)) in new.documents.iter_mut().zip(files) {
            document.content_hash = format!("hash of {content}");
            document.size_bytes = content.len() as u64;
        }
        new
    }

    async fn take(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        files: Files<'_>,
        on_duplicate: OnDuplicate,
    ) -> TakenFiles {
        self.jobs.take_files(self.new_upload(user, workspace, files), on_duplicate).await.unwrap()
    }

    /// A document with that content that is ready, with these passages.
    async fn ready_with(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        file: (&str, &str),
        passages: &[&str],
    ) -> DocumentId {
        let taken = self.take(user, workspace, &[file], OnDuplicate::KeepBoth).await;
        let claim = self.claim_one("w").await;
        self.cut_into(&claim, passages).await;
        self.rest_of(&claim).await;
        taken.files[0].document.id
    }

    async fn cut_into(&self, claim: &Claim, passages: &[&str]) {
        self.check(claim, step(Step::ExtractingText)).await.unwrap();
        self.check(claim, loaded()).await.unwrap();
        let chunk = |(n, text): (usize, &&str)| new_chunk(self.chunk_id(), n as u32, text);
        let chunks = passages.iter().enumerate().map(chunk).collect();
        self.check(claim, Checkpoint::Chunked { chunks }).await.unwrap();
    }

    async fn rest_of(&self, claim: &Claim) {
        self.work(&Claim { stage: Stage::Embedding, ..claim.clone() }, 0).await;
    }

    async fn versions(&self, user: UserId, id: DocumentId) -> Vec<Version> {
        self.documents.versions(user, id).await.unwrap().expect("the document is there")
    }

    async fn states(&self, user: UserId, id: DocumentId) -> Vec<(u32, VersionState)> {
        self.versions(user, id).await.iter().map(|v| (v.version, v.state)).collect()
    }

    async fn passages_of(&self, user: UserId, id: DocumentId, version: u32) -> Vec<Chunk> {
        let page = PageQuery::first(PageQuery::MAX);
        self.documents.chunks(user, id, Some(version), page).await.unwrap().items
    }
}

fn texts(chunks: &[Chunk]) -> Vec<&str> {
    chunks.iter().map(|c| c.text.as_str()).collect()
}

async fn the_next_version_takes_the_place_of_the_one_that_is_found(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready_with(user, workspace, ("a.txt", "one"), &["first", "second"]).await;
    let first = d.chunks(user, id).await;
    let before = d.document(user, id).await;
    assert_eq!(d.states(user, id).await, [(1, VersionState::Current)], "no version but its own");
    let base = d.head(user).await;

    let taken = d.take(user, workspace, &[("a.txt", "other")], OnDuplicate::Replace).await;
    let job = taken.job.expect("a job").job_id;
    assert_eq!((taken.files.len(), taken.files[0].taken), (1, Taken::Replaced));
    let waiting = &taken.files[0].document;
    assert_eq!(waiting.id, id);
    assert_eq!(
        (waiting.status, waiting.version, waiting.next_version),
        (DocumentStatus::Pending, 1, Some(2))
    );
    assert_eq!((waiting.size_bytes, &waiting.content_hash), (3, &before.content_hash), "of what is found");
    let told = d.words_after(user, base).await;
    assert_eq!(told, ["a.txt pending", "job pending", "workspace 0/1 ready"]);
    assert_eq!(d.states(user, id).await, [(2, VersionState::Next), (1, VersionState::Current)]);

    let claim = d.claim_one("w").await;
    assert_eq!((claim.document_id, claim.version, claim.job_id), (id, 2, job));
    assert_eq!(claim.blob_key, format!("documents/{}", taken.files[0].file), "the new file");
    assert_eq!(
        d.jobs.namesake(&claim).await.unwrap(),
        Some((id, 1)),
        "a table is held against the one before"
    );
    d.cut_into(&claim, &["first", "third", "fourth"]).await;
    // What has not changed is not embedded again.
    let known = d.jobs.known(&claim, 10).await.unwrap();
    assert_eq!(known.iter().map(|(_, old)| *old).collect::<Vec<_>>(), [first[0].id]);
    d.check(&claim, Checkpoint::Known { passages: known }).await.unwrap();
    assert_eq!(d.chunks(user, id).await, first, "found as before until the end");
    d.rest_of(&claim).await;

    let after = d.document(user, id).await;
    assert_eq!((after.status, after.version, after.next_version), (DocumentStatus::Ready, 2, None));
    assert_eq!((after.size_bytes, after.content_hash.as_str()), (5, "hash of other"));
    assert_eq!(after.created_at, before.created_at);
    assert_eq!(d.job(user, job).await.metrics.chunks_skipped, 1);
    let now = d.chunks(user, id).await;
    assert_eq!(texts(&now), ["first", "third", "fourth"]);
    assert!(now.iter().all(|c| c.version == 2));
    // The one before is at hand, passage by passage, under the same ids.
    let old = d.passages_of(user, id, 1).await;
    assert_eq!(old, first);
    assert!(old.iter().all(|c| c.version == 1));
    let versions = d.versions(user, id).await;
    assert_eq!(d.states(user, id).await, [(2, VersionState::Current), (1, VersionState::Replaced)]);
    assert_eq!((versions[0].chunk_count, versions[1].chunk_count), (3, 2));
    assert!(versions[1].replaced_at.is_some() && versions[0].replaced_at.is_none());
    assert_eq!(versions[1].content_hash, before.content_hash);
    let file = d.documents.version_file(user, id, 1).await.unwrap().expect("its file is kept");
    assert_eq!(file.blob_key, format!("documents/{id}"));
    d.assert_that_the_stream_told_the_truth(user).await;

    // And the third.
    d.take(user, workspace, &[("a.txt", "third")], OnDuplicate::Replace).await;
    let claim = d.claim_one("w").await;
    assert_eq!(claim.version, 3);
    d.cut_into(&claim, &["fifth"]).await;
    d.rest_of(&claim).await;
    let all = [(3, VersionState::Current), (2, VersionState::Replaced), (1, VersionState::Replaced)];
    assert_eq!(d.states(user, id).await, all);
    assert_eq!(texts(&d.passages_of(user, id, 2).await), ["first", "third", "fourth"]);
    assert_eq!(d.passages_of(user, id, 1).await, first);
    assert!(d.passages_of(user, id, 4).await.is_empty());
    assert_eq!(d.documents.version_file(user, id, 4).await.unwrap(), None);
}

async fn a_version_that_fails_leaves_the_one_before_and_a_retry_goes_on_with_it(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready_with(user, workspace, ("a.txt", "one"), &["first", "second"]).await;
    let before = (d.document(user, id).await, d.chunks(user, id).await);
    for stage in [Stage::Loading, Stage::Chunking, Stage::Embedding] {
        let taken = d.take(user, workspace, &[("a.txt", "bad")], OnDuplicate::Replace).await;
        let (job, version) = (taken.job.expect("a job").job_id, taken.files[0].document.next_version);
        let claim = d.claim_one("w").await;
        match stage {
            Stage::Embedding => d.cut_into(&claim, &["x", "y", "z"]).await,
            Stage::Chunking => d.check(&claim, loaded()).await.unwrap(),
            _ => {}
        }
        d.check(&claim, failed("It is broken.")).await.unwrap();
        let kept = d.document(user, id).await;
        assert_eq!((kept.status, kept.version, kept.next_version), (DocumentStatus::Ready, 1, version));
        assert_eq!((&kept.content_hash, kept.chunk_count), (&before.0.content_hash, 2));
        assert_eq!(kept.metadata, before.0.metadata, "of the version that is found");
        let warned: Vec<_> = kept.warnings.iter().filter(|w| w.code == REPLACE_FAILED).collect();
        assert_eq!(warned.len(), 1, "{kept:?}");
        assert!(
            warned[0].message.contains("It is broken.") && warned[0].message.contains("version 1 is found")
        );
        assert_eq!(d.chunks(user, id).await, before.1);
        assert_eq!(d.job(user, job).await.status, JobStatus::Failed);
        assert_eq!(d.states(user, id).await[0], (version.unwrap(), VersionState::Failed));
    }
    // Those that the next one took the place of are given up, and their numbers are never given again.
    let given_up = [
        (4, VersionState::Failed),
        (3, VersionState::GivenUp),
        (2, VersionState::GivenUp),
        (1, VersionState::Current),
    ];
    assert_eq!(d.states(user, id).await, given_up);
    assert_eq!(d.documents.version_file(user, id, 3).await.unwrap(), None);
    let job = d.document(user, id).await.job_id.expect("a job");
    d.jobs.control(user, job, Control::Retry(Retry::failed()), d.now()).await.unwrap();
    let retried = d.document(user, id).await;
    assert_eq!((retried.status, retried.next_version), (DocumentStatus::Pending, Some(4)));
    assert!(retried.warnings.iter().all(|w| w.code != REPLACE_FAILED));
    let claim = d.claim_one("w").await;
    assert_eq!(claim.version, 4);
    d.cut_into(&claim, &["mended"]).await;
    d.rest_of(&claim).await;
    let after = d.document(user, id).await;
    assert_eq!((after.version, after.content_hash.as_str()), (4, "hash of bad"));
    assert_eq!(texts(&d.chunks(user, id).await), ["mended"]);
    let job = d.job(user, job).await;
    let m = job.metrics;
    assert_eq!((job.status, m.documents_done, m.documents_failed), (JobStatus::Completed, 1, 0));
    assert_eq!(
        (m.chunks_created, m.chunks_embedded, m.pages_found),
        (1, 1, 3),
        "the failed run counts no more"
    );
    assert_eq!(d.passages_of(user, id, 1).await, before.1);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_cancel_goes_back_to_the_version_before(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready_with(user, workspace, ("a.txt", "one"), &["first", "second"]).await;
    let before = (d.document(user, id).await, d.chunks(user, id).await);
    for (alone, keep_results) in [(true, true), (true, false), (false, true), (false, false)] {
        let taken = d.take(user, workspace, &[("a.txt", "two")], OnDuplicate::Replace).await;
        let job = taken.job.expect("a job").job_id;
        let claim = d.claim_one("w").await;
        d.cut_into(&claim, &["x", "y", "z"]).await;
        if alone {
            let cancel = DocumentControl::Cancel { keep_results };
            d.jobs.control_document(user, id, cancel, d.now()).await.unwrap();
        } else {
            d.jobs.control(user, job, Control::Cancel { keep_results }, d.now()).await.unwrap();
        }
        // Also the last checkpoint honours it: that version never becomes the one that is found.
        let vectors = d.next_vectors(id).await;
        d.check(&claim, vectors).await.unwrap();
        d.check(&claim, Checkpoint::Indexed).await.unwrap();
        let kept = d.document(user, id).await;
        assert_eq!((kept.status, kept.version, kept.chunk_count), (DocumentStatus::Ready, 1, 2));
        assert_eq!((&kept.content_hash, &kept.metadata), (&before.0.content_hash, &before.0.metadata));
        assert!(kept.warnings.iter().any(|w| w.code == REPLACE_CANCELLED), "{kept:?}");
        assert_eq!(d.chunks(user, id).await, before.1);
        assert_eq!(d.job(user, job).await.status, JobStatus::Cancelled);
    }
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn taking_back_a_job_keeps_what_was_replaced_by_it(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready_with(user, workspace, ("a.txt", "one"), &["first"]).await;
    let files = [("a.txt", "two"), ("new.txt", "new"), ("waits.txt", "waits")];
    let taken = d.take(user, workspace, &files, OnDuplicate::Replace).await;
    let job = taken.job.expect("a job");
    assert_eq!(job.metrics.documents_total, 3);
    let outcomes: Vec<_> = taken.files.iter().map(|f| f.taken).collect();
    assert_eq!(outcomes, [Taken::Replaced, Taken::Added, Taken::Added]);
    for wanted in [id, taken.files[1].document.id] {
        let claim = d.claim_one("w").await;
        assert_eq!(claim.document_id, wanted, "in the order of the files");
        d.cut_into(&claim, &["second"]).await;
        d.rest_of(&claim).await;
    }
    d.jobs.control(user, job.job_id, Control::Cancel { keep_results: false }, d.now()).await.unwrap();
    let kept = d.document(user, id).await;
    assert_eq!((kept.status, kept.version), (DocumentStatus::Ready, 2));
    assert_eq!(d.document(user, taken.files[1].document.id).await.status, DocumentStatus::Failed);
    assert_eq!(texts(&d.chunks(user, id).await), ["second"]);
}

async fn taking_back_a_job_leaves_nothing_of_a_version_before_which_nothing_was_found(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let taken = d.take(user, workspace, &[("a.txt", "bad")], OnDuplicate::KeepBoth).await;
    let id = taken.files[0].document.id;
    d.check(&d.claim_one("w").await, failed("It is broken.")).await.unwrap();
    // The second time as well: what was taken back is found no more either.
    for (version, content) in [(2, "two"), (3, "three")] {
        let waits = format!("waits for {content}");
        let files = [("a.txt", content), (waits.as_str(), waits.as_str())];
        let taken = d.take(user, workspace, &files, OnDuplicate::Replace).await;
        let claim = d.claim_one("w").await;
        assert_eq!((claim.document_id, claim.version), (id, version));
        d.cut_into(&claim, &["first", "second"]).await;
        d.rest_of(&claim).await;
        assert_eq!(texts(&d.chunks(user, id).await), ["first", "second"]);
        let job = taken.job.expect("a job").job_id;
        d.jobs.control(user, job, Control::Cancel { keep_results: false }, d.now()).await.unwrap();
        let gone = d.document(user, id).await;
        assert_eq!((gone.status, gone.version, gone.chunk_count), (DocumentStatus::Failed, version, 0));
        assert!(d.chunks(user, id).await.is_empty(), "nothing of it is left");
        assert_eq!(d.job(user, job).await.status, JobStatus::Cancelled);
    }
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_document_in_hand_gets_its_next_content_and_who_had_it_writes_nothing_more(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let first = d.take(user, workspace, &[("a.txt", "one"), ("b.txt", "b")], OnDuplicate::KeepBoth).await;
    let (id, job) = (first.files[0].document.id, first.job.expect("a job").job_id);
    let claim = d.claim_one("w").await;
    d.cut_into(&claim, &["first", "second"]).await;
    let taken = d.take(user, workspace, &[("a.txt", "two")], OnDuplicate::Replace).await;
    let waiting = &taken.files[0].document;
    // Nothing of it was found yet: the new content is the document's at once.
    assert_eq!((waiting.id, waiting.version, waiting.next_version), (id, 2, None));
    assert_eq!((waiting.content_hash.as_str(), waiting.chunk_count), ("hash of two", 0));
    let late = d.check(&claim, Checkpoint::Indexed).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(d.job(user, job).await.metrics.documents_total, 1, "the other one is left to it");
    while let Some(claim) = d.jobs.claim(&worker("w"), 60, 1, d.now()).await.unwrap().pop() {
        d.cut_into(&claim, &["third"]).await;
        d.rest_of(&claim).await;
    }
    assert_eq!(texts(&d.chunks(user, id).await), ["third"]);
    assert_eq!(d.states(user, id).await, [(2, VersionState::Current), (1, VersionState::Replaced)]);
    assert!(d.passages_of(user, id, 1).await.is_empty(), "it never had any that was found");
    for job in [job, taken.job.expect("a job").job_id] {
        assert_eq!(d.job(user, job).await.status, JobStatus::Completed);
    }
    // The same while a version is found already.
    let second = d.take(user, workspace, &[("a.txt", "three")], OnDuplicate::Replace).await;
    let claim = d.claim_one("w").await;
    d.cut_into(&claim, &["given up"]).await;
    let third = d.take(user, workspace, &[("a.txt", "four")], OnDuplicate::Replace).await;
    let late = d.next_vectors(id).await;
    assert!(matches!(d.check(&claim, late).await, Err(StoreError::Fenced)));
    assert_eq!(texts(&d.chunks(user, id).await), ["third"]);
    let claim = d.claim_one("w").await;
    assert_eq!(claim.version, 4);
    d.cut_into(&claim, &["fourth"]).await;
    d.rest_of(&claim).await;
    let states = d.states(user, id).await;
    assert_eq!(states[..2], [(4, VersionState::Current), (3, VersionState::GivenUp)]);
    assert_eq!(texts(&d.passages_of(user, id, 2).await), ["third"]);
    assert_eq!(d.job(user, second.job.expect("a job").job_id).await.status, JobStatus::Cancelled);
    assert_eq!(d.job(user, third.job.expect("a job").job_id).await.status, JobStatus::Completed);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_worker_that_dies_at_any_step_leaves_the_version_before(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready_with(user, workspace, ("a.txt", "one"), &["first", "second"]).await;
    let found = d.chunks(user, id).await;
    d.take(user, workspace, &[("a.txt", "two")], OnDuplicate::Replace).await;
    let passages = ["a", "b", "c", "d"];
    let mut stage = Stage::Loading;
    while stage != Stage::Done {
        let dead = d.claim_and_die("dead", 1).await.pop().expect("its lease ran out at once");
        assert_eq!((dead.stage, dead.version), (stage, 2));
        assert_eq!(d.chunks(user, id).await, found, "until the last step");
        let claim = d.claim_one("w").await;
        let next = match stage {
            Stage::Loading => loaded(),
            Stage::Chunking => {
                let chunk = |(n, text): (usize, &&str)| new_chunk(d.chunk_id(), n as u32, text);
                Checkpoint::Chunked { chunks: passages.iter().enumerate().map(chunk).collect() }
            }
            Stage::Embedding => d.next_vectors(id).await,
            _ => Checkpoint::Indexed,
        };
        assert!(matches!(d.check(&dead, next.clone()).await, Err(StoreError::Fenced)));
        d.check(&claim, next).await.unwrap();
        let left = d.jobs.unembedded(id, 1).await.unwrap().len();
        stage = match stage {
            Stage::Loading => Stage::Chunking,
            Stage::Chunking => Stage::Embedding,
            Stage::Embedding if left > 0 => Stage::Embedding,
            Stage::Embedding => Stage::Indexing,
            _ => Stage::Done,
        };
        if stage != Stage::Done {
            d.jobs.release(&claim, d.now()).await.unwrap();
        }
    }
    assert_eq!(texts(&d.chunks(user, id).await), passages);
    assert_eq!(d.passages_of(user, id, 1).await, found);
}

async fn what_the_workspace_has_is_skipped_and_named(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready_with(user, workspace, ("a.txt", "one"), &["first"]).await;
    let base = d.head(user).await;
    let taken = d.take(user, workspace, &[("copy.txt", "one")], OnDuplicate::Skip).await;
    assert_eq!(taken.job, None);
    assert_eq!((taken.files[0].document.id, taken.files[0].taken), (id, Taken::Skipped));
    assert!(!taken.files[0].keeps(taken.files[0].file));
    assert_eq!(d.head(user).await, base, "nothing has changed");
    // The same name with other bytes is another file; the same bytes twice in one upload are one.
    let files = [("a.txt", "two"), ("b.txt", "one"), ("c.txt", "three"), ("d.txt", "three")];
    let taken = d.take(user, workspace, &files, OnDuplicate::Skip).await;
    let outcomes: Vec<_> = taken.files.iter().map(|f| f.taken).collect();
    assert_eq!(outcomes, [Taken::Added, Taken::Skipped, Taken::Added, Taken::Skipped]);
    assert_eq!(taken.files[3].document.id, taken.files[2].document.id);
    assert_eq!(taken.job.expect("a job").metrics.documents_total, 2);
    // Of another workspace, and of another person, nothing is known.
    let elsewhere = d.s.workspace(user, domain::rag::RagConfig::default()).await;
    let (other, theirs) = d.home().await;
    for (user, workspace) in [(user, elsewhere), (other, theirs)] {
        let taken = d.take(user, workspace, &[("copy.txt", "one")], OnDuplicate::Skip).await;
        assert_eq!(taken.files[0].taken, Taken::Added);
    }
    assert_eq!(d.jobs.known_files(other, workspace, &["a.txt"], &["hash of one"]).await.unwrap(), []);
    let known = d.jobs.known_files(user, workspace, &["a.txt"], &["hash of one"]).await.unwrap();
    let found: Vec<_> = known.iter().map(|k| (k.filename.as_str(), k.content_hash.as_str())).collect();
    assert_eq!(found, [("a.txt", "hash of two"), ("a.txt", "hash of one")], "the newest first, each once");
}

async fn what_is_kept_twice_says_that_it_is_known(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let first = d.ready_with(user, workspace, ("a.txt", "one"), &["first"]).await;
    let base = d.head(user).await;
    let taken = d.take(user, workspace, &[("b.txt", "one")], OnDuplicate::KeepBoth).await;
    let told = d.events_after(user, base).await;
    let wanted = ["b.txt pending", "b.txt duplicate_found in_progress", "job pending", "workspace 1/2 ready"];
    assert_eq!(told.iter().map(words).collect::<Vec<_>>(), wanted);
    let Event::FileProgress(step) = &told[1] else { panic!("{told:?}") };
    assert_eq!(step.message, "Found an exact match: a.txt has the same content");
    let of = serde_json::json!({ "document_id": first, "filename": "a.txt", "similarity_score": 1.0 });
    assert_eq!((&step.extra["filename"], &step.extra["duplicate_info"]), (&"b.txt".into(), &of));
    assert_eq!(taken.files[0].document.step, Some(Step::DuplicateFound));
    // What is on its way to a document is known as well.
    d.take(user, workspace, &[("a.txt", "two")], OnDuplicate::Replace).await;
    let again = d.take(user, workspace, &[("c.txt", "two")], OnDuplicate::Skip).await;
    assert_eq!(again.files[0].taken, Taken::Skipped);
}

async fn only_what_is_given_up_loses_its_file(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready_with(user, workspace, ("a.txt", "one"), &["first"]).await;
    let taken = d.take(user, workspace, &[("a.txt", "bad")], OnDuplicate::Replace).await;
    let claim = d.claim_one("w").await;
    d.check(&claim, failed("It is broken.")).await.unwrap();
    let key = |id: DocumentId, text_of: Option<u32>| FileOf {
        key: text_of.map_or(format!("documents/{id}"), |v| format!("texts/{id}/{v}")),
        document: id,
        text_of,
    };
    let file = taken.files[0].file;
    let files = [key(id, None), key(file, None), key(id, Some(1)), key(id, Some(2)), key(id, Some(3))];
    let kept = d.documents.kept_files(&files).await.unwrap();
    assert_eq!(kept.len(), 4, "a version that may be retried keeps its file: {kept:?}");
    // Another content takes its place.
    d.take(user, workspace, &[("a.txt", "good")], OnDuplicate::Replace).await;
    let kept = d.documents.kept_files(&files).await.unwrap();
    let wanted = [&files[0], &files[2], &files[4]];
    assert!(kept.len() == 3 && wanted.iter().all(|file| kept.contains(file)), "{kept:?}");
}

async fn a_name_is_the_persons_and_a_file_keeps_its_own(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready_with(user, workspace, ("a.txt", "one"), &["first"]).await;
    let base = d.head(user).await;
    let edit =
        Edit { filename: Some("Report".into()), add_tags: vec!["b".into(), "a".into()], ..Edit::default() };
    let edited = d.documents.edit_document(user, id, edit.clone(), d.now()).await.unwrap();
    assert_eq!((edited.filename.as_str(), edited.tags.as_slice()), ("Report", &["a".into(), "b".into()][..]));
    assert_eq!(d.words_after(user, base).await, ["Report ready"]);
    d.documents.edit_document(user, id, edit, d.now()).await.unwrap();
    assert_eq!(d.head(user).await, base + 1, "what is so already changes nothing");
    let file = d.documents.version_file(user, id, 1).await.unwrap().expect("its file");
    assert_eq!(file.filename, "a.txt");
    let page = || PageQuery::first(10);
    for (tag, found) in [(Some("a"), 1), (Some("c"), 0), (None, 1)] {
        assert_eq!(d.documents.documents(user, workspace, tag, page()).await.unwrap().items.len(), found);
    }
    let many = Edit { add_tags: (0..19).map(|n| n.to_string()).collect(), ..Edit::default() };
    let refused = d.documents.edit_document(user, id, many, d.now()).await;
    assert!(matches!(refused, Err(StoreError::Refused(r)) if r.code == "too_many_tags"));
    let (other, _) = d.home().await;
    let theirs = d.documents.edit_document(other, id, Edit::default(), d.now()).await;
    assert!(matches!(theirs, Err(StoreError::NotFound)));
    // It is the name that decides what replaces it, and the file is read by the name that it came with.
    let taken = d.take(user, workspace, &[("a.txt", "two")], OnDuplicate::Replace).await;
    assert_eq!(taken.files[0].taken, Taken::Added);
    let taken = d.take(user, workspace, &[("Report", "three")], OnDuplicate::Replace).await;
    assert_eq!((taken.files[0].taken, taken.files[0].document.id), (Taken::Replaced, id));
}

on_every_store!(
    the_next_version_takes_the_place_of_the_one_that_is_found,
    a_version_that_fails_leaves_the_one_before_and_a_retry_goes_on_with_it,
    a_cancel_goes_back_to_the_version_before,
    taking_back_a_job_keeps_what_was_replaced_by_it,
    taking_back_a_job_leaves_nothing_of_a_version_before_which_nothing_was_found,
    a_document_in_hand_gets_its_next_content_and_who_had_it_writes_nothing_more,
    a_worker_that_dies_at_any_step_leaves_the_version_before,
    what_the_workspace_has_is_skipped_and_named,
    what_is_kept_twice_says_that_it_is_known,
    only_what_is_given_up_loses_its_file,
    a_name_is_the_persons_and_a_file_keeps_its_own,
);
