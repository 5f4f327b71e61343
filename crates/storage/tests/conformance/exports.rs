//! The queue of exports, on both databases.

use crate::{
    desk::{LONG, worker},
    on_every_database,
    subject::{Database, Subject},
};
use domain::{Event, Export, ExportId, ExportStatus, UserId};
use services::ports::{Deletions, EventLog, ExportClaim, ExportOutcome, Exports, NewExport, StoreError};
use std::ops::DerefMut;

fn new(s: &Database, user_id: UserId) -> NewExport {
    s.world().clock.advance_seconds(1);
    NewExport { id: ExportId::new(s.world().uuid()), user_id, command_id: None, created_at: s.world().now() }
}

fn ready(key: &str) -> ExportOutcome {
    ExportOutcome::Ready { blob_key: key.into(), bytes: 7 }
}

async fn claim(s: &Database, lease: u32) -> Option<ExportClaim> {
    s.store.claim_export(&worker("w"), lease, s.world().now()).await.unwrap()
}

async fn end(s: &Database, claim: &ExportClaim, outcome: ExportOutcome) -> Result<(), StoreError> {
    let now = s.world().now();
    s.store.end_export(claim, outcome, now.plus_seconds(60), now).await
}

async fn newest(s: &Database, user: UserId) -> Option<(Export, Option<String>)> {
    s.store.newest_export(user, s.world().now()).await.unwrap()
}

/// The states of exports that the stream told of.
async fn told(s: &Database, user: UserId) -> Vec<ExportStatus> {
    let log = s.store.after(user, 0, u32::MAX).await.unwrap();
    let exports = log.iter().filter_map(|e| match e.event() {
        Some(Event::SettingsChanged(changed)) => changed.export,
        _ => None,
    });
    exports.map(|e| e.status).collect()
}

async fn an_export_goes_from_pending_over_running_to_ready_and_the_stream_tells_it(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    assert!(newest(&s, user).await.is_none());
    assert!(claim(&s, LONG).await.is_none());
    let made = s.store.create_export(new(&s, user)).await.unwrap();
    assert_eq!((made.status, made.bytes), (ExportStatus::Pending, 0));
    assert_eq!(newest(&s, user).await, Some((made.clone(), None)));

    let held = claim(&s, LONG).await.unwrap();
    assert_eq!((held.export_id, held.user_id, held.fence), (made.id, user, 1));
    assert!(claim(&s, LONG).await.is_none(), "it is taken");
    assert_eq!(newest(&s, user).await.unwrap().0.status, ExportStatus::Running);
    s.store.keep_export(&held, LONG).await.unwrap();

    end(&s, &held, ready("users/x/exports/1")).await.unwrap();
    let (export, key) = newest(&s, user).await.unwrap();
    assert_eq!(
        (export.status, export.bytes, key.as_deref()),
        (ExportStatus::Ready, 7, Some("users/x/exports/1"))
    );
    assert_eq!(export.completed_at, Some(s.world().now()));
    assert_eq!(told(&s, user).await, [ExportStatus::Pending, ExportStatus::Running, ExportStatus::Ready]);
    assert!(matches!(end(&s, &held, ready("other")).await, Err(StoreError::Fenced)), "it ends once");
}

async fn one_that_failed_says_why(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    s.store.create_export(new(&s, user)).await.unwrap();
    let held = claim(&s, LONG).await.unwrap();
    end(&s, &held, ExportOutcome::Failed("No space.".into())).await.unwrap();
    let (export, key) = newest(&s, user).await.unwrap();
    assert_eq!(
        (export.status, export.error.as_deref(), key),
        (ExportStatus::Failed, Some("No space."), None)
    );
}

async fn while_one_is_being_made_it_is_answered_and_afterwards_a_new_one_takes_its_place(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let (ada, bob) = (s.user().await, s.user().await);
    let command = |user| NewExport { command_id: Some("POST 1".into()), ..new(&s, user) };
    let first = s.store.create_export(command(ada)).await.unwrap();
    assert_eq!(s.store.create_export(new(&s, ada)).await.unwrap().id, first.id);
    let held = claim(&s, LONG).await.unwrap();
    assert_eq!(s.store.create_export(new(&s, ada)).await.unwrap().id, first.id);
    assert_ne!(s.store.create_export(new(&s, bob)).await.unwrap().id, first.id);
    end(&s, &held, ready("first")).await.unwrap();

    // The same command again is the same export; another one is another.
    let again = s.store.create_export(command(ada)).await.unwrap();
    assert_eq!((again.id, again.status), (first.id, ExportStatus::Ready));
    let second = s.store.create_export(new(&s, ada)).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(newest(&s, ada).await.unwrap().0.id, second.id);
    let old = s.store.old_exports(s.world().now(), 10).await.unwrap();
    assert_eq!(old.len(), 1);
    assert_eq!((old[0].export_id, old[0].blob_key.as_deref()), (first.id, Some("first")));
    s.store.forget_export(&old[0]).await.unwrap();
    assert!(s.store.old_exports(s.world().now(), 10).await.unwrap().is_empty());
}

async fn a_maker_that_died_is_followed_by_another_and_can_write_nothing(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    s.store.create_export(new(&s, user)).await.unwrap();
    let dead = claim(&s, 0).await.unwrap();
    let next = claim(&s, LONG).await.unwrap();
    assert_eq!((next.export_id, next.fence), (dead.export_id, 2));
    assert!(matches!(s.store.keep_export(&dead, LONG).await, Err(StoreError::Fenced)));
    assert!(matches!(end(&s, &dead, ready("dead")).await, Err(StoreError::Fenced)));
    s.store.keep_export(&next, LONG).await.unwrap();
    // After a start of the only server, nobody else can be making it.
    assert!(claim(&s, LONG).await.is_none());
    assert_eq!(s.store.void_export_leases().await.unwrap(), 1);
    assert_eq!(claim(&s, LONG).await.unwrap().fence, 3);
    assert_eq!(told(&s, user).await, [ExportStatus::Pending, ExportStatus::Running], "a takeover is no news");
}

async fn the_oldest_goes_first_and_each_is_taken_once(s: impl Subject + DerefMut<Target = Database>) {
    let mut ids = vec![];
    for _ in 0..3 {
        let user = s.user().await;
        ids.push(s.store.create_export(new(&s, user)).await.unwrap().id);
    }
    let other = s.open_another().await;
    let mut taken = vec![];
    for store in [&s.store, &other, &s.store] {
        taken.push(store.claim_export(&worker("w"), LONG, s.world().now()).await.unwrap().unwrap().export_id);
    }
    assert_eq!(taken, ids);
    other.close().await;
}

async fn one_that_has_expired_is_not_there_any_more(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    s.store.create_export(new(&s, user)).await.unwrap();
    let held = claim(&s, LONG).await.unwrap();
    end(&s, &held, ready("key")).await.unwrap();
    assert!(s.store.old_exports(s.world().now(), 10).await.unwrap().is_empty());
    s.world().clock.advance_seconds(60);
    assert!(newest(&s, user).await.is_none());
    assert_eq!(s.store.old_exports(s.world().now(), 10).await.unwrap().len(), 1);
}

async fn an_account_that_is_being_deleted_has_no_exports(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    s.store.create_export(new(&s, user)).await.unwrap();
    let held = claim(&s, LONG).await.unwrap();
    let job = domain::JobId::new(s.world().uuid());
    s.store.begin_account_deletion(user, job, s.world().now()).await.unwrap();
    assert!(matches!(s.store.keep_export(&held, LONG).await, Err(StoreError::Fenced)));
    assert!(matches!(end(&s, &held, ready("key")).await, Err(StoreError::Fenced)));
    assert!(matches!(s.store.create_export(new(&s, user)).await, Err(StoreError::NotFound)));
    assert!(newest(&s, user).await.is_none());
}

on_every_database!(
    an_export_goes_from_pending_over_running_to_ready_and_the_stream_tells_it,
    one_that_failed_says_why,
    while_one_is_being_made_it_is_answered_and_afterwards_a_new_one_takes_its_place,
    a_maker_that_died_is_followed_by_another_and_can_write_nothing,
    the_oldest_goes_first_and_each_is_taken_once,
    one_that_has_expired_is_not_there_any_more,
    an_account_that_is_being_deleted_has_no_exports,
);
