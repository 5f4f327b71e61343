//! Users, their settings and their passwords, on both databases.

use crate::{
    on_every_database,
    sessions::session,
    subject::{Database, Subject},
};
use domain::{
    Event, UserId,
    resource::{Density, Language, Notifications, Theme},
    validate::{Email, FullName},
};
use services::ports::{
    Accounts, EventLog, LiveSession, NewSession, NewUser, NotificationsEdit, PageQuery, PasswordChange,
    Sessions, StoreError, UserEdit, Workspaces,
};
use std::{
    ops::DerefMut,
    time::{Duration, Instant},
};

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn taken(result: Result<domain::User, StoreError>) -> &'static str {
    match result {
        Err(StoreError::Taken(constraint)) => constraint,
        other => panic!("not refused as taken: {other:?}"),
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

async fn a_change_of_the_settings_is_told_to_the_other_tabs(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let base = s.store.head(user).await.unwrap();
    let edit = UserEdit {
        full_name: Some(FullName::parse("Ada L").unwrap()),
        email: Some(email("new@example.org")),
        theme: Some(Theme::Dark),
        density: Some(Density::Compact),
        language: Some(Language::English),
        notifications: NotificationsEdit { done: Some(false), desktop: Some(true), ..Default::default() },
    };
    let changed = s.store.edit_user(user, edit.clone(), s.world().now()).await.unwrap();
    assert_eq!((changed.full_name.as_deref(), changed.email.as_str()), (Some("Ada L"), "new@example.org"));
    assert_eq!((changed.theme, changed.density), (Theme::Dark, Density::Compact));
    let chosen = Notifications { done: false, desktop: true, ..Notifications::default() };
    assert_eq!(changed.notifications, chosen);
    assert_eq!(s.store.user(user).await.unwrap(), Some(changed.clone()));
    let log = s.store.after(user, base, 10).await.unwrap();
    let Some(Event::SettingsChanged(told)) = log[0].event() else { panic!("another event: {log:?}") };
    assert_eq!((told.user, told.theme, told.rev), (changed.clone(), Theme::Dark, base + 1));

    assert_eq!(s.store.edit_user(user, edit, s.world().now()).await.unwrap(), changed);
    assert_eq!(s.store.edit_user(user, UserEdit::default(), s.world().now()).await.unwrap(), changed);
    assert_eq!(s.store.head(user).await.unwrap(), base + 1, "what is so already is no change");

    let edit = UserEdit { full_name: Some(None), ..UserEdit::default() };
    let changed = s.store.edit_user(user, edit, s.world().now()).await.unwrap();
    assert_eq!((changed.full_name, changed.theme), (None, Theme::Dark), "the rest stays");
    assert_eq!(changed.notifications, chosen);
    let nobody = s.store.edit_user(UserId::new(s.world().uuid()), UserEdit::default(), s.world().now()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound)), "{nobody:?}");
}

async fn nobody_takes_the_address_of_another(s: impl Subject + DerefMut<Target = Database>) {
    let (user, first) = s.new_user("ada", "ada@example.org");
    s.store.create_user(user, first).await.unwrap();
    let eve = s.user().await;
    let base = s.store.head(eve).await.unwrap();
    let edit = UserEdit {
        full_name: Some(FullName::parse("Eve").unwrap()),
        email: Some(email("ADA@example.org")),
        ..UserEdit::default()
    };
    assert_eq!(taken(s.store.edit_user(eve, edit, s.world().now()).await), "users_email_key");
    assert_eq!(s.store.user(eve).await.unwrap().unwrap().full_name, None, "nothing of it stays");
    assert_eq!(s.store.head(eve).await.unwrap(), base);
}

async fn a_change_of_the_password_holds_for_the_hash_that_it_was_made_for(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    let [own, other, expired] = [("own", 60), ("other", 60), ("expired", 5)].map(|(token, seconds)| {
        NewSession { expires_at: s.world().now().plus_seconds(seconds), ..session(&s, user, token) }
    });
    for new in [&own, &other, &expired] {
        s.store.create_session(new.clone()).await.unwrap();
    }
    s.world().clock.advance_seconds(10);
    let now = s.world().now();
    let begun = Instant::now();
    let change = |old: &str, new: &str, token: &str| PasswordChange {
        user_id: user,
        session_id: own.id,
        old_hash: old.into(),
        new_hash: new.into(),
        token_hash: token.into(),
        expires_at: now.plus_seconds(600),
        now,
    };
    let refused = s.store.change_password(change("odd", "new", "own2")).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    assert!(s.store.session("own", now).await.unwrap().is_some() && s.world().bus.ended(user).is_empty());

    assert_eq!(
        s.store.change_password(change("hash", "new", "own2")).await.unwrap(),
        1,
        "expired ones do not count"
    );
    assert_eq!(s.store.password_hash(user).await.unwrap().as_deref(), Some("new"));
    for gone in ["own", "other", "expired"] {
        assert!(s.store.session(gone, own.created_at).await.unwrap().is_none(), "{gone}");
    }
    let (info, _) = s.store.session("own2", now).await.unwrap().unwrap();
    assert_eq!((info.id, info.expires_at), (own.id, now.plus_seconds(600)));
    assert!(info.renewed_at.is_some());
    let live = s.store.live_among(&[own.id, other.id], now).await.unwrap();
    let [LiveSession { id, token_hash, renewed_ago: Some(ago) }] = live.as_slice() else {
        panic!("{live:?}")
    };
    assert_eq!((*id, token_hash.as_str()), (own.id, "own2"), "an old token is worth nothing any more");
    // That a server has quite another clock, as here, makes no difference.
    assert!(*ago < begun.elapsed() + Duration::from_secs(1), "{ago:?}");
    let mut ended = s.world().bus.ended(user);
    ended.sort();
    assert_eq!(ended, [other.id, expired.id], "the streams of the others end");

    let twin = s.store.change_password(change("hash", "newer", "own3")).await;
    assert!(matches!(twin, Err(StoreError::NotFound)), "{twin:?}");
    assert_eq!(s.store.password_hash(user).await.unwrap().as_deref(), Some("new"));
    let gone = PasswordChange { session_id: other.id, ..change("new", "newest", "own4") };
    assert!(matches!(s.store.change_password(gone).await, Err(StoreError::NotFound)), "by an ended session");
    assert_eq!(s.store.password_hash(user).await.unwrap().as_deref(), Some("new"), "nothing of it stays");
    let nobody = UserId::new(s.world().uuid());
    assert_eq!(s.store.password_hash(nobody).await.unwrap(), None);
}

async fn of_two_changes_of_one_password_one_holds(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let sessions = ["a", "b"].map(|token| session(&s, user, token));
    for new in &sessions {
        s.store.create_session(new.clone()).await.unwrap();
    }
    let changes = sessions.each_ref().map(|asking| {
        let change = PasswordChange {
            user_id: user,
            session_id: asking.id,
            old_hash: "hash".into(),
            new_hash: format!("of {}", asking.token_hash),
            token_hash: format!("{}2", asking.token_hash),
            expires_at: asking.expires_at,
            now: s.world().now(),
        };
        let store = s.store.clone();
        tokio::spawn(async move { store.change_password(change).await })
    });
    let mut winners = vec![];
    for (asking, change) in sessions.iter().zip(changes) {
        match change.await.unwrap() {
            Ok(ended) => winners.push((asking, ended)),
            Err(StoreError::NotFound) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let [(winner, 1)] = winners.as_slice() else { panic!("{winners:?}") };
    let expected = format!("of {}", winner.token_hash);
    assert_eq!(s.store.password_hash(user).await.unwrap(), Some(expected));
    let left = s.store.sessions(user, PageQuery::first(10), s.world().now()).await.unwrap().items;
    assert_eq!(left.iter().map(|l| l.id).collect::<Vec<_>>(), [winner.id]);
}

async fn a_kept_secret_is_drawn_once(mut s: impl Subject + DerefMut<Target = Database>) {
    assert_eq!(s.store.known_secret("key").await.unwrap(), None);
    assert_eq!(s.store.kept_secret("key", [7; 32]).await.unwrap(), [7; 32]);
    assert_eq!(s.store.known_secret("key").await.unwrap(), Some([7; 32]));
    assert_eq!(s.store.kept_secret("other", [9; 32]).await.unwrap(), [9; 32]);
    s.reopen().await;
    assert_eq!(s.store.kept_secret("key", [8; 32]).await.unwrap(), [7; 32], "by every server, for good");
}

async fn the_last_word_about_the_carrier_holds(s: impl Subject + DerefMut<Target = Database>) {
    assert_eq!(s.store.carrier().await.unwrap(), None);
    for said in ["one", "another"] {
        s.store.note_carrier(said.to_owned()).await.unwrap();
        assert_eq!(s.store.carrier().await.unwrap().as_deref(), Some(said));
    }
}

on_every_database!(
    a_new_user_reads_back_with_a_first_workspace,
    nobody_is_found_by_an_unknown_address_or_id,
    a_username_is_taken_in_any_case_and_script,
    an_address_is_taken_in_any_case,
    of_many_who_want_one_name_at_once_one_gets_it,
    a_change_of_the_settings_is_told_to_the_other_tabs,
    nobody_takes_the_address_of_another,
    a_change_of_the_password_holds_for_the_hash_that_it_was_made_for,
    of_two_changes_of_one_password_one_holds,
    a_kept_secret_is_drawn_once,
    the_last_word_about_the_carrier_holds,
);
