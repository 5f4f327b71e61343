//! A rolling restart: all servers of an installation are stopped and started anew, one after the other, while people work.
//! No request fails, and no event is lost.

use crate::{
    broker::Installation,
    common::{Client, PATIENCE, Server, eventually, prose},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How long a server that is to stop still serves, at most: a second signal ends it when the balancer has noticed.
const DRAIN: &str = "600";
/// How often the balancer asks whether servers are ready.
const ASKED: Duration = Duration::from_millis(50);

/// A server as the balancer knows it.
#[derive(Clone)]
struct Backend {
    client: Client,
    /// Requests that it was chosen for and that are not answered.
    in_use: Arc<AtomicUsize>,
}

/// A server that was chosen for a request, until that is answered.
struct Picked(Backend);

impl Deref for Picked {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0.client
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What stands before the servers that serve people: sends each request to the next one that says it is ready.
#[derive(Clone)]
struct Balancer {
    all: Arc<Mutex<Vec<Backend>>>,
    ready: Arc<Mutex<Vec<Backend>>>,
    next: Arc<AtomicUsize>,
}

impl Balancer {
    fn start() -> (Self, AbortOnDropHandle<()>) {
        let balancer = Self { all: Arc::default(), ready: Arc::default(), next: Arc::default() };
        let asking = balancer.clone();
        let task = tokio::spawn(async move {
            loop {
                let all = asking.all.lock().expect("whole").clone();
                let mut ready = vec![];
                for server in all {
                    let answer = server.client.request("GET", "/health/ready").send().await;
                    if answer.is_ok_and(|answer| answer.status().is_success()) {
                        ready.push(server);
                    }
                }
                *asking.ready.lock().expect("whole") = ready;
                tokio::time::sleep(ASKED).await;
            }
        });
        (balancer, AbortOnDropHandle::new(task))
    }

    /// A connection for each request, as many a proxy has it.
    fn knows(&self, server: &Server) -> Arc<AtomicUsize> {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
        let client = Client { http, ..server.visitor() };
        let backend = Backend { client, in_use: Arc::default() };
        self.all.lock().expect("whole").push(backend.clone());
        backend.in_use
    }

    fn forgets(&self, server: &Server) {
        self.all.lock().expect("whole").retain(|backend| backend.client.base != server.base);
    }

    fn sends_to(&self, server: &Server) -> bool {
        self.ready.lock().expect("whole").iter().any(|backend| backend.client.base == server.base)
    }

    /// That person at a server that is ready.
    async fn pick(&self, person: &Client) -> Picked {
        let begun = Instant::now();
        loop {
            if let Some(mut backend) = self.choose() {
                backend.client.cookie = person.cookie.clone();
                return Picked(backend);
            }
            assert!(begun.elapsed() < PATIENCE, "no server is ready");
            tokio::time::sleep(ASKED).await;
        }
    }

    fn choose(&self) -> Option<Backend> {
        let ready = self.ready.lock().expect("whole");
        let turn = self.next.fetch_add(1, Ordering::SeqCst);
        let chosen = ready.get(turn % ready.len().max(1))?.clone();
        // While the list is locked: whoever is no longer in it is not chosen any more.
        chosen.in_use.fetch_add(1, Ordering::SeqCst);
        Some(chosen)
    }
}

/// What a page heard.
#[derive(Default)]
struct Heard {
    seqs: Vec<u64>,
    names: BTreeSet<String>,
    jobs_done: BTreeSet<String>,
    streams: usize,
}

/// A page: it has a stream open, and when that ends, one at another server, from where it was.
async fn page(balancer: Balancer, person: Client, heard: Arc<Mutex<Heard>>) {
    let (mut epoch, mut last) = (Value::Null, Value::Null);
    loop {
        let at = balancer.pick(&person).await;
        let mut socket = at.socket().await;
        // A server that is asked for something is not cut short.
        let welcome = socket.hello(epoch.clone(), last.clone()).await;
        drop(at);
        assert!(last.is_null() || welcome["resumed"] == true, "{welcome}");
        epoch = welcome["epoch"].clone();
        if last.is_null() {
            last = welcome["seq"].clone();
        }
        heard.lock().expect("whole").streams += 1;
        while let Some(event) = socket.event_or_end().await {
            last = event["seq"].clone();
            let mut heard = heard.lock().expect("whole");
            heard.seqs.push(last.as_u64().expect("a seq"));
            if let Some(name) = event["data"]["user"]["full_name"].as_str() {
                heard.names.insert(name.to_owned());
            }
            if event["event"] == "job_complete" {
                heard.jobs_done.insert(event["data"]["job_id"].as_str().expect("an id").to_owned());
            }
        }
    }
}

/// People at work: each change that is answered with 200 is one that must be heard of. Answers their number, and what failed.
async fn people(balancer: Balancer, person: Client, stop: CancellationToken) -> (usize, Vec<String>) {
    let (mut done, mut failed) = (0, vec![]);
    while !stop.is_cancelled() {
        let name = name(done);
        let at = balancer.pick(&person).await;
        let change = at.request("PATCH", "/api/auth/profile").json(&json!({ "full_name": name }));
        match change.send().await {
            Ok(answer) if answer.status() == 200 => done += 1,
            Ok(answer) => failed.push(format!("{name}: {}", answer.status())),
            Err(error) => failed.push(format!("{name}: {error:?}")),
        }
        let at = balancer.pick(&person).await;
        match at.request("GET", "/api/workspaces").send().await {
            Ok(answer) if answer.status() == 200 => {}
            Ok(answer) => failed.push(format!("read: {}", answer.status())),
            Err(error) => failed.push(format!("read: {error:?}")),
        }
    }
    (done, failed)
}

fn name(n: usize) -> String {
    format!("Ada {n}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_all_servers_under_load_fails_no_request_and_loses_no_event() {
    let installation = Installation::new().await;
    let start = async |role| installation.node_with(role, |s| s.env("INSIGHTHUB_DRAIN_SECONDS", DRAIN)).await;
    let mut webs = [start("web").await, start("web").await];
    let mut workers = [installation.node("worker").await, installation.node("worker").await];
    let (balancer, _asking) = Balancer::start();
    let mut in_use = [balancer.knows(&webs[0]), balancer.knows(&webs[1])];
    let both_ready = async |webs: &[Server; 2]| {
        let both = async || webs.iter().all(|web| balancer.sends_to(web)).then_some(());
        eventually("both are ready", both).await;
    };
    both_ready(&webs).await;
    let ada = webs[0].user("ada").await;
    let workspace = ada.first_workspace().await;
    let heard = Arc::new(Mutex::new(Heard::default()));
    let _page = AbortOnDropHandle::new(tokio::spawn(page(balancer.clone(), ada.clone(), heard.clone())));
    eventually("the page is open", async || (heard.lock().expect("whole").streams == 1).then_some(())).await;
    let stop = CancellationToken::new();
    let working = tokio::spawn(people(balancer.clone(), ada.clone(), stop.clone()));

    let mut jobs = BTreeSet::new();
    let bytes = prose(3, 60);
    let mut upload = async |round: usize| {
        let files: Vec<String> = (0..4).map(|n| format!("{round}-{n}.txt")).collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|name| (name.as_str(), &bytes[..])).collect();
        let answer = balancer.pick(&ada).await.upload(&workspace, &files).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        jobs.insert(answer.json()["job_id"].as_str().expect("an id").to_owned());
    };
    for round in 0..2 {
        // In the middle of this work.
        upload(round).await;
        let mut old = std::mem::replace(&mut workers[round], installation.node("worker").await);
        old.terminate();
        assert!(old.ended().await.success());

        webs[round].terminate();
        let left = async || {
            let used = balancer.sends_to(&webs[round]) || in_use[round].load(Ordering::SeqCst) > 0;
            (!used).then_some(())
        };
        eventually("the balancer sends nobody there any more", left).await;
        webs[round].terminate();
        assert!(webs[round].ended().await.success());
        balancer.forgets(&webs[round]);
        webs[round] = start("web").await;
        in_use[round] = balancer.knows(&webs[round]);
        both_ready(&webs).await;
    }
    stop.cancel();
    let (done, failed) = working.await.expect("joined");
    assert_eq!(failed, Vec::<String>::new(), "of {done}");
    assert!(done > 20, "{done}");
    eventually("the page heard of everything", async || {
        let heard = heard.lock().expect("whole");
        (heard.names.contains(&name(done - 1)) && heard.jobs_done.is_superset(&jobs)).then_some(())
    })
    .await;
    let heard = heard.lock().expect("whole");
    assert!(heard.seqs.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order: {:?}", heard.seqs);
    let missing: Vec<String> = (0..done).map(name).filter(|name| !heard.names.contains(name)).collect();
    assert_eq!(missing, Vec::<String>::new(), "of {done}");
    assert!(heard.streams > 1, "its server was stopped as well");
}
