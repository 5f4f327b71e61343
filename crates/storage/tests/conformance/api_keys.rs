//! API keys, on both databases.

use crate::{
    on_every_database,
    subject::{Database, Subject},
};
use domain::{
    ApiKey, ApiKeyId, Scope, UserId,
    api_key::{ApiKeyForm, ValidApiKey},
};
use services::ports::{ApiKeys, KeyMade, NewKey, Signal, StoreError};
use sqlx::Connection;
use std::ops::DerefMut;
use storage::Engine;

fn valid(s: &Database, name: &str, days: Option<i64>) -> ValidApiKey {
    let scopes = vec!["status:write".to_owned(), "read".to_owned()];
    let form = ApiKeyForm { name: name.into(), scopes, expires_in_days: days, expires_at: None };
    form.check(s.world().now()).unwrap()
}

fn new(s: &Database, user_id: UserId, name: &str) -> NewKey {
    let id = ApiKeyId::new(s.world().uuid());
    NewKey {
        id,
        user_id,
        valid: valid(s, name, None),
        secret_hash: format!("hash of {id}"),
        prefix: "ihk_0123abcd".into(),
        command_id: None,
        command_print: None,
        created_at: s.world().now(),
    }
}

async fn make(s: &Database, new: NewKey) -> ApiKey {
    match s.store.create_key(new, 50).await.unwrap() {
        KeyMade::New(key) => key,
        KeyMade::Before(key) => panic!("made before: {key:?}"),
    }
}

async fn a_new_key_reads_back_and_is_found_by_its_hash_alone(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let wanted = NewKey { valid: valid(&s, " Backup ", Some(7)), ..new(&s, user, "x") };
    let made = make(&s, wanted.clone()).await;
    assert_eq!((made.name.as_str(), made.prefix.as_str()), ("Backup", "ihk_0123abcd"));
    assert_eq!(made.scopes, [Scope::Read, Scope::StatusWrite]);
    assert_eq!(made.expires_at, Some(s.world().now().plus_seconds(7 * 86_400)));
    let (found, whose) = s.store.key(&wanted.secret_hash).await.unwrap().unwrap();
    assert_eq!((&found, whose.id), (&made, user));
    assert!(s.store.key("hash of another").await.unwrap().is_none());
    // Expired ones are found too: their answer is another one.
    s.world().clock.advance_seconds(8 * 86_400);
    assert_eq!(s.store.key(&wanted.secret_hash).await.unwrap().unwrap().0, made);
    assert_eq!(s.store.keys(user).await.unwrap(), [made]);
}

async fn keys_are_listed_newest_first_and_each_sees_the_own_ones(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let (ada, bob) = (s.user().await, s.user().await);
    for name in ["one", "two"] {
        s.world().clock.advance_seconds(1);
        make(&s, new(&s, ada, name)).await;
    }
    // The same name is free for somebody else.
    make(&s, new(&s, bob, "one")).await;
    let names: Vec<String> = s.store.keys(ada).await.unwrap().into_iter().map(|k| k.name).collect();
    assert_eq!(names, ["two", "one"]);
    assert_eq!(s.store.keys(bob).await.unwrap().len(), 1);
}

async fn a_name_is_taken_in_any_case_until_its_key_is_revoked(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let first = make(&s, new(&s, user, "Übung")).await;
    let again = s.store.create_key(new(&s, user, "übung"), 50).await;
    assert!(matches!(again, Err(StoreError::Taken("api_keys_name_key"))), "{again:?}");
    assert!(s.store.revoke_key(user, first.id).await.unwrap());
    make(&s, new(&s, user, "übung")).await;
}

async fn there_are_at_most_so_many_keys_also_when_they_come_at_once(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    let news: Vec<NewKey> = (0..8).map(|n| new(&s, user, &format!("key {n}"))).collect();
    let made = futures::future::join_all(news.into_iter().map(|new| s.store.create_key(new, 3))).await;
    assert_eq!(made.iter().filter(|m| m.is_ok()).count(), 3, "{made:?}");
    let refused = made.into_iter().filter_map(Result::err);
    assert!(refused.into_iter().all(|e| matches!(e, StoreError::Taken("api_keys_most"))));
    assert_eq!(s.store.keys(user).await.unwrap().len(), 3);
}

async fn the_same_command_makes_one_key(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, bob) = (s.user().await, s.user().await);
    let command = |user, name: &str| NewKey { command_id: Some("POST 1".into()), ..new(&s, user, name) };
    let first = make(&s, command(ada, "one")).await;
    // Whatever else it says: it is the same command. Also when the limit is reached by now.
    assert_eq!(s.store.create_key(command(ada, "two"), 1).await.unwrap(), KeyMade::Before(first.clone()));
    assert_eq!(s.store.keys(ada).await.unwrap(), [first]);
    let print = |print: &str| NewKey { command_print: Some(print.into()), ..command(ada, "one") };
    s.store.create_key(print("a"), 3).await.unwrap();
    let refused = s.store.create_key(print("b"), 3).await;
    assert!(matches!(refused, Err(StoreError::OtherCommand)), "{refused:?}");
    make(&s, command(bob, "one")).await;
}

async fn a_key_remembers_when_it_was_used_last(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let key = make(&s, new(&s, user, "x")).await;
    assert_eq!(key.last_used_at, None);
    let used = async || s.store.keys(user).await.unwrap()[0].last_used_at;
    // Noted together with what was used before there was this one.
    s.store.touch_keys(&[key.id], key.created_at.plus_seconds(-3)).await.unwrap();
    assert_eq!(used().await, Some(key.created_at));
    let later = s.world().now().plus_seconds(90);
    s.store.touch_keys(&[ApiKeyId::new(s.world().uuid()), key.id], later).await.unwrap();
    assert_eq!(used().await, Some(later));
    // A note that comes late does not set it back.
    s.store.touch_keys(&[key.id], s.world().now()).await.unwrap();
    assert_eq!(used().await, Some(later));
    s.store.touch_keys(&[], later.plus_seconds(90)).await.unwrap();
    assert_eq!(used().await, Some(later));
}

/// On SQLite everything goes through the writer, and there is one.
async fn notes_of_use_on_postgresql_go_past_the_writer_and_wait_for_nobody(
    s: impl Subject + DerefMut<Target = Database>,
) {
    if s.store.engine() == Engine::Sqlite {
        return;
    }
    let user = s.user().await;
    let mut all = vec![];
    for name in ["one", "two", "three"] {
        all.push(make(&s, new(&s, user, name)).await.id);
    }
    let mut conn = s.place.connect().await;
    let commits = "SELECT CAST(SUM(batch) AS BIGINT) FROM writers";
    let before: i64 = sqlx::query_scalar(commits).fetch_one(&mut conn).await.unwrap();
    let mut changing = conn.begin().await.unwrap();
    let sql = format!("SELECT id FROM api_keys WHERE id = '{}' FOR UPDATE", all[1]);
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *changing).await.unwrap();
    let later = s.world().now().plus_seconds(30);
    s.store.touch_keys(&all, later).await.unwrap();
    changing.rollback().await.unwrap();
    for key in s.store.keys(user).await.unwrap() {
        let used = (key.id != all[1]).then_some(later);
        assert_eq!(key.last_used_at, used, "{}", key.name);
    }
    let after: i64 = sqlx::query_scalar(commits).fetch_one(&mut conn).await.unwrap();
    assert_eq!(after, before, "none of it is a commit that waits for the disk");
}

async fn only_its_user_revokes_a_key_and_the_bus_is_told_once(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, bob) = (s.user().await, s.user().await);
    let wanted = new(&s, ada, "x");
    let key = make(&s, wanted.clone()).await;
    assert!(!s.store.revoke_key(bob, key.id).await.unwrap());
    assert!(s.store.key(&wanted.secret_hash).await.unwrap().is_some());
    let other = make(&s, new(&s, bob, "y")).await;
    let mut left = s.store.left_among(&[key.id, other.id]).await.unwrap();
    left.sort_unstable();
    assert_eq!(left, [key.id, other.id]);
    assert!(s.store.revoke_key(ada, key.id).await.unwrap());
    assert_eq!(s.store.left_among(&[key.id, other.id]).await.unwrap(), [other.id]);
    assert!(!s.store.revoke_key(ada, key.id).await.unwrap());
    assert!(s.store.key(&wanted.secret_hash).await.unwrap().is_none());
    let told = s.world().bus.signals();
    let of_key = |sig: &&Signal| matches!(sig, Signal::KeyRevoked { user_id, key_id } if (*user_id, *key_id) == (ada, key.id));
    assert_eq!(told.iter().filter(of_key).count(), 1);
}

async fn a_key_of_nobody_is_refused(s: impl Subject + DerefMut<Target = Database>) {
    let refused = s.store.create_key(new(&s, UserId::new(s.world().uuid()), "x"), 50).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
}

on_every_database!(
    a_new_key_reads_back_and_is_found_by_its_hash_alone,
    keys_are_listed_newest_first_and_each_sees_the_own_ones,
    a_name_is_taken_in_any_case_until_its_key_is_revoked,
    there_are_at_most_so_many_keys_also_when_they_come_at_once,
    the_same_command_makes_one_key,
    a_key_remembers_when_it_was_used_last,
    notes_of_use_on_postgresql_go_past_the_writer_and_wait_for_nobody,
    only_its_user_revokes_a_key_and_the_bus_is_told_once,
    a_key_of_nobody_is_refused,
);
