//! The event log as a history: from which status, to which, by whom; and what of it is kept for how long.

use crate::{
    desk::{Desk, JobSubject},
    on_every_store,
};
use domain::{
    Actor, ActorKind, DocumentId, Event, HistoryEntry, Timestamp, UserId, WorkspaceId,
    event::{DocumentDeleted, WorkspaceDeleted},
    ingest::Stage,
};
use services::{
    actor::acting,
    ports::{Claim, HistoryOf, HistoryQuery, PageQuery, StoreError},
};

const DAY: i64 = 86_400;

fn all() -> HistoryQuery {
    HistoryQuery { limit: PageQuery::MAX, after: None, newest_first: false, transitions: false }
}

impl<S: JobSubject> Desk<S> {
    async fn history_of(&self, user: UserId, of: HistoryOf) -> Vec<HistoryEntry> {
        self.history.history(user, of, all()).await.unwrap().items
    }

    /// The turns of a history: the event, from, to, by.
    async fn turns(&self, user: UserId, of: HistoryOf) -> Vec<String> {
        let query = HistoryQuery { transitions: true, ..all() };
        let page = self.history.history(user, of, query).await.unwrap();
        page.items.iter().map(turn).collect()
    }

    /// Works on the document to its end, as a worker of that name.
    async fn work_as(&self, name: &str, claim: &Claim, chunks: u32) {
        acting(Actor::worker(name), self.work(claim, chunks)).await;
    }

    /// Forgets until nothing is left to forget; answers how much it was.
    async fn forget(&self, before: Timestamp) -> usize {
        let mut removed = 0;
        loop {
            match self.history.forget_events(before, 7).await.unwrap() {
                0 => return removed,
                some => removed += some,
            }
        }
    }
}

fn by_a_person(e: &HistoryEntry) -> bool {
    e.actor.as_ref().is_some_and(|actor| actor.kind == ActorKind::User)
}

fn turn(e: &HistoryEntry) -> String {
    let status = |s: &Option<String>| s.clone().unwrap_or_else(|| "-".into());
    let step = e.data["step"].as_str().filter(|_| e.event == "file_progress").unwrap_or_default();
    let by = e.actor.as_ref().map_or_else(|| "?".into(), Actor::words);
    let name = if step.is_empty() { e.event.clone() } else { step.to_owned() };
    format!("{name} {} {} {by}", status(&e.from), status(&e.to))
}

async fn a_history_tells_each_turn_with_its_statuses_and_who_did_it(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.home().await;
    let ada = Actor::user(user, "ada");
    let (job, documents) = acting(ada.clone().through("CI"), desk.upload(user, workspace, &["a.txt"])).await;
    let claim = acting(Actor::worker("w"), desk.claim_one("w")).await;
    desk.work_as("w", &claim, 4).await;

    let document = HistoryOf::Document(documents[0].id);
    assert_eq!(
        desk.turns(user, document).await,
        [
            "document_status - pending ada (API key CI)",
            "document_status pending processing Worker",
            "extracting_text - in_progress Worker",
            "extracting_text in_progress complete Worker",
            "chunking_text - in_progress Worker",
            "chunking_text in_progress complete Worker",
            "duplicate_check - in_progress Worker",
            "duplicate_check in_progress complete Worker",
            "creating_embeddings - in_progress Worker",
            "creating_embeddings in_progress complete Worker",
            "storing_metadata - in_progress Worker",
            "storing_metadata in_progress complete Worker",
            "finished - complete Worker",
            "complete - complete Worker",
            "document_status processing ready Worker",
        ]
    );
    let jobs: Vec<String> = desk.turns(user, HistoryOf::Job(job.job_id)).await;
    let of_job: Vec<&String> = jobs.iter().filter(|t| t.starts_with("job")).collect();
    assert_eq!(
        of_job,
        [
            "job_update - pending ada (API key CI)",
            "job_update pending running Worker",
            "job_complete running completed Worker"
        ]
    );
    assert_eq!(jobs.len(), 3 + 15, "the job's history holds that of its document");
    let whole = desk.history_of(user, HistoryOf::Workspace(workspace)).await;
    let counts: Vec<&HistoryEntry> = whole.iter().filter(|e| e.event == "workspace_status").collect();
    assert!(
        counts.iter().skip(1).all(|e| e.from.as_deref() == Some("ready") && e.from == e.to),
        "{counts:?}"
    );
    assert!(whole.windows(2).all(|w| w[0].seq < w[1].seq));

    let first = &desk.history_of(user, document).await[0];
    assert_eq!((&first.data["filename"], &first.data["rev"]), (&"a.txt".into(), &first.seq.into()));
    assert_eq!(first.at, documents[0].created_at);
    assert_eq!(first.actor.as_ref().unwrap().id, Some(user.to_string()));
}

async fn a_failure_and_a_second_run_are_turns_of_their_own(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.home().await;
    let (_, documents) = desk.upload(user, workspace, &["a.txt"]).await;
    let claim = desk.claim_one("w").await;
    desk.check(&claim, crate::desk::failed("It is damaged.")).await.unwrap();
    let turns = desk.turns(user, HistoryOf::Document(documents[0].id)).await;
    assert_eq!(
        turns,
        [
            "document_status - pending InsightHub",
            "document_status pending processing InsightHub",
            "document_status processing failed InsightHub",
        ],
        "where nobody said who acts, it is the server"
    );
}

async fn a_history_is_read_in_pages_from_either_end(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.home().await;
    desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    for _ in 0..2 {
        let claim = desk.claim_one("w").await;
        desk.work(&claim, 5).await;
    }
    let of = HistoryOf::Workspace(workspace);
    let whole = desk.history_of(user, of).await;
    assert!(whole.len() > 20);
    for (newest_first, limit) in [(false, 1), (false, 7), (true, 7), (true, 200)] {
        let mut read = vec![];
        let mut after = None;
        loop {
            let query = HistoryQuery { limit, after, newest_first, transitions: false };
            let page = desk.history.history(user, of, query).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            read.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if newest_first {
            read.reverse();
        }
        assert_eq!(read, whole, "{newest_first} {limit}");
    }
    let bad = HistoryQuery { after: Some("nonsense".into()), ..all() };
    assert!(matches!(desk.history.history(user, of, bad).await, Err(StoreError::BadCursor)));
    let stranger = desk.s.user().await;
    assert!(desk.history_of(stranger, of).await.is_empty(), "it is somebody else's");
}

async fn only_superseded_progress_goes_after_its_time_and_the_floor_stays(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.home().await;
    // What a person does to the workspace stays.
    let by = Actor::user(user, "ada");
    let (job, documents) = acting(by, desk.upload(user, workspace, &["a.txt", "b.txt", "c.txt"])).await;
    for _ in 0..2 {
        let done = desk.claim_one("w").await;
        desk.work(&done, 12).await;
    }
    // The last one stops in the middle of its embeddings.
    let half = desk.claim_one("w").await;
    desk.work_until(&half, 12, Stage::Embedding).await;
    desk.check(&half, crate::desk::step(domain::Step::CreatingEmbeddings)).await.unwrap();
    for _ in 0..2 {
        let vectors = desk.next_vectors(half.document_id).await;
        desk.check(&half, vectors).await.unwrap();
    }
    let middle = desk.now();
    let vectors = desk.next_vectors(half.document_id).await;
    desk.check(&half, vectors).await.unwrap();

    let ids: Vec<DocumentId> = documents.iter().map(|d| d.id).collect();
    let state = async || {
        let mut all = format!("{:?}", desk.jobs.job(user, job.job_id).await.unwrap());
        for id in &ids {
            all += &format!("{:?}{:?}", desk.document(user, *id).await, desk.steps(user, *id).await);
        }
        all
    };
    let (before, head) = (state().await, desk.head(user).await);
    let of = HistoryOf::Workspace(workspace);
    let (whole, turns) = (desk.history_of(user, of).await, desk.turns(user, of).await);

    assert_eq!(desk.history.forget_events(whole[0].at, 100).await.unwrap(), 0, "nothing is that old");
    assert!(desk.forget(middle).await > 0);
    let kept = desk.history_of(user, of).await;
    // Of the workspace there was nothing newer than the counts after the second document.
    let counted = whole.iter().filter(|e| e.event == "workspace_status").map(|e| e.seq).max();
    let fleeting = |e: &HistoryEntry| {
        let progress = match e.event.as_str() {
            "job_update" | "file_progress" => true,
            "workspace_status" => Some(e.seq) != counted && !by_a_person(e),
            _ => false,
        };
        progress && e.from == e.to && e.at < middle
    };
    let counts = whole.iter().filter(|e| e.event == "workspace_status" && fleeting(e)).count();
    assert!(counts > 0, "the counts of a workspace are progress of its work");
    let expected: Vec<&HistoryEntry> = whole.iter().filter(|e| !fleeting(e)).collect();
    assert_eq!(kept.iter().collect::<Vec<_>>(), expected, "no more and no less went");
    assert_eq!(desk.turns(user, of).await, turns, "every turn is kept");
    assert_eq!((state().await, desk.head(user).await), (before, head));
    assert_eq!(desk.log.floor(user).await.unwrap(), 0, "whoever missed it can still be resumed");

    // A day later the newest progress of what still stands there is the state that a stream has to tell.
    let late = desk.now().plus_seconds(DAY);
    desk.forget(late).await;
    let kept = desk.history_of(user, of).await;
    let newest = |name: &str| kept.iter().rev().find(|e| e.event == name).map(|e| e.seq);
    let was = |name: &str| whole.iter().rev().find(|e| e.event == name).map(|e| e.seq);
    for name in ["job_update", "file_progress", "document_status", "workspace_status"] {
        assert_eq!(newest(name), was(name), "{name}");
    }
    assert_eq!(desk.turns(user, of).await, turns);
    desk.upload(user, workspace, &["c.txt"]).await;
    let told = desk.log.after(user, head, 100).await.unwrap();
    assert_eq!(told[0].seq, head + 1, "the numbers go on where they were");
}

async fn what_was_deleted_goes_with_all_its_events_and_raises_the_floor(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.home().await;
    let (_, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    for _ in 0..2 {
        let claim = desk.claim_one("w").await;
        desk.work(&claim, 3).await;
    }
    let (gone, stays) = (documents[0].id, documents[1].id);
    let deleted = Event::DocumentDeleted(DocumentDeleted {
        id: gone,
        workspace_id: workspace,
        filename: "a.txt".into(),
        undo_until: desk.now(),
        rev: 0,
    });
    let last = desk.log.append(user, vec![deleted], desk.now()).await.unwrap()[0].seq;
    let turns = desk.turns(user, HistoryOf::Document(stays)).await;

    // Within the day a stream still resumes from before it.
    desk.forget(desk.now().plus_seconds(-60)).await;
    assert!(!desk.history_of(user, HistoryOf::Document(gone)).await.is_empty());
    assert_eq!(desk.log.floor(user).await.unwrap(), 0);

    desk.forget(desk.now().plus_seconds(DAY)).await;
    assert!(desk.history_of(user, HistoryOf::Document(gone)).await.is_empty());
    assert_eq!(desk.log.floor(user).await.unwrap(), last);
    assert_eq!(desk.turns(user, HistoryOf::Document(stays)).await, turns);

    let other = WorkspaceId::new(desk.s.world().uuid());
    let deleted = Event::WorkspaceDeleted(WorkspaceDeleted { id: other, rev: 0 });
    let last = desk.log.append(user, vec![deleted], desk.now()).await.unwrap()[0].seq;
    desk.forget(desk.now().plus_seconds(DAY)).await;
    assert_eq!(desk.log.floor(user).await.unwrap(), last);
    assert_eq!(desk.turns(user, HistoryOf::Document(stays)).await, turns);
    assert_eq!(desk.head(user).await, last);
}

async fn what_was_deleted_and_brought_back_keeps_its_history(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.home().await;
    let (_, documents) = desk.upload(user, workspace, &["a.txt"]).await;
    let id = documents[0].id;
    let deleted = Event::DocumentDeleted(DocumentDeleted {
        id,
        workspace_id: workspace,
        filename: "a.txt".into(),
        undo_until: desk.now(),
        rev: 0,
    });
    let told = |event: &Event| vec![event.clone()];
    desk.log.append(user, told(&deleted), desk.now()).await.unwrap();
    desk.log.append(user, vec![Event::DocumentStatus(documents[0].clone())], desk.now()).await.unwrap();
    let kept = desk.history_of(user, HistoryOf::Document(id)).await;
    desk.forget(desk.now().plus_seconds(DAY)).await;
    assert_eq!(desk.history_of(user, HistoryOf::Document(id)).await, kept);

    // Deleted once more, it goes with both of its deletions.
    desk.log.append(user, told(&deleted), desk.now()).await.unwrap();
    desk.forget(desk.now().plus_seconds(DAY)).await;
    assert!(desk.history_of(user, HistoryOf::Document(id)).await.is_empty());
}

on_every_store!(
    a_history_tells_each_turn_with_its_statuses_and_who_did_it,
    a_failure_and_a_second_run_are_turns_of_their_own,
    a_history_is_read_in_pages_from_either_end,
    only_superseded_progress_goes_after_its_time_and_the_floor_stays,
    what_was_deleted_goes_with_all_its_events_and_raises_the_floor,
    what_was_deleted_and_brought_back_keeps_its_history,
);
