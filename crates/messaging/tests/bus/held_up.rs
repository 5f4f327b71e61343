//! A broker that is short of memory takes nothing from those who publish. What it says to them is said here by somebody in
//! between, who also lets nothing through, so that no broker has to run out of anything.

use crate::{
    broken::Watcher,
    broker,
    node::{Installation, Node, Observer, id},
    outside::{say, taken},
    soon,
};
use domain::DocumentId;
use lapin::uri::AMQPUri;
use serde_json::{Value, json};
use services::ports::{Bus, EventLog, Signal};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
};

/// Of the class `connection` of AMQP.
const BLOCKED: u16 = 60;
const UNBLOCKED: u16 = 61;

/// Between a node and the broker.
struct Between {
    port: u16,
    /// That were made.
    connections: Arc<AtomicUsize>,
    is_short: watch::Sender<bool>,
}

impl Between {
    async fn to(url: &AMQPUri) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let there = format!("{}:{}", url.authority.host, url.authority.port);
        let connections = Arc::<AtomicUsize>::default();
        let (is_short, told) = watch::channel(false);
        let made = connections.clone();
        tokio::spawn(async move {
            loop {
                let (node, _) = listener.accept().await.unwrap();
                made.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(&there).await else { continue };
                let (from_node, to_node) = node.into_split();
                let (from_broker, to_broker) = server.into_split();
                tokio::spawn(carry(from_node, to_broker, told.clone()));
                tokio::spawn(tell(from_broker, to_node, told.clone()));
            }
        });
        Self { port, connections, is_short }
    }
}

/// From the node, but nothing while the broker is short of memory.
async fn carry(mut read: OwnedReadHalf, mut write: OwnedWriteHalf, mut is_short: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = read.read(&mut buffer).await {
        if is_short.wait_for(|short| !short).await.is_err() {
            return;
        }
        if write.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

/// To the node, with what a broker says of its memory between two frames.
async fn tell(mut read: OwnedReadHalf, mut write: OwnedWriteHalf, mut is_short: watch::Receiver<bool>) {
    let (frames, mut came) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok(frame) = frame(&mut read).await {
            if frames.send(frame).await.is_err() {
                return;
            }
        }
    });
    loop {
        let frame = tokio::select! {
            frame = came.recv() => frame,
            changed = is_short.changed() => {
                let short = *is_short.borrow_and_update();
                let said = if short { method(BLOCKED, b"\x0alow memory") } else { method(UNBLOCKED, b"") };
                changed.is_ok().then_some(said)
            }
        };
        let Some(frame) = frame else { return };
        if write.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// The next frame as it is: kind, channel, length, so many bytes, and one that ends it.
async fn frame(read: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 7];
    read.read_exact(&mut frame).await?;
    let length = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
    frame.resize(7 + length + 1, 0);
    read.read_exact(&mut frame[7..]).await?;
    Ok(frame)
}

fn method(id: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&10_u16.to_be_bytes()[..], &id.to_be_bytes()[..], arguments].concat();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[1, 0, 0][..], &length[..], &payload[..], &[0xce][..]].concat()
}

/// A node with somebody between it and the broker.
async fn beyond(installation: &mut Installation) -> (Between, Node) {
    let url: AMQPUri = installation.url.parse().unwrap();
    let between = Between::to(&url).await;
    let who = &url.authority.userinfo;
    // A broker that is short itself would not wait for the heartbeat of the node.
    let beyond =
        format!("amqp://{}:{}@127.0.0.1:{}/%2f?heartbeat=120", who.username, who.password, between.port);
    let direct = std::mem::replace(&mut installation.url, beyond);
    let node = installation.node().up().await;
    installation.url = direct;
    (between, node)
}

async fn is_told_of(node: &Node) {
    soon("an operator is told", async {
        while node.bus.outage().is_none_or(|said| !said.contains("short of memory")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Each second listeners are sent to the log, and after three a broker that gives no answer would be given up.
async fn longer_than_an_answer_may_take(node: &Node) {
    let mut heard = node.bus.subscribe();
    for _ in 0..6 {
        soon("listeners are sent to the log", async {
            while !matches!(heard.recv().await, Ok(Signal::Missed)) {}
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_is_short_of_memory_is_waited_for_over_the_same_connection() {
    let mut installation = Installation::at(broker());
    let there = installation.node().up().await;
    let (between, here) = beyond(&mut installation).await;
    let user = installation.user();
    let mut watcher = Watcher::at(&here, user).await;
    there.commit(user, 3).await;
    watcher.until(3).await;
    let mut observer = Observer::of(&installation, &["workspace.status.updated"]).await;

    between.is_short.send(true).unwrap();
    is_told_of(&here).await;
    longer_than_an_answer_may_take(&here).await;
    here.commit(user, 2).await;
    there.commit(user, 1).await;
    watcher.until(6).await;
    assert_eq!(between.connections.load(Ordering::SeqCst), 1);
    assert!(here.bus.outage().is_some());

    between.is_short.send(false).unwrap();
    let here = here.up().await;
    here.commit(user, 1).await;
    let head = installation.store.head(user).await.unwrap();
    assert_eq!(watcher.until(head).await, (1..=head).collect::<Vec<_>>());
    loop {
        let told: Value = serde_json::from_slice(&observer.next().await.data).unwrap();
        if told["seq"] == json!(head) {
            break;
        }
    }
    assert_eq!(between.connections.load(Ordering::SeqCst), 1, "it is the same connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_report_whose_answer_the_broker_does_not_hear_for_a_while_is_taken_once() {
    let mut installation = Installation::at(broker());
    let (between, here) = beyond(&mut installation).await;
    let observer = Observer::of(&installation, &["nothing"]).await;
    let document = DocumentId::new(id());
    let report = async |n: u32| {
        let body = json!({ "document_id": document, "status": "processing", "progress": n }).to_string();
        say(&observer, &installation, "document.status.report", body.as_bytes()).await;
    };
    report(1).await;
    assert_eq!(taken(&installation.rest, 1).await, [1.0], "it takes reports");
    between.is_short.send(true).unwrap();
    is_told_of(&here).await;
    report(2).await;
    assert_eq!(taken(&installation.rest, 2).await, [1.0, 2.0]);
    longer_than_an_answer_may_take(&here).await;

    between.is_short.send(false).unwrap();
    let here = here.up().await;
    // What had come again would be before it.
    report(3).await;
    assert_eq!(taken(&installation.rest, 3).await, [1.0, 2.0, 3.0]);
    here.stopping.cancel();
    here.running.await.unwrap();
    let reported = installation.rest.reported.lock().unwrap().len();
    assert_eq!((reported, between.connections.load(Ordering::SeqCst)), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_stops_although_the_broker_takes_nothing_and_another_one_sends_what_it_left() {
    let mut installation = Installation::at(broker());
    let _there = installation.node().up().await;
    let (between, here) = beyond(&mut installation).await;
    let user = installation.user();
    let mut observer = Observer::of(&installation, &["workspace.status.updated"]).await;
    between.is_short.send(true).unwrap();
    is_told_of(&here).await;
    here.commit(user, 2).await;
    here.stopping.cancel();
    soon("it stops", here.running).await.unwrap();
    for seq in [1, 2] {
        let told: Value = serde_json::from_slice(&observer.next().await.data).unwrap();
        assert_eq!((&told["user_id"], &told["seq"]), (&json!(user), &json!(seq)));
    }
}
