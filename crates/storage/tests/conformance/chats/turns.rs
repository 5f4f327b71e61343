//! Turns: who writes to them and until when, how they are read, and what may not be asked.

use super::{ChatSubject, LONG, Worker, asked, home, named};
use crate::on_every_store;
use domain::{
    TurnId, WorkspaceStatus,
    chat::{Said, Turn, TurnChange, TurnError, TurnEvent, TurnMetadata, TurnStatus, TurnStep},
};
use services::ports::{Begun, NewTurn, PageQuery, StoreError, TOO_MANY_TURNS, TurnWrite};

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
    nothing_is_asked_in_a_workspace_that_is_not_ready,
    turns_come_in_pages_from_the_newest,
    a_day_after_the_end_only_the_answer_is_left,
);
