//! Property: whatever order, however often, from wherever events arrive, the store ends the same.

use domain::{
    chat::ConversationChange,
    event::{
        ConversationChanged, DocumentDeleted, Event, FileProgress, SettingsChanged, StepStatus,
        WorkspaceDeleted,
    },
    ids::{DocumentId, JobId, SessionId, UserId, WorkspaceId},
    reducer::Store,
    resource::{
        Counts, Density, Document, Job, Language, Metrics, Notifications, PhaseDetail, Theme, User, Workspace,
    },
    status::{DocumentStatus, JobKind, JobStatus, PhaseName, Priority, Processor, WorkspaceStatus},
    step::Step,
    timestamp::Timestamp,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const USER: UserId = UserId::new(Uuid::from_u128(1));

fn workspace_id(n: u8) -> WorkspaceId {
    WorkspaceId::new(Uuid::from_u128(1_000 + u128::from(n)))
}

/// Document `n` lives in workspace `n % 2` for ever.
fn document_id(n: u8) -> (DocumentId, WorkspaceId) {
    (DocumentId::new(Uuid::from_u128(2_000 + u128::from(n))), workspace_id(n % 2))
}

fn document(n: u8, status: DocumentStatus, progress: u8) -> Event {
    let (id, workspace_id) = document_id(n);
    Event::DocumentStatus(Document {
        id,
        workspace_id,
        user_id: USER,
        job_id: None,
        filename: format!("{n}.txt"),
        mime_type: "text/plain".into(),
        size_bytes: 1,
        content_hash: String::new(),
        status,
        error: None,
        error_code: None,
        error_hint: None,
        warnings: vec![],
        chunk_count: 0,
        progress: f64::from(progress),
        step: None,
        message: None,
        metadata: serde_json::Value::Null,
        attempt: 1,
        stale: false,
        indexed_with: None,
        version: 1,
        next_version: None,
        enabled: true,
        tags: vec![],
        rev: 0,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    })
}

fn step(n: u8, step: u8, attempt: u32, status: StepStatus) -> Event {
    let (document_id, workspace_id) = document_id(n);
    Event::FileProgress(FileProgress {
        document_id,
        workspace_id,
        job_id: None,
        attempt,
        filename: format!("{n}.txt"),
        step: Step::KNOWN[usize::from(step) % 6].clone(),
        message: String::new(),
        status,
        progress: 0.0,
        timestamp: Timestamp::default(),
        started_at: Timestamp::default(),
        extra: serde_json::Value::Null,
        rev: 0,
        file_id: document_id,
    })
}

fn job(n: u8, status: JobStatus) -> Event {
    let job = Job {
        job_id: JobId::new(Uuid::from_u128(3_000 + u128::from(n))),
        kind: JobKind::Upload,
        kb_id: workspace_id(n % 2),
        user_id: USER,
        attempt: 1,
        status,
        requested: None,
        phase: PhaseName::Loading,
        progress: 0.0,
        message: String::new(),
        error: None,
        metrics: Metrics::default(),
        queue_position: None,
        priority: Priority::Normal,
        rate: None,
        eta_seconds: None,
        halted: None,
        rev: 0,
        created_at: Timestamp::default(),
        started_at: None,
        completed_at: None,
        phase_details: PhaseDetail::all_pending(),
        crawl: None,
    };
    match status {
        JobStatus::Completed => Event::JobComplete(job),
        JobStatus::Failed => Event::JobError(job),
        _ => Event::JobUpdate(job),
    }
}

fn workspace(n: u8, status: WorkspaceStatus) -> Event {
    Event::WorkspaceStatus(Workspace {
        id: workspace_id(n % 2),
        user_id: USER,
        name: format!("w{n}"),
        description: String::new(),
        status,
        status_message: None,
        provisioning: None,
        processor: Processor::Builtin,
        metadata: domain::resource::no_metadata(),
        counts: Counts::default(),
        paused: false,
        bulk: None,
        rev: 0,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
        last_activity_at: Timestamp::default(),
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..6u8, 0..4usize, 0..=100u8).prop_map(|(n, s, p)| document(n, DocumentStatus::ALL[s], p)),
        6 => (0..6u8, 0..6u8, 1..3u32, 0..3usize).prop_map(|(n, s, a, t)| step(n, s, a, StepStatus::ALL[t])),
        4 => (0..4u8, 0..6usize).prop_map(|(n, s)| job(n, JobStatus::ALL[s])),
        3 => (0..2u8, 0..4usize).prop_map(|(n, s)| workspace(n, WorkspaceStatus::ALL[s])),
        3 => (0..6u8).prop_map(|n| {
            let (id, workspace_id) = document_id(n);
            let (filename, undo_until) = (format!("{n}.txt"), Timestamp::default());
            Event::DocumentDeleted(DocumentDeleted { id, workspace_id, filename, undo_until, rev: 0 })
        }),
        2 => (0..3u8).prop_map(|n| Event::ConversationChanged(ConversationChanged {
            conversation_id: format!("c{n}").parse().expect("an id"),
            workspace_id: workspace_id(0),
            turn_id: None,
            status: ConversationChange::Renamed,
            rev: 0,
        })),
        1 => (0..2u8).prop_map(|n| Event::WorkspaceDeleted(WorkspaceDeleted { id: workspace_id(n), rev: 0 })),
    ]
}

/// What was deleted and brought back goes on in the attempt that it was in, or in a later one.
fn in_order_of_attempts(mut log: Vec<Event>) -> Vec<Event> {
    let (mut reached, mut least) = (BTreeMap::new(), BTreeMap::new());
    for event in &mut log {
        match event {
            Event::FileProgress(step) => {
                step.attempt = step.attempt.max(least.get(&step.document_id).copied().unwrap_or_default());
                let highest = reached.entry(step.document_id).or_insert(step.attempt);
                *highest = step.attempt.max(*highest);
            }
            Event::DocumentDeleted(gone) => {
                if let Some(highest) = reached.get(&gone.id) {
                    least.insert(gone.id, *highest);
                }
            }
            _ => {}
        }
    }
    log
}

/// A log: events stamped 1, 2, 3 …, and a feed of it: shuffled, with some doubled.
fn log_and_feed() -> impl Strategy<Value = (Vec<Event>, Vec<Event>)> {
    prop::collection::vec(any_event(), 1..60).prop_flat_map(|mut log| {
        for (i, event) in log.iter_mut().enumerate() {
            event.set_rev(i as u64 + 1);
        }
        let log = in_order_of_attempts(log);
        let doubled = log.iter().cloned().chain(log.iter().step_by(3).cloned()).collect::<Vec<_>>();
        (Just(log), Just(doubled).prop_shuffle())
    })
}

fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Store {
    let mut store = Store::default();
    for event in events {
        store.apply(event);
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn shuffled_and_doubled_feeds_end_in_the_same_store((log, feed) in log_and_feed()) {
        prop_assert_eq!(fold(&feed), fold(&log));
    }

    #[test]
    fn a_replay_changes_nothing((log, _) in log_and_feed(), from in 0usize..60) {
        let mut store = fold(&log);
        let before = store.clone();
        for event in log.iter().skip(from) {
            prop_assert_eq!(store.apply(event), None);
        }
        prop_assert_eq!(store, before);
    }

    #[test]
    fn only_the_newest_state_of_an_entity_stays((log, feed) in log_and_feed()) {
        let store = fold(&feed);
        for kept in store.documents() {
            let newest = log.iter().rev().find_map(|e| match e {
                Event::DocumentStatus(d) if d.id == kept.id => Some(d),
                _ => None,
            });
            prop_assert_eq!(newest, Some(kept));
        }
    }

    #[test]
    fn a_document_is_there_when_it_was_brought_back_after_it_was_deleted((log, feed) in log_and_feed()) {
        let store = fold(&feed);
        for n in 0..6 {
            let (id, workspace) = document_id(n);
            let is_gone = log.iter().any(|e| matches!(e, Event::WorkspaceDeleted(w) if w.id == workspace));
            let last = log.iter().rev().find(|e| match e {
                Event::DocumentStatus(d) => d.id == id,
                Event::DocumentDeleted(d) => d.id == id,
                _ => false,
            });
            let is_there = !is_gone && matches!(last, Some(Event::DocumentStatus(_)));
            prop_assert_eq!(store.document(id).is_some(), is_there);
        }
    }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn settings(name: &str) -> Event {
    Event::SettingsChanged(SettingsChanged::of(User {
        id: USER,
        username: name.into(),
        email: format!("{name}@example.org"),
        full_name: None,
        theme: Theme::System,
        density: Density::default(),
        language: Language::default(),
        notifications: Notifications::default(),
        created_at: Timestamp::default(),
    }))
}

#[test]
fn an_event_changes_what_it_is_about_once_and_nothing_when_something_newer_was_told() {
    let (id, workspace_id) = document_id(1);
    let gone = DocumentDeleted {
        id,
        workspace_id,
        filename: "1.txt".into(),
        undo_until: Timestamp::default(),
        rev: 0,
    };
    let renamed = ConversationChanged {
        conversation_id: "c1".parse().expect("an id"),
        workspace_id,
        turn_id: None,
        status: ConversationChange::Renamed,
        rev: 0,
    };
    let events = [
        document(1, DocumentStatus::Ready, 0),
        step(1, 0, 1, StepStatus::Complete),
        job(1, JobStatus::Running),
        workspace(1, WorkspaceStatus::Ready),
        settings("ann"),
        Event::DocumentDeleted(gone),
        Event::ConversationChanged(renamed),
        Event::WorkspaceDeleted(WorkspaceDeleted { id: workspace_id, rev: 0 }),
    ];
    for event in events {
        let mut store = Store::default();
        for (rev, is_new) in [(5, true), (5, false), (4, false), (6, true)] {
            let mut event = event.clone();
            event.set_rev(rev);
            let changed = store.apply(&event);
            assert_eq!(changed, is_new.then(|| event.entity()), "{} at {rev}", event.name());
        }
    }
    let ended = Event::SessionEnded { session_id: SessionId::new(Uuid::from_u128(9)) };
    assert_eq!(Store::default().apply(&ended), None, "it is about no data");
}

#[test]
fn the_newest_settings_are_those_of_the_user() {
    let mut store = Store::default();
    for (name, rev) in [("ann", 2), ("bob", 3), ("eve", 1)] {
        let mut event = settings(name);
        event.set_rev(rev);
        store.apply(&event);
    }
    assert_eq!(store.user().map(|user| user.username.as_str()), Some("bob"));
}

/// A step of document 1 that began then, and says how far the document is.
fn said(known: u8, attempt: u32, began: i64, progress: f64, rev: u64) -> Event {
    let Event::FileProgress(mut told) = step(1, known, attempt, StepStatus::InProgress) else {
        unreachable!("it is a step");
    };
    told.message = format!("step {known}");
    (told.started_at, told.progress, told.rev) = (at(began), progress, rev);
    Event::FileProgress(told)
}

#[test]
fn a_row_shows_the_newest_step_of_its_attempt_until_the_document_itself_says_more() {
    let id = document_id(1).0;
    let mut store = Store::default();
    let mut document = document(1, DocumentStatus::Processing, 10);
    document.set_rev(1);
    store.apply(&document);
    let shown = |store: &Store| {
        let document = store.live_document(id).expect("it is there");
        (document.step, document.message, document.progress)
    };
    assert_eq!(shown(&store), (None, None, 10.0));
    store.apply(&said(1, 1, 1, 30.0, 2));
    assert_eq!(shown(&store), (Some(Step::KNOWN[1].clone()), Some("step 1".to_owned()), 30.0));
    store.apply(&said(2, 1, 2, 5.0, 3));
    let second = (Some(Step::KNOWN[2].clone()), Some("step 2".to_owned()), 10.0);
    assert_eq!(shown(&store), second, "not less than the document");
    document.set_rev(4);
    store.apply(&document);
    assert_eq!(shown(&store), (None, None, 10.0), "it is newer");
    store.apply(&said(3, 2, 3, 50.0, 5));
    assert_eq!(shown(&store), (None, None, 10.0), "the step is of an attempt that is not told yet");
}

#[test]
fn steps_are_listed_as_they_began_and_those_of_an_earlier_attempt_go() {
    let id = document_id(1).0;
    let mut store = Store::default();
    let listed = |store: &Store| store.steps(id).iter().map(|s| s.step.clone()).collect::<Vec<_>>();
    // Two of the same moment follow each other as they were told.
    for (n, (known, began)) in [(4, 1), (0, 3), (3, 2), (1, 3)].into_iter().enumerate() {
        store.apply(&said(known, 1, began, 0.0, n as u64 + 1));
    }
    assert_eq!(listed(&store), [4, 3, 0, 1].map(|known| Step::KNOWN[known].clone()));
    store.apply(&said(2, 2, 9, 0.0, 9));
    store.apply(&said(5, 1, 8, 0.0, 10));
    assert_eq!(listed(&store), [2].map(|known| Step::KNOWN[known].clone()));
}
