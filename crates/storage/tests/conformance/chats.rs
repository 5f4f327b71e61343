//! Conversations and turns: what was committed is read as it was told, only its server writes to a turn, and after its end
//! nobody does.

use crate::{
    on_every_store,
    subject::{Database, Memory, Postgres, Sqlite, Subject},
    support::World,
};
use async_trait::async_trait;
use domain::{
    Event, Timestamp, TurnId, UserId, Workspace, WorkspaceId, WorkspaceStatus,
    chat::{
        Conversation, ConversationChange, ConversationDeleted, ConversationId, NEW_TITLE, Opening, Said,
        Source, Turn, TurnChange, TurnError, TurnEvent, TurnMetadata, TurnStatus, TurnStep,
    },
    ingest::deletion::{UNDO_OVER, UNDO_SECONDS},
    rag::RagConfig,
};
use services::ports::{
    Begun, Chats, ConversationFilter, History, HistoryOf, HistoryQuery, NewTurn, NewWorkspace, PageQuery,
    StoreError, TOO_MANY_TURNS, TurnWrite, Workspaces,
};

const LONG: u32 = 600;

/// A subject that keeps chats.
#[async_trait]
pub trait ChatSubject: Subject {
    fn chats(&self) -> &dyn Chats;
    fn history(&self) -> &dyn History;
    /// A new workspace in that status.
    async fn workspace_in(&self, user: UserId, status: WorkspaceStatus) -> WorkspaceId;
}

#[async_trait]
impl ChatSubject for Memory {
    fn chats(&self) -> &dyn Chats {
        &self.store
    }

    fn history(&self) -> &dyn History {
        &self.store
    }

    async fn workspace_in(&self, user: UserId, status: WorkspaceStatus) -> WorkspaceId {
        let id = WorkspaceId::new(self.world().uuid());
        self.store.add_workspace(user, id, status, RagConfig::default(), self.world().now()).id
    }
}

macro_rules! in_a_database {
    ($($name:ident),+) => {
        $(#[async_trait]
        impl ChatSubject for $name {
            fn chats(&self) -> &dyn Chats {
                let database: &Database = self;
                &database.store
            }

            fn history(&self) -> &dyn History {
                let database: &Database = self;
                &database.store
            }

            async fn workspace_in(&self, user: UserId, status: WorkspaceStatus) -> WorkspaceId {
                make_workspace(self, user, status).await
            }
        })+
    };
}
in_a_database!(Sqlite, Postgres);

async fn make_workspace(database: &Database, user: UserId, status: WorkspaceStatus) -> WorkspaceId {
    let new = NewWorkspace { status, ..database.new_workspace(user, "Workspace") };
    database.store.create_workspace(new).await.unwrap().id
}

pub fn asked(
    world: &World,
    user_id: UserId,
    workspace_id: WorkspaceId,
    conversation: &str,
    query: &str,
) -> NewTurn {
    NewTurn {
        opening: Opening {
            turn_id: TurnId::new(world.uuid()),
            conversation_id: conversation.parse().unwrap(),
            workspace_id,
            user_id,
            query: query.to_owned(),
            again_of: None,
        },
        title: query.to_owned(),
        owner: "here".to_owned(),
        lease_seconds: LONG,
        command_id: None,
        command_print: None,
        most: 100,
        now: world.now(),
    }
}

/// Somebody who works on a turn.
struct Worker<'a, S> {
    s: &'a S,
    turn: Turn,
    told: Vec<TurnEvent>,
}

impl<'a, S: ChatSubject> Worker<'a, S> {
    async fn begin(s: &'a S, new: NewTurn) -> Self {
        let Begun { turn, events } = s.chats().begin_turn(new).await.unwrap();
        Self { s, turn, told: events }
    }

    /// Commits what the change tells.
    async fn note(&mut self, change: TurnChange) -> Result<(), StoreError> {
        let is_text = matches!(change, TurnChange::Text(_));
        let mut turn = self.turn.clone();
        let events = turn.advance(change, self.s.world().now()).unwrap();
        let write = TurnWrite {
            owner: "here".to_owned(),
            user: turn.user_id,
            turn_id: turn.turn_id,
            after: self.turn.last_event,
            events: events.clone(),
            turn: (!is_text).then(|| Box::new(turn.clone())),
            lease_seconds: LONG,
        };
        if !events.is_empty() {
            self.s.chats().write_turn(write).await?;
        }
        self.turn = turn;
        self.told.extend(events);
        Ok(())
    }

    async fn go_to_text(&mut self) {
        self.note(TurnChange::Step(None)).await.unwrap();
        let source = Source {
            document_id: domain::DocumentId::new(self.s.world().uuid()),
            chunk_id: domain::ChunkId::new(self.s.world().uuid()),
            filename: "a.txt".to_owned(),
            page: Some(3),
            text: "The lantern.".to_owned(),
            score: 0.625,
            document_version: 2,
            char_start: Some(5),
            char_end: None,
            cited: false,
        };
        self.note(TurnChange::Found(vec![source])).await.unwrap();
        for _ in 0..2 {
            self.note(TurnChange::Step(None)).await.unwrap();
        }
        for text in ["On the ", "ä\"\n\\ ", "quay. [1]"] {
            self.note(TurnChange::Text(text.to_owned())).await.unwrap();
        }
    }

    /// What stands in the store is what was told.
    async fn check(&self) {
        let (user, id) = (self.turn.user_id, self.turn.turn_id);
        assert_eq!(self.s.chats().turn(user, id).await.unwrap().as_ref(), Some(&self.turn));
        let bare = self.s.chats().turn_without_text(user, id).await.unwrap().unwrap();
        let answer = if bare.status.is_final() { self.turn.answer.clone() } else { String::new() };
        assert_eq!(bare, Turn { answer, ..self.turn.clone() });
        for after in [0, 2, self.turn.last_event] {
            let events = self.s.chats().turn_events(user, id, after, 100).await.unwrap();
            assert_eq!(events, self.told[usize::try_from(after).unwrap()..]);
        }
        assert_eq!(self.s.chats().turn_events(user, id, 1, 2).await.unwrap(), self.told[1..3]);
        let page =
            self.s.chats().turns(user, &self.turn.conversation_id, PageQuery::first(10)).await.unwrap();
        assert!(page.items.contains(&self.turn));
    }
}

async fn home<S: ChatSubject>(s: &S) -> (UserId, WorkspaceId) {
    let user = s.user().await;
    (user, s.workspace(user, RagConfig::default()).await)
}

fn named(text: &str) -> ConversationId {
    text.parse().unwrap()
}

async fn so_many_turns_of_a_person_run_at_once_and_a_repeated_command_is_none(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let new = |n: usize| NewTurn {
        most: 2,
        command_id: Some(format!("command {n}")),
        ..asked(s.world(), user, workspace, &format!("c{n}"), "Where?")
    };
    let mut first = Worker::begin(&s, new(0)).await;
    Worker::begin(&s, new(1)).await;
    let refused = s.chats().begin_turn(new(2)).await;
    assert!(matches!(refused, Err(StoreError::Refused(TOO_MANY_TURNS))), "{refused:?}");
    let again = s.chats().begin_turn(new(0)).await.unwrap();
    assert_eq!((again.turn.turn_id, again.events.len()), (first.turn.turn_id, 0));
    let (other, others) = home(&s).await;
    let theirs = NewTurn { most: 1, ..asked(s.world(), other, others, "c", "Where?") };
    s.chats().begin_turn(theirs).await.unwrap();
    first.note(TurnChange::Stop).await.unwrap();
    s.chats().begin_turn(new(2)).await.unwrap();
}

async fn a_turn_is_read_as_it_was_told(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let mut work = Worker::begin(&s, asked(s.world(), user, workspace, "a/b #1", "Where?")).await;
    assert_eq!(work.told.len(), 1);
    work.go_to_text().await;
    work.check().await;
    work.note(TurnChange::Step(None)).await.unwrap();
    work.check().await;
    let metadata =
        TurnMetadata { model: Some("m".to_owned()), prompt_tokens: Some(7), ..TurnMetadata::default() };
    work.turn.metadata = metadata;
    work.note(TurnChange::Complete).await.unwrap();
    work.check().await;
    assert_eq!(
        (work.turn.status, work.turn.answer.as_str()),
        (TurnStatus::Completed, "On the ä\"\n\\ quay. [1]")
    );
    let history = s.chats().status_history(user, &work.turn.conversation_id, s.world().now()).await.unwrap();
    let steps: Vec<TurnStep> = history.iter().map(|entry| entry.step).collect();
    assert_eq!(steps, TurnStep::ALL);
    assert_eq!(history[5].metadata.as_ref(), Some(&work.turn.metadata));
    let later = s.world().now().plus_seconds(1);
    assert!(s.chats().status_history(user, &work.turn.conversation_id, later).await.unwrap().is_empty());
    // It is nobody else's.
    let other = s.user().await;
    assert_eq!(s.chats().turn(other, work.turn.turn_id).await.unwrap(), None);
    assert_eq!(s.chats().turn_events(other, work.turn.turn_id, 0, 9).await.unwrap(), []);
    assert!(
        s.chats()
            .turns(other, &work.turn.conversation_id, PageQuery::first(9))
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let ended = s.chats().end_turn(other, work.turn.turn_id, TurnChange::Stop, s.world().now()).await;
    assert!(matches!(ended, Err(StoreError::NotFound)));
}

async fn only_its_server_writes_to_a_turn_and_after_its_end_nobody(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let mut work = Worker::begin(&s, asked(s.world(), user, workspace, "c", "Where?")).await;
    work.go_to_text().await;
    let event = TurnEvent {
        id: work.turn.last_event + 1,
        at: s.world().now(),
        said: Said::Chunk { content: "x".into() },
    };
    let write = TurnWrite {
        owner: "there".to_owned(),
        user,
        turn_id: work.turn.turn_id,
        after: work.turn.last_event,
        events: vec![event],
        turn: None,
        lease_seconds: LONG,
    };
    let refused = s.chats().write_turn(write.clone()).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "another server");
    let doubled = TurnWrite { owner: "here".to_owned(), after: work.turn.last_event - 1, ..write.clone() };
    assert!(matches!(s.chats().write_turn(doubled).await, Err(StoreError::Fenced)), "from another place");
    work.check().await;

    let now = s.world().now();
    let stopped = s.chats().end_turn(user, work.turn.turn_id, TurnChange::Stop, now).await.unwrap();
    assert_eq!(
        (stopped.status, &stopped.answer),
        (TurnStatus::Stopped, &work.turn.answer),
        "what there was is kept"
    );
    assert!(matches!(work.note(TurnChange::Text("late".to_owned())).await, Err(StoreError::Fenced)));
    let failing = TurnChange::Fail(TurnError::interrupted());
    assert_eq!(
        s.chats().end_turn(user, work.turn.turn_id, failing, now).await.unwrap(),
        stopped,
        "the first end holds"
    );
    assert_eq!(s.chats().turn(user, work.turn.turn_id).await.unwrap(), Some(stopped.clone()));
    let events = s.chats().turn_events(user, stopped.turn_id, 0, 100).await.unwrap();
    assert_eq!((events.len() as u64, &events.last().unwrap().said), (stopped.last_event, &Said::Complete));
    let gone = TurnWrite { turn_id: TurnId::new(s.world().uuid()), ..write };
    assert!(matches!(s.chats().write_turn(gone).await, Err(StoreError::Fenced)));
}

async fn a_turn_whose_server_died_is_found_and_one_that_lives_is_not(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let mut work = Worker::begin(&s, asked(s.world(), user, workspace, "c", "Where?")).await;
    work.go_to_text().await;
    let id = work.turn.turn_id;
    assert_eq!(s.chats().abandoned_turns(10).await.unwrap(), []);
    assert_eq!(s.chats().beat_turns("there", &[id], LONG).await.unwrap(), []);
    assert_eq!(s.chats().beat_turns("here", &[id], LONG).await.unwrap(), [id]);
    assert_eq!(s.chats().void_turn_leases().await.unwrap(), 1);
    assert_eq!(s.chats().abandoned_turns(10).await.unwrap(), [(user, id)]);
    assert_eq!(s.chats().beat_turns("here", &[id], LONG).await.unwrap(), [id], "nobody has ended it yet");
    assert_eq!(s.chats().abandoned_turns(10).await.unwrap(), []);
    s.chats().void_turn_leases().await.unwrap();
    let failing = TurnChange::Fail(TurnError::interrupted());
    let ended = s.chats().end_turn(user, id, failing, s.world().now()).await.unwrap();
    assert_eq!(
        (ended.status, &ended.answer, ended.sources.len()),
        (TurnStatus::Failed, &work.turn.answer, 1)
    );
    assert_eq!(s.chats().abandoned_turns(10).await.unwrap(), []);
    assert_eq!(s.chats().beat_turns("here", &[id], LONG).await.unwrap(), []);
    let history = s.chats().status_history(user, &named("c"), s.world().now()).await.unwrap();
    let last = history.last().unwrap();
    assert_eq!((last.status, last.step), (TurnStatus::Failed, TurnStep::GeneratingResponse));
}

async fn a_question_is_asked_again_once_and_only_after_its_end(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let first = Worker::begin(&s, asked(s.world(), user, workspace, "c", "Where?")).await;
    let again = || {
        let mut new = asked(s.world(), user, workspace, "c", "Where?");
        new.opening.again_of = Some(first.turn.turn_id);
        new
    };
    let refused = |answer: Result<Begun, StoreError>| match answer {
        Err(StoreError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(s.chats().begin_turn(again()).await), "turn_running");
    s.chats().end_turn(user, first.turn.turn_id, TurnChange::Stop, s.world().now()).await.unwrap();
    let second = s.chats().begin_turn(again()).await.unwrap().turn;
    assert_eq!(second.again_of, Some(first.turn.turn_id));
    assert_eq!(refused(s.chats().begin_turn(again()).await), "asked_again");
    let old = s.chats().turn(user, first.turn.turn_id).await.unwrap().unwrap();
    assert_eq!((old.again_as, old.status), (Some(second.turn_id), TurnStatus::Stopped));
    assert_eq!(s.chats().conversation(user, &named("c")).await.unwrap().unwrap().turns, 1, "one question");
    let mut strange = asked(s.world(), user, workspace, "c", "Where?");
    strange.opening.again_of = Some(TurnId::new(s.world().uuid()));
    assert!(matches!(s.chats().begin_turn(strange).await, Err(StoreError::NotFound)));
}

async fn a_question_that_is_sent_twice_begins_one_turn(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let sent = |print: &str| NewTurn {
        command_id: Some("k".to_owned()),
        command_print: Some(print.to_owned()),
        ..asked(s.world(), user, workspace, "c", "Where?")
    };
    let first = s.chats().begin_turn(sent("p")).await.unwrap();
    let second = s.chats().begin_turn(sent("p")).await.unwrap();
    assert_eq!((second.turn.turn_id, second.events), (first.turn.turn_id, vec![]));
    assert!(matches!(s.chats().begin_turn(sent("q")).await, Err(StoreError::OtherCommand)));
    assert_eq!(s.chats().turns(user, &named("c"), PageQuery::first(10)).await.unwrap().items.len(), 1);
}

async fn conversations_are_listed_found_named_and_removed(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let other = s.workspace(user, RagConfig::default()).await;
    // At one moment, so that their names alone tell them apart.
    for name in ["a", "b", "Ä / %"] {
        Worker::begin(&s, asked(s.world(), user, workspace, name, &format!("Where is 100% of {name}?")))
            .await;
    }
    s.world().clock.advance_seconds(1);
    Worker::begin(&s, asked(s.world(), user, other, "new", "When?")).await;
    let ids = async |filter: &ConversationFilter, limit: u32| {
        let (mut all, mut after) = (vec![], None);
        loop {
            let page = s.chats().conversations(user, filter, PageQuery { limit, after }).await.unwrap();
            all.extend(page.items.into_iter().map(|c| c.conversation_id.to_string()));
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    };
    let all = ids(&ConversationFilter::default(), 10).await;
    assert_eq!((all.len(), all[0].as_str()), (4, "new"));
    assert_eq!(ids(&ConversationFilter::default(), 1).await, all, "in pages it is the same");
    let in_first = ConversationFilter { workspace: Some(workspace), search: None };
    assert_eq!(ids(&in_first, 2).await.len(), 3);
    let having = |words: &str| ConversationFilter { workspace: None, search: Some(words.to_owned()) };
    assert_eq!(ids(&having("WHEN"), 10).await, ["new"]);
    assert_eq!(ids(&having("0% of b"), 10).await, ["b"]);
    assert_eq!(ids(&having("0_ of b"), 10).await, Vec::<String>::new());
    assert_eq!(ids(&having("of ä"), 10).await, ["Ä / %"], "capitals of any letters are small ones");
    let found = ConversationFilter { workspace: Some(other), search: Some("100%".to_owned()) };
    assert_eq!(ids(&found, 10).await, Vec::<String>::new());

    // The name belongs to one workspace.
    let elsewhere = s.chats().begin_turn(asked(s.world(), user, other, "a", "Why?")).await;
    assert!(matches!(elsewhere, Err(StoreError::Refused(refusal)) if refusal.code == "other_workspace"));
    let stranger = s.user().await;
    let foreign = s.chats().begin_turn(asked(s.world(), stranger, workspace, "a", "Why?")).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));

    let before = s.chats().conversation(user, &named("a")).await.unwrap().unwrap();
    let renamed =
        s.chats().rename_conversation(user, &named("a"), "Mine", s.world().now()).await.unwrap().unwrap();
    assert_eq!(renamed, Conversation { title: "Mine".to_owned(), ..before });
    assert_eq!(ids(&ConversationFilter::default(), 10).await, all, "nobody has asked anything");
    assert_eq!(
        s.chats().rename_conversation(stranger, &named("a"), "Mine", s.world().now()).await.unwrap(),
        None
    );
    assert_eq!(s.chats().delete_conversation(stranger, &named("a"), s.world().now()).await.unwrap(), None);
    let turn = s.chats().turns(user, &named("a"), PageQuery::first(1)).await.unwrap().items.remove(0);
    assert!(s.chats().delete_conversation(user, &named("a"), s.world().now()).await.unwrap().is_some());
    assert_eq!(s.chats().delete_conversation(user, &named("a"), s.world().now()).await.unwrap(), None);
    assert_eq!(s.chats().turn(user, turn.turn_id).await.unwrap(), None);
    assert_eq!(s.chats().turn_events(user, turn.turn_id, 0, 10).await.unwrap(), []);
}

/// What the newest word about the user's workspace counts in it: conversations, and questions.
async fn counted<S: ChatSubject>(s: &S, user: UserId) -> (u64, u64) {
    let counts = workspace_told(s, user).await.counts;
    (counts.conversations, counts.messages)
}

async fn a_deleted_conversation_is_nowhere_and_is_whole_when_it_is_brought_back(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let id = named("c");
    let mut whole = Worker::begin(&s, asked(s.world(), user, workspace, "c", "Where?")).await;
    whole.go_to_text().await;
    for change in [TurnChange::Step(None), TurnChange::Complete] {
        whole.note(change).await.unwrap();
    }
    let mut open = Worker::begin(&s, asked(s.world(), user, workspace, "c", "And where else?")).await;
    open.go_to_text().await;
    Worker::begin(&s, asked(s.world(), user, workspace, "d", "Who?")).await;
    let kept = s.chats().conversation(user, &id).await.unwrap().unwrap();
    let listed = async |search: Option<&str>| {
        let filter = ConversationFilter { workspace: None, search: search.map(str::to_owned) };
        s.chats().conversations(user, &filter, PageQuery::first(10)).await.unwrap().items.len()
    };
    assert_eq!((listed(None).await, listed(Some("where")).await), (2, 1));
    assert_eq!(counted(&s, user).await, (2, 3));
    let before = s.log().head(user).await.unwrap();

    let now = s.world().now();
    let deleted = s.chats().delete_conversation(user, &id, now).await.unwrap();
    let expected = ConversationDeleted {
        conversation_id: id.clone(),
        workspace_id: workspace,
        title: kept.title.clone(),
        undo_until: now.plus_seconds(UNDO_SECONDS),
    };
    assert_eq!(deleted, Some(expected));
    assert_eq!(s.chats().conversation(user, &id).await.unwrap(), None);
    assert_eq!((listed(None).await, listed(Some("where")).await), (1, 0));
    assert_eq!(counted(&s, user).await, (1, 1));
    for turn in [whole.turn.turn_id, open.turn.turn_id] {
        assert_eq!(s.chats().turn(user, turn).await.unwrap(), None);
        assert_eq!(s.chats().turn_without_text(user, turn).await.unwrap(), None);
        assert_eq!(s.chats().turn_events(user, turn, 0, 100).await.unwrap(), []);
        let ended = s.chats().end_turn(user, turn, TurnChange::Stop, now).await;
        assert!(matches!(ended, Err(StoreError::NotFound)), "{ended:?}");
        let mut again = asked(s.world(), user, workspace, "e", "Where?");
        again.opening.again_of = Some(turn);
        assert!(matches!(s.chats().begin_turn(again).await, Err(StoreError::NotFound)));
    }
    assert!(s.chats().turns(user, &id, PageQuery::first(10)).await.unwrap().items.is_empty());
    assert!(s.chats().status_history(user, &id, Timestamp::default()).await.unwrap().is_empty());
    assert_eq!(s.chats().rename_conversation(user, &id, "Mine", now).await.unwrap(), None);
    assert_eq!(s.chats().delete_conversation(user, &id, now).await.unwrap(), None);
    assert!(matches!(open.note(TurnChange::Text("late".to_owned())).await, Err(StoreError::Fenced)));
    assert_eq!(s.chats().beat_turns("here", &[open.turn.turn_id], LONG).await.unwrap(), []);
    let stranger = s.user().await;
    let theirs = s.chats().restore_conversation(stranger, &id, now, now).await;
    assert!(matches!(theirs, Err(StoreError::NotFound)), "{theirs:?}");

    assert_eq!(s.chats().restore_conversation(user, &id, now, now).await.unwrap(), kept);
    whole.check().await;
    let stopped = s.chats().turn(user, open.turn.turn_id).await.unwrap().unwrap();
    assert_eq!((stopped.status, &stopped.answer), (TurnStatus::Stopped, &open.turn.answer), "what there was");
    assert_eq!((listed(None).await, listed(Some("where")).await), (2, 1));
    assert_eq!(counted(&s, user).await, (2, 3));
    // A second click changes nothing, whenever it comes.
    let late = now.plus_seconds(1);
    assert_eq!(s.chats().restore_conversation(user, &id, late, late).await.unwrap(), kept);
    let log = s.log().after(user, before, 100).await.unwrap();
    let told = log.iter().filter_map(|logged| match logged.event() {
        Some(Event::ConversationChanged(c)) => Some((c.turn_id, c.status)),
        _ => None,
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (Some(open.turn.turn_id), ConversationChange::Stopped),
            (None, ConversationChange::Deleted),
            (None, ConversationChange::Created),
        ]
    );
}

async fn a_deleted_conversation_goes_for_good_in_pieces_and_no_other_does(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    for (name, query) in [("a", "Where?"), ("a", "And?"), ("b", "Where?"), ("b", "And?")] {
        Worker::begin(&s, asked(s.world(), user, workspace, name, query)).await.go_to_text().await;
    }
    let (a, b, now) = (named("a"), named("b"), s.world().now());
    let kept = s.chats().turns(user, &b, PageQuery::first(10)).await.unwrap().items;
    let refused = async |since: Timestamp| match s.chats().restore_conversation(user, &a, since, now).await {
        Err(StoreError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    };
    s.chats().delete_conversation(user, &a, now).await.unwrap();
    assert_eq!(refused(now.plus_seconds(1)).await, UNDO_OVER.code);
    // Before its time it stays, and so does what was brought back.
    assert!(!s.chats().remove_deleted_conversations(now.plus_seconds(-1), 1).await.unwrap());
    s.chats().restore_conversation(user, &a, now, now).await.unwrap();
    assert!(!s.chats().remove_deleted_conversations(now, 1).await.unwrap());
    assert_eq!(s.chats().turns(user, &a, PageQuery::first(10)).await.unwrap().items.len(), 2);

    s.chats().delete_conversation(user, &a, now).await.unwrap();
    assert!(s.chats().remove_deleted_conversations(now, 1).await.unwrap());
    // Its first piece is gone, so nobody brings back the rest.
    assert_eq!(refused(Timestamp::from_micros(1)).await, UNDO_OVER.code);
    let mut pieces = 1;
    while s.chats().remove_deleted_conversations(now, 1).await.unwrap() {
        pieces += 1;
        assert!(pieces < 100, "it comes to no end");
    }
    let late = s.chats().restore_conversation(user, &a, now, now).await;
    assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    assert_eq!(s.chats().turns(user, &b, PageQuery::first(10)).await.unwrap().items, kept);
}

async fn the_name_and_the_command_of_what_was_deleted_are_free(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let other = s.workspace(user, RagConfig::default()).await;
    let locked = s.workspace_in(user, WorkspaceStatus::Error).await;
    let (id, now) = (named("c"), s.world().now());
    let sent = |conversation: &str| NewTurn {
        command_id: Some("k".to_owned()),
        command_print: Some("p".to_owned()),
        ..asked(s.world(), user, workspace, conversation, "Where?")
    };
    let first = s.chats().begin_turn(sent("c")).await.unwrap().turn.turn_id;
    s.chats().delete_conversation(user, &id, now).await.unwrap();
    // The server draws another name each time.
    let second = s.chats().begin_turn(sent("drawn")).await.unwrap();
    assert!(second.turn.turn_id != first && !second.events.is_empty(), "{second:?}");
    let again = s.chats().begin_turn(sent("drawn again")).await.unwrap();
    assert_eq!((again.turn.turn_id, again.events), (second.turn.turn_id, vec![]));
    s.chats().restore_conversation(user, &id, now, now).await.unwrap();
    assert!(s.chats().turn(user, first).await.unwrap().is_some());

    s.chats().delete_conversation(user, &id, now).await.unwrap();
    let refused = s.chats().begin_turn(asked(s.world(), user, locked, "c", "Why?")).await;
    assert!(
        matches!(&refused, Err(StoreError::Refused(r)) if r.code == "workspace_error"),
        "whose it was does not matter: {refused:?}"
    );
    s.chats().restore_conversation(user, &id, now, now).await.unwrap();
    s.chats().delete_conversation(user, &id, now).await.unwrap();
    // Another one of that name takes its place, also in another workspace.
    s.chats().begin_turn(asked(s.world(), user, other, "c", "Who?")).await.unwrap();
    let new = s.chats().conversation(user, &id).await.unwrap().unwrap();
    assert_eq!((new.workspace_id, new.title.as_str(), new.turns), (other, "Who?", 1));
    assert_eq!(s.chats().turn(user, first).await.unwrap(), None);
    assert_eq!(s.chats().restore_conversation(user, &id, now, now).await.unwrap(), new, "as it is");
    assert!(!s.chats().remove_deleted_conversations(now, 10).await.unwrap());
}

/// The newest word about the user's workspace.
async fn workspace_told<S: ChatSubject>(s: &S, user: UserId) -> Workspace {
    let told = s.log().after(user, 0, 100).await.unwrap();
    let of_workspace = told.iter().rev().find_map(|e| match e.event() {
        Some(Event::WorkspaceStatus(workspace)) => Some(workspace),
        _ => None,
    });
    of_workspace.expect("the workspace was told")
}

async fn what_is_asked_is_counted_and_is_activity_of_its_workspace(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let ask = async |conversation: &str, query: &str| {
        s.world().clock.advance_seconds(60);
        s.chats().begin_turn(asked(s.world(), user, workspace, conversation, query)).await.unwrap();
        let told = workspace_told(&s, user).await;
        assert_eq!(told.last_activity_at, s.world().now());
        (told.counts.conversations, told.counts.messages)
    };
    assert_eq!(ask("a", "Why?").await, (1, 1));
    assert_eq!(ask("a", "And then?").await, (1, 2));
    assert_eq!(ask("b", "Where?").await, (2, 3));
    let last = s.world().now();
    s.world().clock.advance_seconds(60);
    assert!(s.chats().delete_conversation(user, &named("a"), s.world().now()).await.unwrap().is_some());
    let told = workspace_told(&s, user).await;
    assert_eq!((told.counts.conversations, told.counts.messages), (1, 1));
    assert_eq!(told.last_activity_at, last, "nothing was asked");
}

async fn an_empty_conversation_is_called_by_its_first_question(s: impl ChatSubject) {
    let (user, workspace_id) = home(&s).await;
    let now = s.world().now();
    let new = |name: &str, title: &str| Conversation {
        conversation_id: named(name),
        user_id: user,
        workspace_id,
        title: title.to_owned(),
        turns: 0,
        created_at: now,
        updated_at: now,
    };
    assert_eq!(s.chats().create_conversation(new("c", NEW_TITLE)).await.unwrap(), new("c", NEW_TITLE));
    assert_eq!(s.chats().create_conversation(new("c", "Other")).await.unwrap(), new("c", NEW_TITLE));
    s.chats().create_conversation(new("d", "Mine")).await.unwrap();
    for name in ["c", "d"] {
        s.chats().begin_turn(asked(s.world(), user, workspace_id, name, "Where?")).await.unwrap();
    }
    assert_eq!(s.chats().conversation(user, &named("c")).await.unwrap().unwrap().title, "Where?");
    assert_eq!(s.chats().conversation(user, &named("d")).await.unwrap().unwrap().title, "Mine");
}

async fn each_change_of_a_conversation_is_told_and_the_newest_stays(s: impl ChatSubject) {
    use ConversationChange::{Created, Deleted, Failed, Processing, Renamed, Stopped};
    let (user, workspace) = home(&s).await;
    let before = s.log().head(user).await.unwrap();
    let now = s.world().now();
    let mut first = Worker::begin(&s, asked(s.world(), user, workspace, "c", "Where?")).await;
    first.go_to_text().await;
    for _ in 0..2 {
        s.chats().end_turn(user, first.turn.turn_id, TurnChange::Stop, now).await.unwrap();
    }
    let mut second = Worker::begin(&s, asked(s.world(), user, workspace, "c", "And?")).await;
    second.note(TurnChange::Fail(TurnError::interrupted())).await.unwrap();
    for _ in 0..2 {
        s.chats().rename_conversation(user, &named("none"), "Mine", now).await.unwrap();
    }
    s.chats().rename_conversation(user, &named("c"), "Mine", now).await.unwrap();
    for _ in 0..2 {
        s.chats().delete_conversation(user, &named("c"), now).await.unwrap();
        let empty = Conversation {
            conversation_id: named("d"),
            user_id: user,
            workspace_id: workspace,
            title: NEW_TITLE.to_owned(),
            turns: 0,
            created_at: now,
            updated_at: now,
        };
        s.chats().create_conversation(empty).await.unwrap();
    }
    // What was refused is not told.
    let other = s.workspace_in(user, WorkspaceStatus::Error).await;
    s.chats().begin_turn(asked(s.world(), user, other, "e", "Where?")).await.unwrap_err();

    let told = async || {
        let log = s.log().after(user, before, 100).await.unwrap();
        let one = |logged: &services::ports::LoggedEvent| match logged.event() {
            Some(Event::ConversationChanged(c)) => {
                assert_eq!((c.rev, c.workspace_id), (logged.seq, workspace));
                Some((c.conversation_id.to_string(), c.turn_id, c.status))
            }
            _ => None,
        };
        log.iter().filter_map(one).collect::<Vec<_>>()
    };
    let of_c = |turn: Option<TurnId>, status| ("c".to_owned(), turn, status);
    let (one, two) = (Some(first.turn.turn_id), Some(second.turn.turn_id));
    let created = ("d".to_owned(), None, Created);
    let deleted = of_c(None, Deleted);
    assert_eq!(
        told().await,
        [
            of_c(one, Processing),
            of_c(one, Stopped),
            of_c(two, Processing),
            of_c(two, Failed),
            of_c(None, Renamed),
            deleted.clone(),
            created.clone(),
        ]
    );
    // It is no history of the workspace, and only what is newest of each is kept.
    let query = HistoryQuery { limit: 100, after: None, newest_first: false, transitions: false };
    let history = s.history().history(user, HistoryOf::Workspace(workspace), query).await.unwrap();
    assert!(history.items.iter().all(|entry| entry.event != "conversation_changed"), "{history:?}");
    assert_eq!(s.history().forget_events(now, 100).await.unwrap(), 0);
    // Five of these, and three times the counts of the workspace.
    assert_eq!(s.history().forget_events(now.plus_seconds(1), 100).await.unwrap(), 8);
    assert_eq!(told().await, [deleted, created]);
}

async fn nothing_is_asked_in_a_workspace_that_is_not_ready(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    s.chats().begin_turn(asked(s.world(), user, workspace, "c", "Where?")).await.unwrap();
    for (status, code) in [
        (WorkspaceStatus::Provisioning, "workspace_provisioning"),
        (WorkspaceStatus::Error, "workspace_error"),
        (WorkspaceStatus::Deleting, "workspace_deleting"),
    ] {
        let locked = s.workspace_in(user, status).await;
        let refused = s.chats().begin_turn(asked(s.world(), user, locked, "new", "Where?")).await;
        assert!(matches!(&refused, Err(StoreError::Refused(r)) if r.code == code), "{refused:?}");
        assert_eq!(s.chats().conversation(user, &named("new")).await.unwrap(), None, "nothing was begun");
        // Whose conversation it is comes first: that does not change.
        let refused = s.chats().begin_turn(asked(s.world(), user, locked, "c", "Where?")).await;
        assert!(
            matches!(&refused, Err(StoreError::Refused(r)) if r.code == "other_workspace"),
            "{refused:?}"
        );
    }
}

async fn turns_come_in_pages_from_the_newest(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    for n in 0..5 {
        Worker::begin(&s, asked(s.world(), user, workspace, "c", &n.to_string())).await;
    }
    let page = s.chats().turns(user, &named("c"), PageQuery::first(2)).await.unwrap();
    let queries =
        |page: &domain::resource::Page<Turn>| page.items.iter().map(|t| t.query.clone()).collect::<Vec<_>>();
    assert_eq!(queries(&page), ["3", "4"]);
    let page = s.chats().turns(user, &named("c"), PageQuery { limit: 3, after: page.next }).await.unwrap();
    assert_eq!((queries(&page), page.next), (vec!["0".to_owned(), "1".to_owned(), "2".to_owned()], None));
}

async fn a_day_after_the_end_only_the_answer_is_left(s: impl ChatSubject) {
    let (user, workspace) = home(&s).await;
    let mut work = Worker::begin(&s, asked(s.world(), user, workspace, "c", "Where?")).await;
    work.go_to_text().await;
    let open = Worker::begin(&s, asked(s.world(), user, workspace, "c", "And?")).await;
    let ended = s.chats().end_turn(user, work.turn.turn_id, TurnChange::Stop, s.world().now()).await.unwrap();
    let end = s.world().now();
    assert_eq!(s.chats().forget_turn_events(end.plus_seconds(-1), 10).await.unwrap(), 0);
    assert_eq!(s.chats().forget_turn_events(end, 10).await.unwrap(), 1);
    assert_eq!(s.chats().forget_turn_events(end, 10).await.unwrap(), 0);
    assert_eq!(s.chats().turn_events(user, ended.turn_id, 0, 10).await.unwrap(), []);
    assert_eq!(s.chats().turn(user, ended.turn_id).await.unwrap(), Some(ended));
    open.check_open().await;
}

impl<S: ChatSubject> Worker<'_, S> {
    async fn check_open(&self) {
        let told = self.s.chats().turn_events(self.turn.user_id, self.turn.turn_id, 0, 10).await.unwrap();
        assert_eq!(told, self.told, "what is not over is not forgotten");
    }
}

on_every_store!(
    a_turn_is_read_as_it_was_told,
    so_many_turns_of_a_person_run_at_once_and_a_repeated_command_is_none,
    only_its_server_writes_to_a_turn_and_after_its_end_nobody,
    a_turn_whose_server_died_is_found_and_one_that_lives_is_not,
    a_question_is_asked_again_once_and_only_after_its_end,
    a_question_that_is_sent_twice_begins_one_turn,
    conversations_are_listed_found_named_and_removed,
    a_deleted_conversation_is_nowhere_and_is_whole_when_it_is_brought_back,
    a_deleted_conversation_goes_for_good_in_pieces_and_no_other_does,
    the_name_and_the_command_of_what_was_deleted_are_free,
    an_empty_conversation_is_called_by_its_first_question,
    each_change_of_a_conversation_is_told_and_the_newest_stays,
    nothing_is_asked_in_a_workspace_that_is_not_ready,
    what_is_asked_is_counted_and_is_activity_of_its_workspace,
    turns_come_in_pages_from_the_newest,
    a_day_after_the_end_only_the_answer_is_left,
);
