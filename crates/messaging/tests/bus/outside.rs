//! Workers of somebody's own, and calls to work.

use crate::{
    broken::document,
    broker,
    node::{Installation, Observer, RealClock, Rest, id},
    soon,
};
use domain::{DocumentId, DocumentStatus, Event};
use lapin::{
    BasicProperties,
    options::{BasicGetOptions, BasicPublishOptions},
    types::AMQPValue,
};
use serde_json::{Value, json};
use services::ports::{Bus, Clock, EventLog, Signal};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

pub async fn say(observer: &Observer, installation: &Installation, key: &str, body: &[u8]) {
    let (exchange, key) = (installation.exchange.as_str().into(), key.into());
    let options = BasicPublishOptions::default();
    let sent = observer.channel.basic_publish(exchange, key, options, body, BasicProperties::default());
    drop(sent.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_taken_in_order_and_bad_ones_are_put_aside_with_their_reason() {
    let installation = Installation::at(broker());
    // Two nodes, of which one at a time takes reports.
    let _nodes = (installation.node().up().await, installation.node().up().await);
    let observer = Observer::of(&installation, &["nothing"]).await;
    let mut dead = Observer::named(&installation, &format!("{}.dead", installation.exchange), &[]).await;
    let ids: Vec<DocumentId> = (0..5).map(|_| DocumentId::new(id())).collect();
    let junk = "x".repeat(1 << 20);
    installation.rest.failing.store(2, Ordering::SeqCst);
    for n in 0..20 {
        for id in &ids {
            let body = json!({ "document_id": id, "status": "processing", "progress": n });
            say(&observer, &installation, "document.status.report", body.to_string().as_bytes()).await;
        }
        if n == 3 {
            for (key, body) in [
                ("document.status.report", "no json at all".to_owned()),
                ("document.status.report", json!({ "status": "ready" }).to_string()),
                ("document.status.report", json!({ "document_id": 7, "status": "ready" }).to_string()),
                ("document.status.report", json!({ "document_id": ids[0], "status": "fine" }).to_string()),
                (
                    "document.status.report",
                    json!({ "document_id": ids[0], "status": "processing", "progress": 101 }).to_string(),
                ),
                (
                    "document.status.report",
                    json!({ "document_id": ids[0], "status": "ready", "junk": junk }).to_string(),
                ),
                ("workspace.status.report", json!({ "workspace_id": id(), "status": "error" }).to_string()),
            ] {
                say(&observer, &installation, key, body.as_bytes()).await;
            }
        }
    }
    let mut reasons = vec![];
    for _ in 0..7 {
        let letter = dead.next().await;
        let headers = letter.properties.headers().clone().unwrap();
        let Some(AMQPValue::LongString(why)) = headers.inner().get("x-reason") else {
            panic!("no reason: {headers:?}")
        };
        reasons.push(why.to_string());
    }
    for part in [
        "no JSON",
        "`document_id` is missing",
        "has to be a string",
        "fine",
        "progress",
        "too_large: The body is larger than 1 MB.",
        "not_found",
    ] {
        assert!(reasons.iter().any(|why| why.contains(part)), "{part} in {reasons:?}");
    }
    soon("all good reports are taken", async {
        while installation.rest.reported.lock().unwrap().len() < 100 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let reported = installation.rest.reported.lock().unwrap();
    for id in &ids {
        let of_one: Vec<f64> =
            reported.iter().filter(|(of, _)| of == id).map(|(_, r)| r.progress.unwrap()).collect();
        assert_eq!(of_one, (0..20).map(f64::from).collect::<Vec<_>>(), "in order, none missing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_at_the_dead_letters_does_not_use_them_up() {
    let installation = Installation::at(broker());
    let _node = installation.node().up().await;
    let observer = Observer::of(&installation, &["nothing"]).await;
    say(&observer, &installation, "document.status.report", b"no json at all").await;
    // What the look before had in hand comes back when the broker notices that it is over.
    let look = async || {
        soon("it lies there", async {
            loop {
                let url = installation.url.parse().unwrap();
                let standing = messaging::rabbit::standing(url, &installation.exchange).await.unwrap();
                if let [reason] = &standing.reasons[..] {
                    return reason.clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    };
    // More often than a broker of version 4 delivers anything.
    for _ in 0..25 {
        let reason = look().await;
        assert!(reason.starts_with("document.status.report: this is no JSON"), "{reason}");
    }
    let (queue, options) = (format!("{}.dead", installation.exchange), BasicGetOptions { no_ack: true });
    let letter = soon("it is there", async {
        loop {
            if let Some(letter) = observer.channel.basic_get(queue.as_str().into(), options).await.unwrap() {
                return letter;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let headers = letter.properties.headers().clone().unwrap();
    let count = match headers.inner().get("x-delivery-count") {
        Some(AMQPValue::LongLongInt(n)) => *n,
        None => 0,
        other => panic!("{other:?}"),
    };
    assert!(count <= 12, "it came back {count} times");
    assert_eq!((letter.message_count, &letter.data[..]), (0, &b"no json at all"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_to_a_server_that_is_cut_off_from_the_store_are_taken_by_another() {
    let installation = Installation::at(broker());
    let cut_off = Arc::new(Rest::default());
    cut_off.away.store(true, Ordering::SeqCst);
    let _first = installation.node_beside(cut_off.clone(), |options| options).up().await;
    let observer = Observer::of(&installation, &["nothing"]).await;
    let document = DocumentId::new(id());
    let report = async |n: u32| {
        let body = json!({ "document_id": document, "status": "processing", "progress": n }).to_string();
        say(&observer, &installation, "document.status.report", body.as_bytes()).await;
    };
    for n in 0..5 {
        report(n).await;
    }
    soon("the only server has them", async {
        while cut_off.in_vain.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let second = installation.node().up().await;
    assert_eq!(taken(&installation.rest, 5).await, [0.0, 1.0, 2.0, 3.0, 4.0], "in order");

    // Back at the store, it takes its turn again.
    cut_off.away.store(false, Ordering::SeqCst);
    second.stopping.cancel();
    second.running.await.unwrap();
    report(5).await;
    assert_eq!(taken(&cut_off, 1).await, [5.0]);
}

/// The progress that so many reports told of.
pub async fn taken(rest: &Rest, n: usize) -> Vec<f64> {
    soon("the reports are taken", async {
        while rest.reported.lock().unwrap().len() < n {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let reported = rest.reported.lock().unwrap();
    reported.iter().filter_map(|(_, report)| report.progress).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_waits_is_told_to_outside_workers() {
    let installation = Installation::at(broker());
    let node = installation.node().up().await;
    let mut worker = Observer::of(&installation, &["document.uploaded"]).await;
    let user = installation.user();
    let mut uploaded = document(user);
    node.store.append(user, vec![Event::DocumentStatus(uploaded.clone())], RealClock.now()).await.unwrap();
    let told = worker.next().await;
    assert_eq!(told.properties.correlation_id().as_ref().unwrap().as_str(), uploaded.id.to_string());
    let told: Value = serde_json::from_slice(&told.data).unwrap();
    assert_eq!((&told["document_id"], &told["user_id"]), (&json!(uploaded.id), &json!(user)));
    assert_eq!(told["file_path"], json!(format!("/api/documents/{}/content", uploaded.id)));
    // What goes on is no news for it; what waits again is.
    uploaded.status = DocumentStatus::Processing;
    let second = document(user);
    let events = [uploaded, second.clone()].map(Event::DocumentStatus).to_vec();
    node.store.append(user, events, RealClock.now()).await.unwrap();
    let told: Value = serde_json::from_slice(&worker.next().await.data).unwrap();
    assert_eq!(told["document_id"], json!(second.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_comes_late_is_told_of_what_waits_for_it() {
    late(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_comes_after_a_restart_is_told_of_what_waits_for_it() {
    late(true).await;
}

/// `restarts`: the one that sent it in vain is gone by then, and another one has to know.
async fn late(restarts: bool) {
    let installation = Installation::at(broker());
    let mut node = installation.node().up().await;
    let user = installation.user();
    let waiting: Vec<_> = (0..3).map(|_| document(user)).collect();
    installation.rest.waiting.lock().unwrap().extend(waiting.clone());
    // Nobody has a queue for it yet.
    let events = waiting.iter().cloned().map(Event::DocumentStatus).collect();
    node.store.append(user, events, RealClock.now()).await.unwrap();
    soon("the relay has sent it in vain", async {
        while !services::ports::Outbox::left_unsent(&installation.store, 10).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    if restarts {
        node.running.abort();
        node = installation.node().up().await;
    }
    let mut worker = Observer::of(&installation, &["document.uploaded"]).await;
    let mut told = BTreeSet::new();
    while told.len() < 3 {
        let body: Value = serde_json::from_slice(&worker.next().await.data).unwrap();
        told.insert(body["document_id"].as_str().unwrap().to_owned());
    }
    assert!(waiting.iter().all(|document| told.contains(&document.id.to_string())));
    drop(node);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_had_begun_is_told_again_by_an_empty_broker_and_where_it_was_refused_for_a_while() {
    let installation = Installation::at(broker());
    let user = installation.user();
    let begun: Vec<domain::Document> = (0..2)
        .map(|_| {
            let mut document = document(user);
            document.status = DocumentStatus::Processing;
            document
        })
        .collect();
    installation.rest.waiting.lock().unwrap().extend(begun.clone());
    let mut worker = Observer::of(&installation, &["document.uploaded"]).await;
    // The first server of an installation finds nothing there, as one does whose broker was wiped.
    let node = installation.node().up().await;
    let all: BTreeSet<String> = begun.iter().map(|document| document.id.to_string()).collect();
    let mut told = BTreeSet::new();
    for _ in &begun {
        told.insert(of_document(&worker.next().await.data));
    }
    assert_eq!(told, all);
    for document in begun.iter().rev() {
        node.bus.publish(Signal::Untold(document.workspace_id));
        assert_eq!(of_document(&worker.next().await.data), document.id.to_string(), "that one alone");
    }
}

fn of_document(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["document_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_to_work_is_heard_by_a_worker_and_answered_when_it_has_looked() {
    let installation = Installation::at(broker());
    let web = installation.node().up().await;
    let worker = installation.node_with(|options| messaging::rabbit::Options {
        serves: false,
        works: true,
        ..options
    });
    let worker = worker.up().await;
    let mut bus = worker.bus.subscribe();
    let mut call = async |what: &str| {
        soon(what, async { while !matches!(bus.recv().await.unwrap(), Signal::WorkReady) {} }).await;
    };
    for _ in 0..5 {
        web.bus.publish(Signal::WorkReady);
        call("the call").await;
        // All hands are full, and another one is called: as there is only this one, by itself.
        worker.bus.looked_for_work(2, 2);
        call("the call that was passed on").await;
        worker.bus.looked_for_work(2, 0);
    }
}
