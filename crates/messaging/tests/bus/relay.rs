//! From the log to the broker: at least once, in the order of each user, whoever dies.

use crate::{
    broker,
    node::{Installation, Observer},
    outside::say,
    soon,
};
use domain::UserId;
use lapin::types::AMQPValue;
use serde_json::Value;
use services::ports::{Bus, Outbox, Signal};
use std::{collections::BTreeMap, time::Duration};

/// The seqs of each user as they came, until each of them came so far.
async fn heard_until(observer: &mut Observer, heads: &BTreeMap<UserId, u64>) -> BTreeMap<UserId, Vec<u64>> {
    let mut heard: BTreeMap<UserId, Vec<u64>> = BTreeMap::new();
    while !heads.iter().all(|(user, head)| heard.get(user).is_some_and(|seqs| seqs.contains(head))) {
        let message = observer.next().await;
        let body: Value = serde_json::from_slice(&message.data).unwrap();
        let user: UserId = body["user_id"].as_str().unwrap().parse().unwrap();
        heard.entry(user).or_default().push(body["seq"].as_u64().unwrap());
    }
    heard
}

/// The same without what came again.
fn first_of_each(seqs: &[u64]) -> Vec<u64> {
    let mut seen = vec![];
    for seq in seqs {
        if !seen.contains(seq) {
            seen.push(*seq);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_that_commit_for_the_same_users_send_everything_once_and_in_order() {
    let installation = Installation::at(broker());
    let mut observer = Observer::of(&installation, &["workspace.status.updated"]).await;
    let mut nodes = vec![];
    for _ in 0..4 {
        nodes.push(installation.node().up().await);
    }
    let users: Vec<UserId> = (0..6).map(|_| installation.user()).collect();
    for round in 0..25 {
        for (n, user) in users.iter().enumerate() {
            nodes[(n + round) % nodes.len()].commit(*user, 1 + round % 3).await;
        }
    }
    let heads: BTreeMap<UserId, u64> =
        users.iter().map(|user| (*user, (0..25).map(|round| 1 + round % 3).sum())).collect();
    let heard = heard_until(&mut observer, &heads).await;
    for (user, head) in heads {
        assert_eq!(heard[&user], (1..=head).collect::<Vec<_>>(), "once, and in order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_servers_of_another_installation_tell_at_the_same_exchange_is_not_heard() {
    let installation = Installation::at(broker());
    let (here, there) = (installation.node().up().await, installation.node().up().await);
    // A copy to practise with: the same people, in a log that went on by itself.
    let exchange = installation.exchange.clone();
    let other = Installation { exchange, ..Installation::of_log("other", broker()) };
    let user = installation.user();
    other.store.add_user(user);
    let foreign = other.node().up().await;
    let mut observer = Observer::of(&installation, &["workspace.status.updated"]).await;
    let mut heard = here.bus.subscribe();
    foreign.commit(user, 1).await;
    let message = observer.next().await;
    let headers = message.properties.headers().clone().unwrap();
    let log = headers.inner().get("x-log").cloned();
    assert_eq!(log, Some(AMQPValue::LongString("other".into())), "whoever listens can tell them apart");
    let told: Value = serde_json::from_slice(&message.data).unwrap();
    // It lies in the queue of each node by now, before what comes next.
    there.commit(user, 1).await;
    let event = soon("their own is heard", async {
        loop {
            if let Ok(Signal::Event(event)) = heard.recv().await {
                return event;
            }
        }
    })
    .await;
    let first: Value = serde_json::from_slice(&event.frame).unwrap();
    assert_eq!(first["seq"], told["seq"], "it would have taken its place");
    assert_ne!(first["data"], told["data"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_node_tells_by_a_key_of_its_own_is_heard_at_once() {
    let installation = Installation::at(broker());
    let here = installation.node().up().await;
    let observer = Observer::of(&installation, &["nothing"]).await;
    let mut heard = here.bus.subscribe();
    let user = installation.user();
    let body = format!(
        r#"{{"user_id":"{user}","type":"event","seq":1,"at":"2026-11-29T08:00:00Z","event":"moon_rose","data":{{}}}}"#
    );
    for key in ["moon.status.updated", "user.moon.rose"] {
        say(&observer, &installation, key, body.as_bytes()).await;
        let event = soon("it is heard", async {
            loop {
                if let Ok(Signal::Event(event)) = heard.recv().await {
                    return event;
                }
            }
        })
        .await;
        assert_eq!((event.user_id, event.told_name().as_str()), (user, "moon_rose"), "by {key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_that_died_had_committed_is_sent_by_another() {
    let installation = Installation::at(broker());
    let mut observer = Observer::of(&installation, &["workspace.status.updated"]).await;
    let (dying, living) = (installation.node().up().await, installation.node().up().await);
    let users: Vec<UserId> = (0..20).map(|_| installation.user()).collect();
    for user in &users {
        dying.commit(*user, 5).await;
        living.commit(users[0], 1).await;
    }
    // In the middle of whatever it is sending.
    dying.running.abort();
    for user in &users {
        dying.commit(*user, 5).await;
    }
    // One had been taken by a relay that nobody will hear of again.
    installation.store.take_unsent("dead", &[users[3]], Duration::from_secs(1), 100).await.unwrap();
    let heads: BTreeMap<UserId, u64> =
        users.iter().map(|user| (*user, if *user == users[0] { 30 } else { 10 })).collect();
    let heard = heard_until(&mut observer, &heads).await;
    for (user, head) in heads {
        assert_eq!(first_of_each(&heard[&user]), (1..=head).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_sends_what_it_has_committed() {
    let installation = Installation::at(broker());
    let mut observer = Observer::of(&installation, &["workspace.status.updated"]).await;
    let node = installation.node().up().await;
    let user = installation.user();
    node.commit(user, 300).await;
    node.stopping.cancel();
    soon("the node stops", node.running).await.unwrap();
    assert_eq!(installation.store.left_unsent(10).await.unwrap(), []);
    let heard = heard_until(&mut observer, &BTreeMap::from([(user, 300)])).await;
    assert_eq!(heard[&user], (1..=300).collect::<Vec<_>>());
}
