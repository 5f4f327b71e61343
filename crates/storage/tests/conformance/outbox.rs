//! The outbox: each user's events leave in order, one relay at a time, none is left behind and none goes twice unless a
//! relay died with it in its hands.

use crate::{
    on_every_database, on_every_store,
    subject::{Database, Subject},
};
use domain::{Event, UserId, WorkspaceId, event::WorkspaceDeleted};
use services::ports::{LoggedEvent, Unsent};
use std::{collections::BTreeMap, ops::Deref, sync::Arc, time::Duration};

/// Longer than any of these tests takes.
const LEASE: Duration = Duration::from_secs(600);
const ALL: u32 = 100_000;

async fn append(s: &impl Subject, user: UserId, n: usize) {
    let event =
        || Event::WorkspaceDeleted(WorkspaceDeleted { id: WorkspaceId::new(s.world().uuid()), rev: 0 });
    s.log().append(user, (0..n).map(|_| event()).collect(), s.world().now()).await.unwrap();
}

fn seqs(unsent: &Unsent) -> Vec<u64> {
    unsent.events.iter().map(|e| e.seq).collect()
}

/// What the user's log had before the test began counts as sent.
async fn settled(s: &impl Subject) -> (UserId, u64) {
    let user = s.user().await;
    let head = s.log().head(user).await.unwrap();
    s.outbox().take_unsent("first", &[user], LEASE, ALL).await.unwrap();
    s.outbox().settle_sent("first", &[(user, head)]).await.unwrap();
    (user, head)
}

async fn what_was_taken_and_settled_is_not_taken_again(s: impl Subject) {
    let (user, head) = settled(&s).await;
    let outbox = s.outbox();
    assert_eq!(outbox.left_unsent(ALL).await.unwrap(), []);
    append(&s, user, 3).await;
    assert_eq!(outbox.left_unsent(ALL).await.unwrap(), [user]);
    let taken = outbox.take_unsent("r", &[user, user], LEASE, ALL).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(seqs(&taken[0]), [head + 1, head + 2, head + 3]);
    assert_eq!((taken[0].upto, taken[0].more), (head + 3, false));
    assert_eq!(outbox.left_unsent(ALL).await.unwrap(), [], "it is in somebody's hands");
    // Half of it went out.
    outbox.settle_sent("r", &[(user, head + 1)]).await.unwrap();
    assert_eq!(outbox.left_unsent(ALL).await.unwrap(), [user]);
    let rest = outbox.take_unsent("other", &[user], LEASE, ALL).await.unwrap();
    assert_eq!(seqs(&rest[0]), [head + 2, head + 3]);
    outbox.settle_sent("other", &[(user, rest[0].upto)]).await.unwrap();
    let nothing = outbox.take_unsent("r", &[user], LEASE, ALL).await.unwrap();
    assert_eq!((seqs(&nothing[0]), nothing[0].upto), (vec![], head + 3));
}

async fn a_user_is_in_the_hands_of_one_relay_until_its_lease_is_over(s: impl Subject) {
    let (user, head) = settled(&s).await;
    let outbox = s.outbox();
    append(&s, user, 1).await;
    assert_eq!(outbox.take_unsent("a", &[user], LEASE, ALL).await.unwrap().len(), 1);
    assert_eq!(outbox.take_unsent("b", &[user], LEASE, ALL).await.unwrap(), []);
    // Whoever does not hold it settles nothing.
    outbox.settle_sent("b", &[(user, head + 1)]).await.unwrap();
    assert_eq!(outbox.take_unsent("b", &[user], LEASE, ALL).await.unwrap(), []);
    // One whose connection broke off takes anew what it had.
    let anew = outbox.take_unsent("a", &[user], LEASE, ALL).await.unwrap();
    assert_eq!(seqs(&anew[0]), [head + 1]);
    outbox.settle_sent("a", &[(user, head)]).await.unwrap();

    // One that dies holds nothing for longer than its lease, and settles nothing after it.
    assert_eq!(outbox.take_unsent("dead", &[user], Duration::ZERO, ALL).await.unwrap().len(), 1);
    assert_eq!(outbox.left_unsent(ALL).await.unwrap(), [user]);
    let again = outbox.take_unsent("b", &[user], LEASE, ALL).await.unwrap();
    assert_eq!(seqs(&again[0]), [head + 1]);
    outbox.settle_sent("dead", &[(user, head + 1)]).await.unwrap();
    assert_eq!(outbox.take_unsent("c", &[user], LEASE, ALL).await.unwrap(), [], "it is still with b");
}

async fn a_small_helping_says_that_there_is_more(s: impl Subject) {
    let ((a, from_a), (b, from_b)) = (settled(&s).await, settled(&s).await);
    let outbox = s.outbox();
    append(&s, a, 5).await;
    append(&s, b, 4).await;
    let mut got: BTreeMap<UserId, Vec<u64>> = BTreeMap::new();
    for _ in 0..10 {
        let taken = outbox.take_unsent("r", &[a, b], LEASE, 2).await.unwrap();
        let sum: usize = taken.iter().map(|unsent| unsent.events.len()).sum();
        assert!(sum <= 2);
        if sum == 0 {
            break;
        }
        assert!(taken.iter().any(|unsent| unsent.more) || sum < 2, "{taken:?}");
        for unsent in &taken {
            got.entry(unsent.user_id).or_default().extend(seqs(unsent));
        }
        let upto: Vec<_> = taken.iter().map(|unsent| (unsent.user_id, unsent.upto)).collect();
        outbox.settle_sent("r", &upto).await.unwrap();
    }
    assert_eq!(got[&a], (from_a + 1..=from_a + 5).collect::<Vec<_>>());
    assert_eq!(got[&b], (from_b + 1..=from_b + 4).collect::<Vec<_>>());
}

async fn what_was_logged_before_there_was_a_broker_is_not_sent(s: impl Subject) {
    let old = s.user().await;
    append(&s, old, 2).await;
    s.outbox().begin_outbox().await.unwrap();
    assert_eq!(s.outbox().left_unsent(ALL).await.unwrap(), []);
    append(&s, old, 1).await;
    // A second server that starts changes nothing.
    s.outbox().begin_outbox().await.unwrap();
    let taken = s.outbox().take_unsent("r", &[old], LEASE, ALL).await.unwrap();
    assert_eq!(seqs(&taken[0]), [s.log().head(old).await.unwrap()]);
    let new = s.user().await;
    append(&s, new, 1).await;
    assert_eq!(s.outbox().left_unsent(ALL).await.unwrap(), [new]);
}

async fn many_relays_send_everything_once_and_in_order_while_others_write(s: impl Subject) {
    const RELAYS: usize = 4;
    const ROUNDS: usize = 15;
    let s = Arc::new(s);
    s.outbox().begin_outbox().await.unwrap();
    let mut users = vec![];
    for _ in 0..5 {
        users.push(settled(&*s).await);
    }
    let all: Vec<UserId> = users.iter().map(|(user, _)| *user).collect();
    let writers: Vec<_> = all
        .iter()
        .map(|user| {
            let (s, user) = (s.clone(), *user);
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    append(&*s, user, 1 + round % 3).await;
                }
            })
        })
        .collect();
    let sent = Arc::new(std::sync::Mutex::new(vec![]));
    let relays: Vec<_> = (0..RELAYS)
        .map(|n| {
            let (s, all, sent) = (s.clone(), all.clone(), sent.clone());
            tokio::spawn(async move {
                let (outbox, name) = (s.outbox(), format!("relay {n}"));
                loop {
                    let taken = outbox.take_unsent(&name, &all, LEASE, 7).await.unwrap();
                    sent.lock().unwrap().extend(
                        taken.iter().flat_map(|unsent| unsent.events.iter().map(|e| (e.user_id, e.seq))),
                    );
                    let upto: Vec<_> = taken.iter().map(|unsent| (unsent.user_id, unsent.upto)).collect();
                    outbox.settle_sent(&name, &upto).await.unwrap();
                    let wanted = all.len() * (0..ROUNDS).map(|round| 1 + round % 3).sum::<usize>();
                    if sent.lock().unwrap().len() >= wanted {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in writers.into_iter().chain(relays) {
        tokio::time::timeout(Duration::from_secs(120), task).await.expect("everything is sent").unwrap();
    }
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    for (user, before) in users {
        let of_user: Vec<u64> = sent.iter().filter(|(u, _)| *u == user).map(|(_, seq)| *seq).collect();
        let head = s.log().head(user).await.unwrap();
        assert_eq!(of_user, (before + 1..=head).collect::<Vec<_>>(), "each once, in order");
    }
}

on_every_store!(
    what_was_taken_and_settled_is_not_taken_again,
    a_user_is_in_the_hands_of_one_relay_until_its_lease_is_over,
    a_small_helping_says_that_there_is_more,
    what_was_logged_before_there_was_a_broker_is_not_sent,
    many_relays_send_everything_once_and_in_order_while_others_write,
);

/// The store in memory keeps events and no text, so there is nothing that could not be read.
mod unreadable {
    use super::*;
    use services::ports::{History, HistoryOf, HistoryQuery, PageQuery};

    async fn an_event_that_cannot_be_read_holds_up_nobody<S: Subject + Deref<Target = Database>>(s: S) {
        let ((a, from_a), (b, from_b)) = (settled(&s).await, settled(&s).await);
        append(&s, a, 3).await;
        append(&s, b, 1).await;
        let mut conn = s.place.connect().await;
        for (user, seq) in [(a, from_a + 2), (b, from_b + 1)] {
            let sql = format!("UPDATE events SET data = 'nonsense' WHERE user_id = '{user}' AND seq = {seq}");
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        }
        let outbox = s.outbox();
        let taken = outbox.take_unsent("r", &[a, b], LEASE, ALL).await.unwrap();
        let taken: BTreeMap<UserId, &Unsent> = taken.iter().map(|unsent| (unsent.user_id, unsent)).collect();
        assert_eq!((seqs(taken[&a]), taken[&a].upto), (vec![from_a + 1, from_a + 3], from_a + 3));
        assert_eq!((seqs(taken[&b]), taken[&b].upto), (vec![], from_b + 1));
        outbox.settle_sent("r", &[(a, from_a + 3), (b, from_b + 1)]).await.unwrap();
        assert_eq!(outbox.left_unsent(ALL).await.unwrap(), []);
    }

    async fn an_event_of_a_newer_build_is_read_and_sent_like_any_other<
        S: Subject + Deref<Target = Database>,
    >(
        s: S,
    ) {
        let (user, from) = settled(&s).await;
        append(&s, user, 3).await;
        let mut conn = s.place.connect().await;
        let sql = format!(
            r#"UPDATE events SET name = 'moon_rose', data = REPLACE(data, '"workspace_deleted"', '"moon_rose"')
               WHERE user_id = '{user}' AND seq = {}"#,
            from + 2
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let read = s.log().after(user, from, ALL).await.unwrap();
        assert_eq!(read.iter().map(|e| e.seq).collect::<Vec<_>>(), [from + 1, from + 2, from + 3]);
        assert_eq!((read[1].name, read[1].told_name().as_str()), (LoggedEvent::UNKNOWN, "moon_rose"));
        let taken = s.outbox().take_unsent("r", &[user], LEASE, ALL).await.unwrap();
        assert_eq!(taken[0].events, read, "byte for byte");
    }

    async fn a_broken_event_of_a_known_name_is_not_passed_over_in_silence<
        S: Subject + Deref<Target = Database>,
    >(
        s: S,
    ) {
        let (user, from) = settled(&s).await;
        append(&s, user, 2).await;
        let before = s.log().after(user, from, ALL).await.unwrap();
        let mut conn = s.place.connect().await;
        let sql = format!(
            r#"UPDATE events SET data = REPLACE(data, '"id":', '"idea":') WHERE user_id = '{user}' AND seq = {}"#,
            from + 1
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let read = s.log().after(user, from, ALL).await.unwrap();
        assert!(read[0].is_unreadable(), "who reads on has to know that there is a gap");
        assert_eq!((read[0].seq, &read[1..]), (from + 1, &before[1..]));
        assert_eq!(seqs(&s.outbox().take_unsent("r", &[user], LEASE, ALL).await.unwrap()[0]), [from + 2]);
    }

    async fn a_history_has_what_stands_beside_an_event_that_cannot_be_read<
        S: Subject + Deref<Target = Database>,
    >(
        s: S,
    ) {
        let (user, from) = settled(&s).await;
        append(&s, user, 1).await;
        let told = s.log().after(user, from, ALL).await.unwrap();
        let Some(Event::WorkspaceDeleted(deleted)) = told[0].event() else {
            panic!("another event: {told:?}")
        };
        let mut conn = s.place.connect().await;
        let sql = format!(
            "UPDATE events SET data = 'nonsense', actor = 'nobody' WHERE user_id = '{user}' AND seq = {}",
            from + 1
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let query =
            HistoryQuery { limit: PageQuery::MAX, after: None, newest_first: false, transitions: false };
        let page = s.store.history(user, HistoryOf::Workspace(deleted.id), query).await.unwrap();
        let all: Vec<_> = page.items.iter().map(|e| (e.seq, e.event.as_str(), &e.data, &e.actor)).collect();
        assert_eq!(all, [(from + 1, "workspace_deleted", &serde_json::json!({}), &None)]);
    }

    on_every_database!(
        an_event_that_cannot_be_read_holds_up_nobody,
        a_history_has_what_stands_beside_an_event_that_cannot_be_read,
        an_event_of_a_newer_build_is_read_and_sent_like_any_other,
        a_broken_event_of_a_known_name_is_not_passed_over_in_silence,
    );
}

/// The log goes on with numbers that were sent before, of events that are lost.
mod put_back {
    use super::*;
    use crate::recovery::put_back_to;
    use std::ops::DerefMut;

    async fn a_log_that_was_put_back_is_sent_from_where_it_stands<
        S: Subject + DerefMut<Target = Database>,
    >(
        mut s: S,
    ) {
        let (user, from) = settled(&s).await;
        append(&s, user, 4).await;
        // A relay that has not noticed yet notes what it had sent, and holds the user.
        s.outbox().take_unsent("old", &[user], LEASE, ALL).await.unwrap();
        s.outbox().settle_sent("old", &[(user, from + 4)]).await.unwrap();
        s.outbox().take_unsent("old", &[user], LEASE, ALL).await.unwrap();
        s.store.close().await;
        put_back_to(&s, from + 1).await;
        s.reopen().await;
        append(&s, user, 2).await;
        let taken = s.outbox().take_unsent("new", &[user], LEASE, ALL).await.unwrap();
        assert_eq!(seqs(&taken[0]), [from + 2, from + 3]);
    }

    async fn a_database_that_begins_anew_is_sent_from_where_it_stands<
        S: Subject + DerefMut<Target = Database>,
    >(
        mut s: S,
    ) {
        let (user, from) = settled(&s).await;
        s.outbox().take_unsent("old", &[user], LEASE, ALL).await.unwrap();
        s.outbox().settle_sent("old", &[(user, from + 4)]).await.unwrap();
        s.store.begin_anew([5; 32], false).await.unwrap().expect("nobody else has it open");
        s.reopen().await;
        append(&s, user, 2).await;
        let taken = s.outbox().take_unsent("new", &[user], LEASE, ALL).await.unwrap();
        assert_eq!(seqs(&taken[0]), [from + 1, from + 2]);
    }

    on_every_database!(
        a_log_that_was_put_back_is_sent_from_where_it_stands,
        a_database_that_begins_anew_is_sent_from_where_it_stands,
    );
}
