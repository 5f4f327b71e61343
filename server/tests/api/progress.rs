//! What is told of a job while the sample documents are taken in, held against what really happened. The model is one that
//! takes its time, and how much is measured against what all the rest takes: so nothing here goes by the speed of a machine.

use crate::{
    common::{Client, Setup, eventually, fixture},
    embeddings::{Embeddings, KEY},
};
use domain::Timestamp;
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Instant};

const DOCUMENTS: [&str; 5] =
    ["first-steps.md", "glossary.txt", "handbook.pdf", "how-it-works.pdf", "questions.html"];
/// Each phase with its share of the whole.
const SHARES: [(&str, f64); 4] =
    [("loading", 0.10), ("chunking", 0.04), ("embedding", 0.80), ("indexing", 0.06)];
/// Seconds that the model takes for all of them, at least: several times as long as nothing is said of the time left.
const MODEL: f64 = 12.0;
/// So many times as long as all the rest, at least, as is usual where nothing but the processor embeds.
const DEARER: f64 = 3.0;
/// Seconds before the pace is told.
const WARM_UP: f64 = 3.0;

/// A workspace that asks the embedding server, which has nothing of the documents yet.
async fn workspace(client: &Client, name: &str) -> String {
    let made = client.post("/api/workspaces", json!({ "name": name })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/workspaces/{id}");
    eventually("it is ready", async || (client.read(&path).await["status"] == "ready").then_some(())).await;
    let config = json!({ "embedding_model": "words-embed", "chunk_size": 300, "chunk_overlap": 30 });
    let saved = client.send(client.request("PUT", &format!("{path}/rag-config")).json(&config)).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    id
}

/// Takes the documents in; answers all that was told of their job, up to its end.
async fn told_of(client: &Client, workspace: &str) -> Vec<Value> {
    let mut socket = client.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let files: Vec<(&str, Vec<u8>)> = DOCUMENTS.iter().map(|name| (*name, fixture(name))).collect();
    let named: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let answer = client.upload(workspace, &named).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.json()["job_id"].clone();
    let is_of_job = |event: &Value| {
        event["data"]["job_id"] == job && event["event"].as_str().is_some_and(|name| name.starts_with("job_"))
    };
    let events = socket.events_until(|event| event["event"] == "job_complete" && is_of_job(event)).await;
    let told: Vec<Value> = events.into_iter().filter(|event| is_of_job(event)).collect();
    let metrics = &told.last().expect("its end")["data"]["metrics"];
    assert_eq!(metrics["documents_done"], DOCUMENTS.len(), "{metrics}");
    told
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// A moment, in seconds.
fn moment(value: &Value) -> f64 {
    Timestamp::parse(value.as_str().expect("a time")).expect("a time").micros() as f64 / 1e6
}

/// How far the job is, and then each of its phases.
fn bars(job: &Value) -> [f64; 5] {
    let phase = |n: usize| {
        let phase = &job["phase_details"][n];
        assert_eq!(phase["name"], SHARES[n].0, "{job}");
        number(&phase["progress"])
    };
    [number(&job["progress"]), phase(0), phase(1), phase(2), phase(3)]
}

/// No bar falls, the one of the job is that of its phases by their shares, and all end full.
fn check_bars(told: &[Value]) {
    let mut before = [0.0; 5];
    for event in told {
        let now = bars(&event["data"]);
        assert!(now.iter().zip(&before).all(|(now, before)| now >= before), "{before:?}, then {now:?}");
        assert!(now.iter().all(|bar| *bar <= 100.0), "{now:?}");
        let by_shares: f64 = SHARES.iter().zip(&now[1..]).map(|((_, share), bar)| share * bar).sum();
        assert!((now[0] - by_shares).abs() < 0.01, "{by_shares} by its phases: {now:?}");
        before = now;
    }
    assert!(before.iter().all(|bar| (bar - 100.0).abs() < 1e-9), "{before:?}");
}

/// What is said of the pace is what was done in the time, and what is said of the time left is about what was left.
fn check_times(told: &[Value]) {
    let last = told.last().expect("its end");
    let (begun, end) = (moment(&last["data"]["started_at"]), moment(&last["at"]));
    let nothing = (&Value::Null, &Value::Null);
    assert_eq!((&last["data"]["rate"], &last["data"]["eta_seconds"]), nothing, "nothing is left");
    let (mut paced, mut held, mut earlier) = (0, 0, begun);
    for event in told {
        let (job, at) = (&event["data"], moment(&event["at"]));
        let before = std::mem::replace(&mut earlier, at);
        if job["eta_seconds"].is_null() {
            continue;
        }
        paced += 1;
        let (chunking, embedding) = (&job["phase_details"][1], &job["phase_details"][2]);
        let ran = at - moment(&embedding["started_at"]);
        assert!(job["status"] == "running" && ran > WARM_UP - 0.1, "after {ran} s: {job}");
        let (done, all) = (number(&embedding["items_processed"]), number(&embedding["items_total"]));
        let (rate, eta, left) = (number(&job["rate"]), number(&job["eta_seconds"]), end - at);
        // It may be told some time after it was reckoned, but it was reckoned behind what was told before.
        let ran_before = (before - moment(&embedding["started_at"])).clamp(WARM_UP - 0.1, ran);
        let (least, most) = (done / ran, done / ran_before);
        let is_right = rate * 1.25 + 0.2 >= least && rate * 0.75 <= most + 0.2;
        assert!(is_right, "{rate} a second; {done} in {ran} s, of which {ran_before} s had gone by before");
        // While the largest is still being read nobody can know, and its time is a part of the pace for a while.
        if chunking["status"] == "completed" && done >= all / 2.0 && done < all {
            held += 1;
            let is_about_right = eta >= left / 2.0 - 4.0 && eta <= left * 2.0 + 4.0;
            assert!(is_about_right, "{eta} s were told, and {left} s were left of {}", end - begun);
        }
    }
    assert!(paced > held && held >= 3, "{paced} words of the time left, {held} of them in the second half");
    let half = told.iter().find(|event| bars(&event["data"])[0] >= 50.0).expect("it came to its half");
    let of_time = (moment(&half["at"]) - begun) / (end - begun);
    assert!((0.25..=0.75).contains(&of_time), "half of it was told after {of_time} of the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_of_real_documents_is_what_really_happened() {
    let embeddings = Embeddings::start().await;
    let setup = Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", KEY);
    let server = setup.start().await;
    let ada = server.user("ada").await;

    // With a model that answers at once: what all the rest takes on this machine.
    let quick = workspace(&ada, "Quick").await;
    let began = Instant::now();
    let told = told_of(&ada, &quick).await;
    let rest = began.elapsed().as_secs_f64();
    check_bars(&told);
    let passages = number(&told.last().expect("its end")["data"]["metrics"]["chunks_created"]);
    assert!(passages > 50.0, "{passages}");

    let slow = workspace(&ada, "Slow").await;
    let each = MODEL.max(rest * DEARER) / passages;
    embeddings.how.takes_each.store((each * 1e6) as usize, Ordering::SeqCst);
    let told = told_of(&ada, &slow).await;
    check_bars(&told);
    check_times(&told);
}
