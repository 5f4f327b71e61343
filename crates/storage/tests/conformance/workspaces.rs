//! Workspaces, on both databases.

use crate::{
    desk::{Desk, JobSubject, failed},
    on_every_database,
    subject::{Database, Subject},
};
use domain::{
    Event, UserId, WorkspaceId, WorkspaceStatus,
    ingest::Failure,
    provision::{Change, ProvisionStep, Provisioning},
    rag::RagConfig,
    resource::Counts,
    validate::{Description, WorkspaceName},
};
use services::ports::{
    Deletions, EventLog, Index, NewWorkspace, PageQuery, StoreError, WorkspaceEdit, Workspaces,
};
use sqlx::{AssertSqlSafe, Executor, raw_sql};
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
    let print = |print: &str| NewWorkspace { command_print: Some(print.into()), ..command("First", user) };
    assert_eq!(s.store.create_workspace(print("a")).await.unwrap(), first, "its print was not kept then");
    assert_eq!(s.store.create_workspace(print("a")).await.unwrap(), first);
    let refused = s.store.create_workspace(print("b")).await;
    assert!(matches!(refused, Err(StoreError::OtherCommand)), "{refused:?}");
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
    assert!(matches!(s.store.workspaces(user, nonsense).await, Err(StoreError::BadCursor)));
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

async fn an_edit_changes_what_it_names_and_is_told_once(s: impl Subject + DerefMut<Target = Database>) {
    let (user, other) = (s.user().await, s.user().await);
    let made = s.store.create_workspace(s.new_workspace(user, "Papers")).await.unwrap();
    let base = s.store.head(user).await.unwrap();
    s.world().clock.advance_seconds(5);
    let edit = |user, name: Option<&str>, description: Option<&str>| {
        let edit = WorkspaceEdit {
            name: name.map(|n| WorkspaceName::parse(n).unwrap()),
            description: description.map(|d| Description::parse(d).unwrap()),
            processor: None,
        };
        s.store.edit_workspace(user, made.id, edit, s.world().now())
    };
    let named = edit(user, Some("Letters"), None).await.unwrap();
    assert_eq!((named.name.as_str(), named.rev, named.updated_at), ("Letters", base + 1, s.world().now()));
    let described = edit(user, None, Some("To read")).await.unwrap();
    assert_eq!((described.name.as_str(), described.description.as_str()), ("Letters", "To read"));
    assert_eq!(s.store.workspace(user, made.id).await.unwrap(), Some(described.clone()));
    assert_eq!(edit(user, Some("Letters"), Some("To read")).await.unwrap(), described);
    let log = s.store.after(user, base, 10).await.unwrap();
    let told = [Some(Event::WorkspaceStatus(named)), Some(Event::WorkspaceStatus(described))];
    assert_eq!(log.iter().map(|e| e.event()).collect::<Vec<_>>(), told);

    assert!(matches!(edit(other, Some("Mine now"), None).await, Err(StoreError::NotFound)));
    s.store.set_workspace_status(made.id, WorkspaceStatus::Deleting, None, s.world().now()).await.unwrap();
    let refused = edit(user, Some("Too late"), None).await;
    assert!(matches!(&refused, Err(StoreError::Refused(r)) if r.code == "workspace_deleting"), "{refused:?}");
}

async fn the_way_to_a_ready_workspace_is_kept_and_told_step_by_step(
    mut s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    let new = NewWorkspace { status: WorkspaceStatus::Provisioning, ..s.new_workspace(user, "Papers") };
    let made = s.store.create_workspace(new).await.unwrap();
    assert_eq!(made.provisioning, Some(Provisioning::attempt(1)));
    let base = s.store.head(user).await.unwrap();
    let (mut told, mut last) = (vec![], made);
    for &step in ProvisionStep::ALL {
        for change in [Change::Begin(step), Change::Done(step)] {
            last = s.store.advance_workspace(last.id, change, s.world().now()).await.unwrap();
            told.push(Some(Event::WorkspaceStatus(last.clone())));
            // Whatever happens to the process between two steps.
            s.reopen().await;
            assert_eq!(s.store.workspace(user, last.id).await.unwrap(), Some(last.clone()));
        }
        let again = s.store.advance_workspace(last.id, Change::Done(step), s.world().now()).await;
        assert!(matches!(again, Err(StoreError::Illegal(_))), "{again:?}");
    }
    assert_eq!((last.status, &last.provisioning), (WorkspaceStatus::Ready, &None));
    let log = s.store.after(user, base, 20).await.unwrap();
    assert_eq!(log.iter().map(|e| e.event()).collect::<Vec<_>>(), told);
}

async fn beginning_a_step_again_tells_nothing(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let new = NewWorkspace { status: WorkspaceStatus::Provisioning, ..s.new_workspace(user, "Papers") };
    let id = s.store.create_workspace(new).await.unwrap().id;
    let begin = || s.store.advance_workspace(id, Change::Begin(ProvisionStep::Settings), s.world().now());
    let first = begin().await.unwrap();
    let head = s.store.head(user).await.unwrap();
    assert_eq!(begin().await.unwrap(), first);
    assert_eq!(s.store.head(user).await.unwrap(), head);
}

async fn a_failed_step_keeps_its_reason_until_the_retry(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let new = NewWorkspace { status: WorkspaceStatus::Provisioning, ..s.new_workspace(user, "Papers") };
    let id = s.store.create_workspace(new).await.unwrap().id;
    let take = |change| s.store.advance_workspace(id, change, s.world().now());
    take(Change::Begin(ProvisionStep::Settings)).await.unwrap();
    let failure = Failure {
        code: "settings_invalid".into(),
        message: "They do not fit.".into(),
        hint: Some("Change them.".into()),
        retryable: true,
    };
    take(Change::Failed(ProvisionStep::Settings, failure)).await.unwrap();
    let failed = s.store.workspace(user, id).await.unwrap().unwrap();
    let provisioning = failed.provisioning.unwrap();
    assert_eq!(
        (failed.status, failed.status_message.as_deref(), provisioning.error_hint.as_deref()),
        (WorkspaceStatus::Error, Some("They do not fit."), Some("Change them."))
    );
    assert!(s.store.provisioning(10).await.unwrap().is_empty());
    take(Change::Retry).await.unwrap();
    let again = s.store.provisioning(10).await.unwrap();
    assert_eq!(
        again.iter().map(|w| (w.id, &w.status_message, &w.provisioning)).collect::<Vec<_>>(),
        [(id, &None, &Some(Provisioning::attempt(2)))]
    );
}

async fn making_place_in_the_index_twice_changes_nothing(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let id = s.workspace(user, RagConfig::default()).await;
    for _ in 0..2 {
        s.store.prepare(user, id).await.unwrap();
        assert_eq!(s.store.index_version(id).await.unwrap(), 0);
    }
    let nowhere = WorkspaceId::new(s.world().uuid());
    assert!(matches!(s.store.prepare(user, nowhere).await, Err(StoreError::NotFound)));
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

async fn what_an_older_database_has_is_counted_when_it_is_opened(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let mut d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let empty = d.s.workspace(user, RagConfig::default()).await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt", "d.txt"]).await;
    let claims = d.claim("w", 2).await;
    d.work(&claims[0], 5).await;
    d.check(&claims[1], failed("It broke.")).await.unwrap();
    let others = documents.iter().map(|document| document.id);
    let waiting: Vec<_> = others.filter(|id| claims.iter().all(|claim| claim.document_id != *id)).collect();
    d.s.store.delete_document(user, waiting[0], d.now()).await.unwrap();
    let before = d.s.store.workspace(user, workspace).await.unwrap().unwrap().counts;
    assert_eq!((before.documents, before.ready, before.processing, before.failed), (3, 1, 1, 1));
    assert!(before.chunks > 0 && before.bytes > 0, "{before:?}");

    // As the version before the counts left it.
    let triggers = if d.s.place.url().starts_with("sqlite") {
        "DROP TRIGGER workspace_is_counted; DROP TRIGGER document_came; DROP TRIGGER document_went; \
         DROP TRIGGER document_changed"
    } else {
        "DROP FUNCTION count_workspace, count_documents_that_came, count_documents_that_went, \
             count_documents_that_changed CASCADE; DROP FUNCTION change_workspace_counts"
    };
    let older = format!(
        "{triggers}; DROP TABLE workspace_counts; DROP INDEX documents_on_their_way; \
         DELETE FROM _sqlx_migrations WHERE version = 47"
    );
    let mut conn = d.s.place.connect().await;
    conn.execute(raw_sql(AssertSqlSafe(older))).await.unwrap();
    drop(conn);
    d.s.reopen().await;

    let store = &d.s.store;
    assert_eq!(store.workspace(user, workspace).await.unwrap().unwrap().counts, before);
    assert_eq!(store.workspace(user, empty).await.unwrap().unwrap().counts, Counts::default());
    // And from then on with each change.
    store.delete_document(user, waiting[1], d.now()).await.unwrap();
    let after = store.workspace(user, workspace).await.unwrap().unwrap().counts;
    assert_eq!((after.documents, after.ready, after.processing, after.failed), (2, 1, 0, 1));
    assert_eq!((after.chunks, after.bytes < before.bytes), (before.chunks, true));
}

on_every_database!(
    a_new_workspace_reads_back_and_is_told,
    what_is_somebody_elses_is_not_there,
    a_repeated_command_answers_the_first_ones_workspace,
    a_command_sent_many_times_at_once_is_carried_out_once,
    the_first_workspace_is_the_oldest_and_the_list_begins_with_the_newest,
    the_status_moves_by_its_table_and_tells_each_move,
    an_edit_changes_what_it_names_and_is_told_once,
    the_way_to_a_ready_workspace_is_kept_and_told_step_by_step,
    beginning_a_step_again_tells_nothing,
    a_failed_step_keeps_its_reason_until_the_retry,
    making_place_in_the_index_twice_changes_nothing,
    what_still_has_to_be_made_ready_is_found_oldest_first,
    what_an_older_database_has_is_counted_when_it_is_opened,
);
