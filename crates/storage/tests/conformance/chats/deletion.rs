//! Deleting a conversation, with a way back.

use super::{ChatSubject, LONG, Worker, asked, home, named, workspace_told};
use crate::on_every_store;
use domain::{
    Event, Timestamp, UserId, WorkspaceStatus,
    chat::{ConversationChange, ConversationDeleted, TurnChange, TurnStatus},
    ingest::deletion::{UNDO_OVER, UNDO_SECONDS},
    rag::RagConfig,
};
use services::ports::{ConversationFilter, NewTurn, PageQuery, StoreError};

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

on_every_store!(
    a_deleted_conversation_is_nowhere_and_is_whole_when_it_is_brought_back,
    a_deleted_conversation_goes_for_good_in_pieces_and_no_other_does,
    the_name_and_the_command_of_what_was_deleted_are_free,
);
