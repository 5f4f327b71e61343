//! The door, knocked at.

use super::*;
use futures::poll;
use std::{pin::pin, task::Poll};

fn at(seconds: i64) -> Timestamp {
    Timestamp::default().plus_seconds(seconds)
}

async fn bad(door: &Door, account: &str, ip: &str, seconds: i64) -> Result<(), u64> {
    door.sign_in(account, ip, None, at(seconds)).await.map(|knock| knock.was_bad(at(seconds)))
}

async fn good(door: &Door, account: &str, ip: &str, seconds: i64) -> Result<(), u64> {
    door.sign_in(account, ip, None, at(seconds)).await.map(drop).inspect(|()| door.know(account, ip))
}

#[tokio::test]
async fn the_sixth_bad_try_in_a_minute_waits_until_the_first_is_a_minute_old() {
    let door = Door::new(5, 0);
    for second in 0..5 {
        assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", second).await, Ok(()));
    }
    assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 10).await, Err(50));
    assert_eq!(good(&door, "ada@example.org", "10.0.0.9", 10).await, Err(50), "the account, elsewhere");
    assert_eq!(good(&door, "bob@example.org", "10.0.0.1", 10).await, Err(50), "the address");
    assert_eq!(good(&door, "bob@example.org", "10.0.0.9", 10).await, Ok(()));
    assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 60).await, Ok(()), "refused tries do not count");
    assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 60).await, Err(1));
}

#[tokio::test]
async fn good_sign_ins_never_count() {
    let door = Door::new(5, 0);
    for _ in 0..100 {
        assert_eq!(good(&door, "ada@example.org", "10.0.0.1", 0).await, Ok(()));
    }
    assert!(door.sign_ins.lock().is_empty(), "nothing is kept of them");
}

#[tokio::test]
async fn guesses_from_elsewhere_do_not_lock_the_owner_out() {
    let door = Door::new(5, 0);
    assert_eq!(good(&door, "ada@example.org", "10.0.0.1", 0).await, Ok(()));
    for host in 2..7 {
        assert_eq!(bad(&door, "ada@example.org", &format!("10.0.0.{host}"), 1).await, Ok(()));
    }
    assert!(bad(&door, "ada@example.org", "10.0.0.8", 1).await.is_err());
    assert_eq!(good(&door, "ada@example.org", "10.0.0.1", 2).await, Ok(()));
    for _ in 0..5 {
        assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 3).await, Ok(()));
    }
    assert!(bad(&door, "ada@example.org", "10.0.0.1", 3).await.is_err(), "nor may they guess for ever there");
}

#[tokio::test]
async fn guesses_at_the_same_moment_are_no_more_than_five() {
    let door = Door::new(5, 0);
    let mut begun = vec![];
    for _ in 0..5 {
        begun.push(door.sign_in("ada@example.org", "10.0.0.1", None, at(0)).await.ok());
    }
    let mut sixth = pin!(door.sign_in("ada@example.org", "10.0.0.1", None, at(0)));
    assert!(poll!(&mut sixth).is_pending(), "nobody knows yet whether the five were bad");
    for knock in begun.drain(..4).flatten() {
        knock.was_bad(at(0));
    }
    assert!(poll!(&mut sixth).is_pending());
    for knock in begun.drain(..).flatten() {
        drop(knock);
    }
    assert!(matches!(poll!(&mut sixth), Poll::Ready(Ok(_))), "one of the five was good");
}

#[tokio::test]
async fn a_whole_ipv6_network_is_one_address() {
    let door = Door::new(5, 0);
    for host in 0..5 {
        assert_eq!(bad(&door, &format!("{host}@example.org"), &format!("2001:db8::{host}"), 0).await, Ok(()));
    }
    assert!(bad(&door, "x@example.org", "2001:db8::ffff:1", 0).await.is_err());
    assert_eq!(bad(&door, "x@example.org", "2001:db8:0:1::1", 0).await, Ok(()));
    assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
}

#[tokio::test]
async fn zero_means_no_limit() {
    let door = Door::new(0, 0);
    for _ in 0..100 {
        assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 0).await, Ok(()));
        assert_eq!(door.sign_up("10.0.0.1", at(0)), Ok(()));
    }
}

#[test]
fn sign_ups_are_counted_by_address_and_hour() {
    let door = Door::new(5, 3);
    for _ in 0..3 {
        assert_eq!(door.sign_up("10.0.0.1", at(0)), Ok(()));
    }
    assert_eq!(door.sign_up("10.0.0.1", at(600)), Err(3_000));
    assert_eq!(door.sign_up("10.0.0.2", at(600)), Ok(()));
    assert_eq!(door.sign_up("", at(600)), Ok(()), "the operator");
    assert_eq!(door.sign_up("10.0.0.1", at(3_600)), Ok(()));
}

#[test]
fn memory_is_bounded_and_the_oldest_counts_go_first() {
    let door = Door::new(5, 1);
    for n in 0..MOST_KEYS + 10 {
        assert_eq!(door.sign_up(&n.to_string(), at(n as i64 / 100)), Ok(()));
    }
    assert!(door.sign_ups.lock().len() <= MOST_KEYS);
    assert!(door.sign_up(&(MOST_KEYS + 9).to_string(), at(1_010)).is_err(), "the newest is remembered");
}

#[tokio::test]
async fn a_known_device_is_counted_by_itself_wherever_it_is() {
    let door = Door::new(5, 0);
    let of_device = async |device: &str, second: i64| {
        door.sign_in("ada@example.org", "10.0.0.1", Some(device), at(second))
            .await
            .map(|k| k.was_bad(at(second)))
    };
    for second in 0..5 {
        // Both the account and the owner's own address are used up by others.
        assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", second).await, Ok(()));
    }
    assert!(bad(&door, "ada@example.org", "10.0.0.1", 5).await.is_err());
    for _ in 0..5 {
        assert_eq!(of_device("laptop", 5).await, Ok(()));
    }
    assert!(of_device("laptop", 5).await.is_err(), "nor may one guess for ever there");
    assert_eq!(of_device("phone", 5).await, Ok(()));
}

#[tokio::test]
async fn wrong_passwords_of_one_session_do_not_keep_another_one_out() {
    let door = Door::new(5, 0);
    let who = |session: u128| {
        let user = domain::User {
            id: domain::UserId::new(uuid::Uuid::from_u128(1)),
            username: "ada".into(),
            email: "ada@example.org".into(),
            full_name: None,
            theme: domain::resource::Theme::System,
            density: Default::default(),
            notifications: Default::default(),
            language: Default::default(),
            created_at: at(0),
        };
        Who { user, session_id: domain::SessionId::new(uuid::Uuid::from_u128(session)) }
    };
    for _ in 0..5 {
        assert_eq!(door.confirm(&who(1), at(0)).await.map(|knock| knock.was_bad(at(0))), Ok(()));
    }
    assert_eq!(door.confirm(&who(1), at(1)).await.map(drop), Err(59));
    assert!(door.confirm(&who(2), at(1)).await.is_ok());
    assert_eq!(good(&door, "ada@example.org", "10.0.0.1", 1).await, Ok(()), "signing in is another matter");
}
