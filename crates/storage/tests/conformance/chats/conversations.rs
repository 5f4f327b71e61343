//! Conversations as a whole: their lists, their names, and what is told of them.

use super::{ChatSubject, Worker, asked, home, named, workspace_told};
use crate::on_every_store;
use domain::{
    Event, TurnId, WorkspaceStatus,
    chat::{Conversation, ConversationChange, NEW_TITLE, TurnChange, TurnError},
    rag::RagConfig,
};
use services::ports::{ConversationFilter, HistoryOf, HistoryQuery, PageQuery, StoreError};

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

on_every_store!(
    conversations_are_listed_found_named_and_removed,
    an_empty_conversation_is_called_by_its_first_question,
    each_change_of_a_conversation_is_told_and_the_newest_stays,
    what_is_asked_is_counted_and_is_activity_of_its_workspace,
);
