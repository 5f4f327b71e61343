//! Sign-in sessions, on both databases.

use crate::{
    on_every_database,
    subject::{Database, Subject},
};
use domain::{
    Event, SessionId, Timestamp, UserId,
    event::{SessionsChanged, SettingsChanged},
};
use services::ports::{EventLog, LiveSession, NewSession, PageQuery, Sessions, StoreError};
use sqlx::Connection;
use std::{ops::DerefMut, time::Duration};
use storage::Engine;
use tokio::time::timeout;

pub fn session(s: &Database, user_id: UserId, token_hash: &str) -> NewSession {
    NewSession {
        id: SessionId::new(s.world().uuid()),
        user_id,
        token_hash: token_hash.into(),
        user_agent: "Browser/1".into(),
        device: "A browser".into(),
        ip: "127.0.0.1".into(),
        created_at: s.world().now(),
        expires_at: s.world().now().plus_seconds(60),
    }
}

async fn a_session_lives_until_it_expires(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let new = session(&s, user, "aa");
    s.store.create_session(new.clone()).await.unwrap();
    let at = |seconds: i64| new.created_at.plus_seconds(seconds);
    let (info, who) = s.store.session("aa", at(59)).await.unwrap().unwrap();
    assert_eq!((info.id, info.user_id, who.id), (new.id, user, user));
    assert_eq!((info.user_agent.as_str(), info.ip.as_str()), ("Browser/1", "127.0.0.1"));
    assert_eq!((info.created_at, info.last_seen_at, info.expires_at), (at(0), at(0), at(60)));
    assert!(s.store.session("aa", at(60)).await.unwrap().is_none(), "expired");
    assert!(s.store.session("ab", at(0)).await.unwrap().is_none(), "another token");
}

async fn a_session_that_is_used_remembers_when_last(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let new = session(&s, user, "aa");
    s.store.create_session(new.clone()).await.unwrap();
    let seen = |at: Timestamp| {
        let store = s.store.clone();
        async move { store.session("aa", at).await.unwrap().unwrap().0.last_seen_at }
    };
    let later = new.created_at.plus_seconds(30);
    s.store.touch_sessions(&[SessionId::new(s.world().uuid()), new.id], later).await.unwrap();
    assert_eq!(seen(later).await, later);
    s.store.touch_sessions(&[new.id], new.created_at).await.unwrap();
    assert_eq!(seen(later).await, later, "a late note of an earlier use changes nothing");
    s.store.touch_sessions(&[], later).await.unwrap();
}

/// On SQLite everything goes through the writer, and there is one.
async fn notes_of_use_on_postgresql_go_past_the_writer_and_wait_for_nobody(
    s: impl Subject + DerefMut<Target = Database>,
) {
    if s.store.engine() == Engine::Sqlite {
        return;
    }
    let user = s.user().await;
    let all = ["aa", "bb", "cc"].map(|token_hash| session(&s, user, token_hash));
    for new in &all {
        s.store.create_session(new.clone()).await.unwrap();
    }
    let mut conn = s.place.connect().await;
    let commits = "SELECT CAST(SUM(batch) AS BIGINT) FROM writers";
    let before: i64 = sqlx::query_scalar(commits).fetch_one(&mut conn).await.unwrap();
    let mut changing = conn.begin().await.unwrap();
    let sql = format!("SELECT id FROM sessions WHERE id = '{}' FOR UPDATE", all[1].id);
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *changing).await.unwrap();
    let later = all[0].created_at.plus_seconds(30);
    s.store.touch_sessions(&all.each_ref().map(|new| new.id), later).await.unwrap();
    changing.rollback().await.unwrap();
    for (new, seen) in [(&all[0], later), (&all[1], all[1].created_at), (&all[2], later)] {
        let (info, _) = s.store.session(&new.token_hash, later).await.unwrap().unwrap();
        assert_eq!(info.last_seen_at, seen, "{}", new.token_hash);
    }
    let after: i64 = sqlx::query_scalar(commits).fetch_one(&mut conn).await.unwrap();
    assert_eq!(after, before, "none of it is a commit that waits for the disk");
}

async fn only_its_user_ends_a_session_and_only_once(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, eve) = (s.user().await, s.user().await);
    let new = session(&s, ada, "aa");
    s.store.create_session(new.clone()).await.unwrap();
    assert!(!s.store.end_session(eve, new.id, new.created_at).await.unwrap());
    assert!(s.store.session("aa", new.created_at).await.unwrap().is_some());
    assert!(s.world().bus.ended(ada).is_empty(), "nobody's streams end for that");
    assert!(s.store.end_session(ada, new.id, new.created_at).await.unwrap());
    assert!(s.store.session("aa", new.created_at).await.unwrap().is_none());
    assert!(!s.store.end_session(ada, new.id, new.created_at).await.unwrap());
    assert_eq!(s.world().bus.ended(ada), [new.id], "told once");
}

async fn a_session_of_nobody_is_refused(s: impl Subject + DerefMut<Target = Database>) {
    let new = session(&s, UserId::new(s.world().uuid()), "aa");
    let refused = s.store.create_session(new).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
}

async fn a_session_is_found_by_its_id_for_its_user_only(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, eve) = (s.user().await, s.user().await);
    let new = session(&s, ada, "aa");
    s.store.create_session(new.clone()).await.unwrap();
    let found = s.store.session_of(ada, new.id, new.created_at).await.unwrap().unwrap();
    assert_eq!((found.id, found.user_id, found.renewed_at), (new.id, ada, None));
    assert!(s.store.session_of(eve, new.id, new.created_at).await.unwrap().is_none());
    assert!(s.store.session_of(ada, new.id, new.expires_at).await.unwrap().is_none(), "expired");
    // Among others, and whosever it is.
    let stranger = SessionId::new(s.world().uuid());
    let among = async |ids: &[SessionId], now| s.store.live_among(ids, now).await.unwrap();
    let live = LiveSession { id: new.id, token_hash: "aa".into(), renewed_ago: None };
    assert_eq!(among(&[stranger, new.id], new.created_at).await, [live]);
    assert!(among(&[stranger], new.created_at).await.is_empty());
    assert!(among(&[new.id], new.expires_at).await.is_empty(), "expired");
    assert!(s.store.end_session(ada, new.id, new.created_at).await.unwrap());
    assert!(among(&[stranger, new.id], new.created_at).await.is_empty());
}

async fn live_sessions_are_listed_page_by_page_newest_first(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, eve) = (s.user().await, s.user().await);
    s.store.create_session(session(&s, eve, "eve")).await.unwrap();
    s.store
        .create_session(NewSession { expires_at: s.world().now(), ..session(&s, ada, "old") })
        .await
        .unwrap();
    let mut made = vec![];
    for n in 0..5 {
        // Two at one moment each: then the newer id counts.
        s.world().clock.advance_seconds(n % 2);
        let new = session(&s, ada, &format!("ada{n}"));
        s.store.create_session(new.clone()).await.unwrap();
        made.insert(0, new.id);
    }
    let (mut listed, mut query) = (vec![], PageQuery::first(2));
    loop {
        let page = s.store.sessions(ada, query, s.world().now()).await.unwrap();
        listed.extend(page.items.iter().map(|i| i.id));
        let Some(next) = page.next else { break };
        query = PageQuery { after: Some(next), limit: 2 };
    }
    assert_eq!(listed, made);
}

async fn all_other_sessions_end_at_once(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, eve) = (s.user().await, s.user().await);
    let own = session(&s, ada, "own");
    s.store.create_session(own.clone()).await.unwrap();
    for token in ["a", "b", "c"] {
        s.store.create_session(session(&s, ada, token)).await.unwrap();
    }
    s.store.create_session(session(&s, eve, "eve")).await.unwrap();
    let now = s.world().now();
    assert_eq!(s.store.end_other_sessions(ada, own.id, now).await.unwrap(), 3);
    assert_eq!(s.store.end_other_sessions(ada, own.id, now).await.unwrap(), 0);
    assert_eq!((s.world().bus.ended(ada).len(), s.world().bus.ended(eve).len()), (3, 0));
    for (token, lives) in [("own", true), ("a", false), ("b", false), ("c", false), ("eve", true)] {
        assert_eq!(s.store.session(token, now).await.unwrap().is_some(), lives, "{token}");
    }
}

async fn expired_sessions_are_swept_and_no_others(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, bob) = (s.user().await, s.user().await);
    for (user, hash) in [(ada, "ada-old"), (bob, "bob-old"), (bob, "bob-older")] {
        s.store.create_session(session(&s, user, hash)).await.unwrap();
    }
    s.world().clock.advance_seconds(40);
    s.store.create_session(session(&s, ada, "ada-new")).await.unwrap();
    s.world().clock.advance_seconds(20);
    let now = s.world().now();
    assert_eq!(s.store.sweep_sessions(now).await.unwrap(), 3);
    assert_eq!(s.store.sweep_sessions(now).await.unwrap(), 0);
    let mut conn = s.place.connect().await;
    let left: Vec<String> =
        sqlx::query_scalar("SELECT token_hash FROM sessions").fetch_all(&mut conn).await.unwrap();
    assert_eq!(left, ["ada-new"]);
    assert_eq!((s.world().bus.ended(ada).len(), s.world().bus.ended(bob).len()), (1, 2), "their streams end");
}

/// On SQLite there is one server.
async fn what_two_servers_sweep_at_once_is_told_once(s: impl Subject + DerefMut<Target = Database>) {
    if s.store.engine() == Engine::Sqlite {
        return;
    }
    let ada = s.user().await;
    s.store.create_session(session(&s, ada, "old")).await.unwrap();
    s.world().clock.advance_seconds(40);
    s.store.create_session(session(&s, ada, "late")).await.unwrap();
    s.world().clock.advance_seconds(20);
    let (now, base) = (s.world().now(), s.store.head(ada).await.unwrap());
    let other = s.open_another().await;
    // Both have found it, and wait for whoever changes something of hers.
    let (mut conn, mut looking) = (s.place.connect().await, s.place.connect().await);
    let mut changing = conn.begin().await.unwrap();
    let sql = format!("SELECT user_id FROM user_seq WHERE user_id = '{ada}' FOR UPDATE");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *changing).await.unwrap();
    let sweeps = [s.store.clone(), other.clone()]
        .map(|store| tokio::spawn(async move { store.sweep_sessions(now).await.unwrap() }));
    let both_wait = async {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut looking).await.unwrap() < 2 {}
    };
    timeout(Duration::from_secs(60), both_wait).await.expect("both wait");
    changing.rollback().await.unwrap();
    let mut removed = 0;
    for sweep in sweeps {
        removed += sweep.await.unwrap();
    }
    assert_eq!(removed, 1);
    assert_eq!(told(&s, ada, base).await, [None], "once");
    other.close().await;
}

/// What the log tells of the browsers that are signed in, after `base`.
async fn told(s: &Database, user: UserId, base: u64) -> Vec<Option<String>> {
    let log = s.store.after(user, base, 50).await.unwrap();
    let of = |event: Option<Event>| match event {
        Some(Event::SettingsChanged(SettingsChanged {
            sessions: Some(SessionsChanged { signed_in }),
            user: who,
            ..
        })) => {
            assert_eq!(who.id, user);
            signed_in
        }
        other => panic!("another event: {other:?}"),
    };
    log.iter().map(|logged| of(logged.event())).collect()
}

async fn a_change_of_the_list_is_told_to_those_who_could_see_it(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let ada = s.user().await;
    let base = s.store.head(ada).await.unwrap();
    let (own, phone) = (session(&s, ada, "own"), session(&s, ada, "phone"));
    s.store.create_session(own.clone()).await.unwrap();
    assert_eq!(told(&s, ada, base).await, [], "nobody was there to hear of the first");
    s.store.create_session(NewSession { device: "A phone".into(), ..phone.clone() }).await.unwrap();
    let began = Some("A phone".to_owned());
    assert_eq!(told(&s, ada, base).await, std::slice::from_ref(&began));
    let now = s.world().now();
    s.store.end_session(ada, phone.id, now).await.unwrap();
    s.store.end_session(ada, phone.id, now).await.unwrap();
    assert_eq!(told(&s, ada, base).await, [began, None], "one that has gone does not go again");
    let base = s.store.head(ada).await.unwrap();
    assert_eq!(s.store.end_other_sessions(ada, own.id, now).await.unwrap(), 0);
    assert_eq!(told(&s, ada, base).await, []);
    s.store.create_session(session(&s, ada, "a")).await.unwrap();
    s.store.create_session(session(&s, ada, "b")).await.unwrap();
    assert_eq!(s.store.end_other_sessions(ada, own.id, now).await.unwrap(), 2);
    let browser = Some("A browser".to_owned());
    assert_eq!(told(&s, ada, base).await, [browser.clone(), browser, None], "once for all that ended");

    // One that runs out goes from the list when it is swept; after the last one nobody listens.
    let base = s.store.head(ada).await.unwrap();
    s.world().clock.advance_seconds(40);
    s.store.create_session(session(&s, ada, "late")).await.unwrap();
    s.world().clock.advance_seconds(20);
    s.store.sweep_sessions(s.world().now()).await.unwrap();
    assert_eq!(told(&s, ada, base).await, [Some("A browser".to_owned()), None]);
    let base = s.store.head(ada).await.unwrap();
    s.world().clock.advance_seconds(60);
    s.store.sweep_sessions(s.world().now()).await.unwrap();
    assert_eq!(told(&s, ada, base).await, []);
}

on_every_database!(
    a_change_of_the_list_is_told_to_those_who_could_see_it,
    a_session_lives_until_it_expires,
    a_session_that_is_used_remembers_when_last,
    notes_of_use_on_postgresql_go_past_the_writer_and_wait_for_nobody,
    only_its_user_ends_a_session_and_only_once,
    a_session_of_nobody_is_refused,
    a_session_is_found_by_its_id_for_its_user_only,
    live_sessions_are_listed_page_by_page_newest_first,
    all_other_sessions_end_at_once,
    expired_sessions_are_swept_and_no_others,
    what_two_servers_sweep_at_once_is_told_once,
);
