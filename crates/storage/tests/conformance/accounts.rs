//! Users and their sign-in sessions, on both databases.

use crate::{
    on_every_database,
    subject::{Database, Subject},
};
use domain::{
    Event, SessionId, Timestamp, UserId,
    resource::Theme,
    validate::{Email, FullName},
};
use services::ports::{Accounts, EventLog, NewSession, NewUser, StoreError, Workspaces};
use std::ops::DerefMut;

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn taken(result: Result<domain::User, StoreError>) -> &'static str {
    match result {
        Err(StoreError::Taken(constraint)) => constraint,
        other => panic!("not refused as taken: {other:?}"),
    }
}

fn session(s: &Database, user_id: UserId, token_hash: &str) -> NewSession {
    NewSession {
        id: SessionId::new(s.world().uuid()),
        user_id,
        token_hash: token_hash.into(),
        user_agent: "Browser/1".into(),
        ip: "127.0.0.1".into(),
        created_at: s.world().now(),
        expires_at: s.world().now().plus_seconds(60),
    }
}

async fn a_new_user_reads_back_with_a_first_workspace(s: impl Subject + DerefMut<Target = Database>) {
    let (user, first) = s.new_user("Zoë_99", "Zoe@Example.org");
    let user = NewUser { full_name: FullName::parse("Zoë Zett").unwrap(), ..user };
    let made = s.store.create_user(user.clone(), first.clone()).await.unwrap();
    assert_eq!((made.username.as_str(), made.email.as_str()), ("Zoë_99", "zoe@example.org"));
    assert_eq!((made.full_name.as_deref(), made.theme), (Some("Zoë Zett"), Theme::System));
    assert_eq!(s.store.user(user.id).await.unwrap(), Some(made.clone()));
    let found = s.store.user_by_email(&email("ZOE@example.org")).await.unwrap();
    assert_eq!(found, Some((made, "hash".to_owned())));
    let workspace = s.store.first_workspace(user.id).await.unwrap().unwrap();
    assert_eq!((workspace.id, workspace.name.as_str(), workspace.rev), (first.id, "My documents", 1));
    let log = s.store.after(user.id, 0, 10).await.unwrap();
    assert_eq!(log.len(), 1, "the user's log begins with the first workspace");
    assert_eq!(log[0].event(), Some(Event::WorkspaceStatus(workspace)));
}

async fn nobody_is_found_by_an_unknown_address_or_id(s: impl Subject + DerefMut<Target = Database>) {
    assert_eq!(s.store.user(UserId::new(s.world().uuid())).await.unwrap(), None);
    assert_eq!(s.store.user_by_email(&email("nobody@example.org")).await.unwrap(), None);
}

async fn a_username_is_taken_in_any_case_and_script(s: impl Subject + DerefMut<Target = Database>) {
    let (user, first) = s.new_user("Ärmel", "one@example.org");
    s.store.create_user(user, first).await.unwrap();
    for name in ["Ärmel", "ärmel", "ÄRMEL"] {
        let (user, first) = s.new_user(name, "two@example.org");
        let id = user.id;
        assert_eq!(taken(s.store.create_user(user, first).await), "users_username_key", "{name}");
        assert_eq!(s.store.user(id).await.unwrap(), None);
        assert!(s.store.first_workspace(id).await.unwrap().is_none(), "nothing of it stays");
        assert_eq!(s.store.head(id).await.unwrap(), 0);
    }
}

async fn an_address_is_taken_in_any_case(s: impl Subject + DerefMut<Target = Database>) {
    let (user, first) = s.new_user("ada", "ada@example.org");
    s.store.create_user(user, first).await.unwrap();
    let (user, first) = s.new_user("eve", "ADA@Example.ORG");
    assert_eq!(taken(s.store.create_user(user, first).await), "users_email_key");
}

async fn of_many_who_want_one_name_at_once_one_gets_it(s: impl Subject + DerefMut<Target = Database>) {
    let wishes: Vec<_> = (0..20)
        .map(|i| {
            let (user, first) = s.new_user("wanted", &format!("wish{i}@example.org"));
            let store = s.store.clone();
            tokio::spawn(async move { store.create_user(user, first).await })
        })
        .collect();
    let mut made = 0;
    for wish in wishes {
        match wish.await.unwrap() {
            Ok(_) => made += 1,
            Err(StoreError::Taken("users_username_key")) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
}

async fn a_changed_theme_is_told_to_the_other_tabs(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let base = s.store.head(user).await.unwrap();
    let changed = s.store.set_theme(user, Theme::Dark, s.world().now()).await.unwrap();
    assert_eq!(changed.theme, Theme::Dark);
    assert_eq!(s.store.user(user).await.unwrap(), Some(changed.clone()));
    let log = s.store.after(user, base, 10).await.unwrap();
    let Some(Event::SettingsChanged(told)) = log[0].event() else { panic!("another event: {log:?}") };
    assert_eq!((told.user, told.theme, told.rev), (changed, Theme::Dark, base + 1));
    let nobody = s.store.set_theme(UserId::new(s.world().uuid()), Theme::Dark, s.world().now()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound)), "{nobody:?}");
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
    s.store.touch_session(new.id, later).await.unwrap();
    assert_eq!(seen(later).await, later);
    s.store.touch_session(new.id, new.created_at).await.unwrap();
    assert_eq!(seen(later).await, later, "a late note of an earlier use changes nothing");
}

async fn only_its_user_ends_a_session_and_only_once(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, eve) = (s.user().await, s.user().await);
    let new = session(&s, ada, "aa");
    s.store.create_session(new.clone()).await.unwrap();
    assert!(!s.store.end_session(eve, new.id).await.unwrap());
    assert!(s.store.session("aa", new.created_at).await.unwrap().is_some());
    assert!(s.store.end_session(ada, new.id).await.unwrap());
    assert!(s.store.session("aa", new.created_at).await.unwrap().is_none());
    assert!(!s.store.end_session(ada, new.id).await.unwrap());
}

async fn a_session_of_nobody_is_refused(s: impl Subject + DerefMut<Target = Database>) {
    let new = session(&s, UserId::new(s.world().uuid()), "aa");
    let refused = s.store.create_session(new).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
}

async fn signing_in_again_lets_go_of_expired_sessions_only(s: impl Subject + DerefMut<Target = Database>) {
    let (ada, bob) = (s.user().await, s.user().await);
    for (user, hash) in [(ada, "ada-old"), (bob, "bob-old")] {
        s.store.create_session(session(&s, user, hash)).await.unwrap();
    }
    s.world().clock.advance_seconds(40);
    s.store.create_session(session(&s, ada, "ada-mid")).await.unwrap();
    s.world().clock.advance_seconds(40);
    s.store.create_session(session(&s, ada, "ada-new")).await.unwrap();
    let mut conn = s.place.connect().await;
    let mut left: Vec<String> =
        sqlx::query_scalar("SELECT token_hash FROM sessions").fetch_all(&mut conn).await.unwrap();
    left.sort();
    assert_eq!(left, ["ada-mid", "ada-new", "bob-old"]);
}

on_every_database!(
    a_new_user_reads_back_with_a_first_workspace,
    nobody_is_found_by_an_unknown_address_or_id,
    a_username_is_taken_in_any_case_and_script,
    an_address_is_taken_in_any_case,
    of_many_who_want_one_name_at_once_one_gets_it,
    a_changed_theme_is_told_to_the_other_tabs,
    a_session_lives_until_it_expires,
    a_session_that_is_used_remembers_when_last,
    only_its_user_ends_a_session_and_only_once,
    a_session_of_nobody_is_refused,
    signing_in_again_lets_go_of_expired_sessions_only,
);
