//! A broker of its own that is killed, restarted and wiped while nodes write and people watch.

use crate::{
    node::{Installation, Node, Observer, RealClock},
    soon,
};
use domain::{DocumentStatus, SessionId, UserId};
use measure::broker::Broker;
use serde_json::{Value, json};
use services::{
    live::{Hub, Outgoing, Resume},
    ports::{Bus, EventLog, Outbox},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// By when nodes are back after their broker was away. The goal is five seconds, and how soon it really was is printed; this is
/// for a machine that is busy.
const BACK: Duration = Duration::from_secs(30);

/// Somebody who watches at a node, all the time.
pub struct Watcher {
    seqs: watch::Receiver<Vec<u64>>,
}

impl Watcher {
    pub async fn at(node: &Node, user: UserId) -> Self {
        let clock = Arc::new(RealClock);
        let hub = Hub::new(Arc::new(node.store.clone()), node.bus.clone(), 8, clock);
        tokio::spawn(hub.run());
        let session = SessionId::new(crate::node::id());
        let mut stream = hub.connect(user, session, Resume::default()).await.unwrap();
        let (told, seqs) = watch::channel(vec![]);
        tokio::spawn(async move {
            while let Ok(outgoing) = stream.next().await {
                let Outgoing::Frames(frames) = outgoing else { continue };
                let frames = frames.iter().map(|frame| serde_json::from_slice::<Value>(frame).unwrap());
                let events = frames.filter(|frame| frame["type"] == "event");
                let new: Vec<u64> = events.map(|event| event["seq"].as_u64().unwrap()).collect();
                told.send_modify(|seqs| seqs.extend(new));
            }
        });
        Self { seqs }
    }

    /// Watches until an event with that seq came; answers all until then.
    pub async fn until(&mut self, seq: u64) -> Vec<u64> {
        let came = self.seqs.wait_for(|seqs| seqs.last().is_some_and(|last| *last >= seq));
        soon("an event", came).await.unwrap().clone()
    }
}

/// Starting and killing take the whole process for a while.
async fn at_broker<T: Send + 'static>(
    broker: Broker,
    work: impl FnOnce(&mut Broker) -> T + Send + 'static,
) -> (Broker, T) {
    tokio::task::spawn_blocking(move || {
        let mut broker = broker;
        let done = work(&mut broker);
        (broker, done)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_is_killed_and_wiped_under_load_costs_latency_and_no_event() {
    let broker = tokio::task::spawn_blocking(|| Broker::start().unwrap()).await.unwrap();
    let installation = Arc::new(Installation::at(broker.url()));
    let nodes = Arc::new((installation.node().up().await, installation.node().up().await));
    let user = installation.user();
    let mut at_first = Watcher::at(&nodes.0, user).await;
    let mut at_second = Watcher::at(&nodes.1, user).await;
    let mut waiting = document(user);
    waiting.status = DocumentStatus::Pending;
    installation.rest.waiting.lock().unwrap().push(waiting.clone());

    // Both write all the time, until they are told to stop.
    let stop = tokio_util::sync::CancellationToken::new();
    let (writers, stopped) = (nodes.clone(), stop.clone());
    let writing = tokio::spawn(async move {
        while !stopped.is_cancelled() {
            writers.0.commit(user, 1).await;
            writers.1.commit(user, 2).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    at_first.until(30).await;
    at_second.until(30).await;

    let (broker, ()) = at_broker(broker, Broker::kill).await;
    // The screens go on without a broker: each node looks into the log.
    let now = installation.store.head(user).await.unwrap();
    let gone = Instant::now();
    at_first.until(now + 50).await;
    at_second.until(now + 50).await;
    assert!(gone.elapsed() < BACK, "{:?}", gone.elapsed());
    println!("R6: fifty events of either node were told {:?} after the broker had gone", gone.elapsed());
    let said = nodes.0.bus.outage().expect("an operator is told");
    assert!(said.contains("away since"), "{said}");
    let (broker, begun) = at_broker(broker, Broker::begin).await;
    begun.unwrap();
    let back = Instant::now();
    soon("both are connected again", async {
        while nodes.0.bus.outage().is_some() || nodes.1.bus.outage().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(back.elapsed() < BACK, "{:?}", back.elapsed());
    println!("R6: both were connected {:?} after it was back", back.elapsed());

    let (broker, wiped) = at_broker(broker, |broker| broker.wipe().and_then(|()| broker.begin())).await;
    wiped.unwrap();
    // A queue of an outside worker is gone as well; it makes it again, and is told of what waits.
    let mut worker = Observer::of(&installation, &["document.uploaded"]).await;
    let told: Value = serde_json::from_slice(&worker.next().await.data).unwrap();
    assert_eq!(told["document_id"], json!(waiting.id));
    soon("both are connected again", async {
        while nodes.0.bus.outage().is_some() || nodes.1.bus.outage().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;

    // What is committed from now on goes over the broker again, behind all that waits.
    let mut late = Observer::of(&installation, &["workspace.status.updated"]).await;
    let before = installation.store.head(user).await.unwrap();
    loop {
        let body: Value = serde_json::from_slice(&late.next().await.data).unwrap();
        if body["seq"].as_u64().unwrap() > before {
            break;
        }
    }
    stop.cancel();
    writing.await.unwrap();
    let head = installation.store.head(user).await.unwrap();
    for watcher in [&mut at_first, &mut at_second] {
        let seqs = watcher.until(head).await;
        assert_eq!(seqs, (seqs[0]..=head).collect::<Vec<_>>(), "each once, in order, none missing");
    }
    soon("everything was sent", async {
        while !installation.store.left_unsent(10).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    drop(broker);
}

/// A document as a sample has it.
pub fn document(user: UserId) -> domain::Document {
    let id = crate::node::id();
    serde_json::from_value(json!({
        "id": id, "workspace_id": crate::node::id(), "user_id": user, "job_id": null,
        "filename": "letter.txt", "mime_type": "text/plain", "size_bytes": 7, "content_hash": "ab",
        "status": "pending", "error": null, "error_code": null, "error_hint": null, "warnings": [],
        "chunk_count": 0, "progress": 0.0, "step": null, "message": null, "metadata": {}, "attempt": 1,
        "stale": false, "indexed_with": null, "version": 1, "rev": 3,
        "created_at": "2026-11-29T08:00:00Z", "updated_at": "2026-11-29T08:00:00Z",
    }))
    .unwrap()
}
