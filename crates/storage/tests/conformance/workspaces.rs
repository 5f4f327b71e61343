//! Workspaces, on both databases.

use crate::{
    on_every_database,
    subject::{Database, Subject},
};
use domain::{Event, UserId, WorkspaceId, WorkspaceStatus, rag::RagConfig, resource::Counts};
use services::ports::{EventLog, NewWorkspace, PageQuery, StoreError, Workspaces};
use std::ops::DerefMut;

async fn a_new_workspace_reads_back_and_is_told(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let base = s.store.head(user).await.unwrap();
    let new = NewWorkspace {
        status: WorkspaceStatus::Provisioning,
        rag_config: RagConfig { top_k: 3, ..RagConfig::default() },
        ..s.new_workspace(user, "Papers 2")
    };
    let made = s.store.create_workspace(new.clone()).await.unwrap();
    assert_eq!((made.id, made.rev, made.status), (new.id, base + 1, WorkspaceStatus::Provisioning));
    assert_eq!(made.counts, Counts::default());
    assert_eq!(s.store.workspace(user, made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(s.store.rag_config(user, made.id).await.unwrap(), Some(new.rag_config));
    let log = s.store.after(user, base, 10).await.unwrap();
    assert_eq!(log.iter().map(|e| e.event()).collect::<Vec<_>>(), [Some(Event::WorkspaceStatus(made))]);
}

async fn what_is_somebody_elses_is_not_there(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, eve) = (s.user().await, s.user().await);
    let id = s.workspace(ada, RagConfig::default()).await;
    assert!(s.store.workspace(ada, id).await.unwrap().is_some());
    assert!(s.store.workspace(eve, id).await.unwrap().is_none());
    assert!(s.store.rag_config(eve, id).await.unwrap().is_none());
    let hers = s.store.workspaces(eve, PageQuery::first(200)).await.unwrap();
    assert!(hers.items.iter().all(|w| w.user_id == eve));
}

async fn a_repeated_command_answers_the_first_ones_workspace(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let command = |name: &str, user: UserId| NewWorkspace {
        command_id: Some("command-1".into()),
        ..s.new_workspace(user, name)
    };
    let first = s.store.create_workspace(command("First", user)).await.unwrap();
    let head = s.store.head(user).await.unwrap();
    let again = s.store.create_workspace(command("Second", user)).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(s.store.head(user).await.unwrap(), head, "nothing happened, so nothing is told");
    let other = s.user().await;
    let others = s.store.create_workspace(command("Third", other)).await.unwrap();
    assert_eq!(others.name, "Third", "another user's command of the same name is another command");
}

async fn a_command_sent_many_times_at_once_is_carried_out_once(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    let base = s.store.head(user).await.unwrap();
    let other = s.open_another().await;
    let sent: Vec<_> = (0..24)
        .map(|i| {
            let store = if i % 2 == 0 { s.store.clone() } else { other.clone() };
            let new = NewWorkspace {
                command_id: Some("command-1".into()),
                ..s.new_workspace(user, &format!("Try {i}"))
            };
            tokio::spawn(async move { store.create_workspace(new).await.unwrap() })
        })
        .collect();
    let mut answers = vec![];
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
    assert_eq!(s.store.head(user).await.unwrap(), base + 1);
}

async fn the_first_workspace_is_the_oldest_and_the_list_begins_with_the_newest(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    let mut names = vec!["My documents".to_owned()];
    for i in 0..7 {
        // Two share each moment; the id decides between them.
        s.world().clock.advance_seconds(i % 2);
        let name = format!("Number {i}");
        s.store.create_workspace(s.new_workspace(user, &name)).await.unwrap();
        names.push(name);
    }
    names.reverse();
    assert_eq!(s.store.first_workspace(user).await.unwrap().unwrap().name, "My documents");
    for limit in [1, 3, 8, 200] {
        let mut seen = vec![];
        let mut page = PageQuery::first(limit);
        loop {
            let answer = s.store.workspaces(user, page).await.unwrap();
            assert!(answer.items.len() <= limit as usize);
            seen.extend(answer.items.into_iter().map(|w| w.name));
            match answer.next {
                Some(next) => page = PageQuery { limit, after: Some(next) },
                None => break,
            }
        }
        assert_eq!(seen, names, "in pages of {limit}");
    }
    let nonsense = PageQuery { limit: 5, after: Some("nonsense".into()) };
    assert!(matches!(s.store.workspaces(user, nonsense).await, Err(StoreError::NotFound)));
}

async fn the_status_moves_by_its_table_and_tells_each_move(s: impl Subject + DerefMut<Target = Database>) {
    use WorkspaceStatus::{Deleting, Error, Provisioning, Ready};
    let user = s.user().await;
    let new = NewWorkspace { status: Provisioning, ..s.new_workspace(user, "Papers") };
    let id = s.store.create_workspace(new).await.unwrap().id;
    let base = s.store.head(user).await.unwrap();
    let set = |to, message: Option<&str>| {
        s.store.set_workspace_status(id, to, message.map(str::to_owned), s.world().now())
    };
    let mut told = vec![];
    s.world().clock.advance_seconds(5);
    for (to, message) in
        [(Error, Some("The disk is full.")), (Provisioning, None), (Ready, None), (Deleting, None)]
    {
        let after = set(to, message).await.unwrap();
        assert_eq!((after.status, after.status_message.as_deref()), (to, message));
        assert_eq!(after.updated_at, s.world().now());
        assert_eq!(s.store.workspace(user, id).await.unwrap(), Some(after.clone()));
        told.push(Some(Event::WorkspaceStatus(after)));
    }
    let refused = set(Ready, None).await;
    assert!(matches!(&refused, Err(StoreError::Illegal(m)) if m.from == "deleting"), "{refused:?}");
    let log = s.store.after(user, base, 10).await.unwrap();
    assert_eq!(log.iter().map(|e| e.event()).collect::<Vec<_>>(), told);
    let nowhere = WorkspaceId::new(s.world().uuid());
    let refused = s.store.set_workspace_status(nowhere, Ready, None, s.world().now()).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
}

async fn what_still_has_to_be_made_ready_is_found_oldest_first(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let mut waiting = vec![];
    for i in 0..6 {
        let user = s.user().await;
        let status = if i % 2 == 0 { WorkspaceStatus::Provisioning } else { WorkspaceStatus::Ready };
        let new = NewWorkspace { status, ..s.new_workspace(user, "Papers") };
        s.world().clock.advance_seconds(1);
        let made = s.store.create_workspace(new).await.unwrap();
        if i % 2 == 0 {
            waiting.push(made);
        }
    }
    assert_eq!(s.store.provisioning(10).await.unwrap(), waiting);
    assert_eq!(s.store.provisioning(2).await.unwrap(), waiting[..2]);
}

on_every_database!(
    a_new_workspace_reads_back_and_is_told,
    what_is_somebody_elses_is_not_there,
    a_repeated_command_answers_the_first_ones_workspace,
    a_command_sent_many_times_at_once_is_carried_out_once,
    the_first_workspace_is_the_oldest_and_the_list_begins_with_the_newest,
    the_status_moves_by_its_table_and_tells_each_move,
    what_still_has_to_be_made_ready_is_found_oldest_first,
);
