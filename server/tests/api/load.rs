//! People at work while something that an installation stands on is taken away: one changes a name again and again, one
//! uploads, and a page looks on. Whatever is refused is sent again as it was, so that in the end all of it has to be there, and
//! nothing of it twice.

use crate::common::{BACK, Client, PATIENCE, eventually, form, prose, within};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Before something that was refused is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// Between two uploads.
const PAUSE: Duration = Duration::from_millis(400);
/// Files of an upload.
const FILES: usize = 2;

/// What the page heard.
#[derive(Default)]
struct Heard {
    seqs: Vec<u64>,
    names: BTreeSet<String>,
    jobs: BTreeSet<String>,
}

#[derive(Default)]
struct Told {
    heard: Mutex<Heard>,
    /// The page has its first stream.
    is_open: AtomicBool,
    /// Names that were taken, one after the other.
    names: AtomicUsize,
    /// Jobs of uploads that were taken, with their documents.
    jobs: Mutex<BTreeMap<String, Vec<String>>>,
    /// Requests that were refused as they should be.
    refused: AtomicUsize,
    /// What should not have been answered.
    wrong: Mutex<Vec<String>>,
}

impl Told {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("whole")
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.jobs.lock().expect("whole")
    }

    fn goes_wrong(&self, what: String) {
        self.wrong.lock().expect("whole").push(what);
    }

    /// The answer when it was done; `None` when it was not, and is to be sent again.
    async fn asked(&self, request: RequestBuilder) -> Option<Value> {
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let body: Value = answer.json().await.unwrap_or_default();
                match status {
                    200 | 202 => return Some(body),
                    503 if body["code"] == "unavailable" => {
                        self.refused.fetch_add(1, Ordering::SeqCst);
                    }
                    _ => self.goes_wrong(format!("{status}: {body}")),
                }
            }
            Err(error) => self.goes_wrong(format!("{error:?}")),
        }
        tokio::time::sleep(AGAIN).await;
        None
    }
}

pub struct Load {
    /// The person at each of the servers.
    at: Vec<Client>,
    workspace: String,
    told: Arc<Told>,
    stop: CancellationToken,
    changing: JoinHandle<()>,
    sending: JoinHandle<()>,
    _page: AbortOnDropHandle<()>,
}

impl Load {
    /// The person's requests go to these servers by turns; the page is at the first one.
    pub async fn start(at: Vec<Client>) -> Self {
        let workspace = at[0].first_workspace().await;
        let (told, stop) = (Arc::new(Told::default()), CancellationToken::new());
        let page = tokio::spawn(page(at[0].clone(), told.clone()));
        // Of what was changed before, a page that has just come hears nothing.
        eventually("the page is open", async || told.is_open.load(Ordering::SeqCst).then_some(())).await;
        let changing = tokio::spawn(change(at.clone(), told.clone(), stop.clone()));
        let sending = tokio::spawn(send(at.clone(), workspace.clone(), told.clone(), stop.clone()));
        let load = Self { at, workspace, told, stop, changing, sending, _page: AbortOnDropHandle::new(page) };
        eventually("the page hears of changes and of finished jobs", async || {
            let heard = load.told.heard();
            (heard.names.len() > 10 && !heard.jobs.is_empty()).then_some(())
        })
        .await;
        load
    }

    /// How many requests were refused so far.
    pub fn refused(&self) -> usize {
        self.told.refused.load(Ordering::SeqCst)
    }

    /// How many changes were made so far.
    pub fn changes(&self) -> usize {
        self.told.names.load(Ordering::SeqCst)
    }

    /// All is well again: what is done from now on is seen. Says how soon.
    pub async fn is_live_again(&self) {
        // The one in hand may have been made before.
        let (next, begun) = (name(self.changes() + 1), Instant::now());
        within(BACK, "pages are live again", async || self.told.heard().names.contains(&next).then_some(()))
            .await;
        println!("R6: pages were live again after {:?}", begun.elapsed());
    }

    /// Stops, and looks whether everything is there that was taken.
    pub async fn end(self) {
        let Self { at, workspace, told, stop, changing, sending, _page } = self;
        stop.cancel();
        let begun = async { (changing.await.expect("joined"), sending.await.expect("joined")) };
        let seen_through = tokio::time::timeout(PATIENCE, begun).await.is_ok();
        assert_eq!(*told.wrong.lock().expect("whole"), Vec::<String>::new());
        assert!(seen_through, "what was begun is refused again and again");
        let names: BTreeSet<String> = (0..told.names.load(Ordering::SeqCst)).map(name).collect();
        let jobs = told.jobs().clone();
        let heard_of_all = async {
            loop {
                {
                    let heard = told.heard();
                    if heard.names.is_superset(&names) && jobs.keys().all(|job| heard.jobs.contains(job)) {
                        return;
                    }
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        if tokio::time::timeout(PATIENCE, heard_of_all).await.is_err() {
            // What the database has of it says whether the work stands still, or the page was not told.
            let (mut missing, unheard) = (vec![], told.heard().jobs.clone());
            for (job, documents) in jobs.iter().filter(|(job, _)| !unheard.contains(*job)) {
                missing.push(at[0].read(&format!("/api/jobs/{job}")).await);
                for document in documents {
                    missing.push(at[0].read(&format!("/api/documents/{document}")).await);
                }
            }
            let heard = told.heard();
            let names: Vec<&String> = names.difference(&heard.names).collect();
            let holes: Vec<&[u64]> = heard.seqs.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
            panic!("the page did not hear of everything: {names:?}, holes {holes:?}, {missing:#?}");
        }
        let seqs = told.heard().seqs.clone();
        assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order: {seqs:?}");

        let (ada, sent) = (&at[0], jobs.len() * FILES);
        let counts = ada.read(&format!("/api/workspaces/{workspace}")).await["counts"].clone();
        assert_eq!((&counts["documents"], &counts["ready"]), (&json!(sent), &json!(sent)), "of {jobs:?}");
        // All files are the same.
        let mut first: Option<Vec<Value>> = None;
        for (job, documents) in &jobs {
            let found = ada.read(&format!("/api/jobs/{job}")).await;
            let done = (&found["status"], &found["metrics"]["documents_done"]);
            assert_eq!(done, (&json!("completed"), &json!(FILES)), "{found}");
            for document in documents {
                let found = ada.read(&format!("/api/documents/{document}")).await;
                let chunks = ada.read(&format!("/api/documents/{document}/chunks?limit=200")).await;
                let chunks = chunks["items"].as_array().expect("items");
                let texts: Vec<Value> = chunks.iter().map(|chunk| chunk["text"].clone()).collect();
                assert_eq!(found["chunk_count"], texts.len(), "{found}");
                match &first {
                    Some(first) => assert_eq!(&texts, first, "{found}"),
                    None => first = Some(texts),
                }
            }
        }
        assert!(first.is_some_and(|texts| !texts.is_empty()), "there was nothing to be done");
    }
}

fn name(n: usize) -> String {
    format!("Ada {n}")
}

/// What was begun is seen through, however often it is refused.
async fn change(at: Vec<Client>, told: Arc<Told>, stop: CancellationToken) {
    let mut clients = at.iter().cycle();
    while !stop.is_cancelled() {
        let form = json!({ "full_name": name(told.names.load(Ordering::SeqCst)) });
        for client in clients.by_ref() {
            if told.asked(client.request("PATCH", "/api/auth/profile").json(&form)).await.is_some() {
                break;
            }
        }
        told.names.fetch_add(1, Ordering::SeqCst);
    }
}

async fn send(at: Vec<Client>, workspace: String, told: Arc<Told>, stop: CancellationToken) {
    let path = format!("/api/workspaces/{workspace}/documents");
    let bytes = prose(3, 400);
    let (mut clients, mut n) = (at.iter().cycle(), 0);
    while !stop.is_cancelled() {
        let names: Vec<String> = (0..FILES).map(|file| format!("{n}-{file}.txt")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &bytes[..])).collect();
        let key = format!("load-{n}");
        for client in clients.by_ref() {
            let request = client.request("POST", &path).header("idempotency-key", &key);
            let Some(taken) = told.asked(request.multipart(form(&files))).await else { continue };
            let documents = taken["documents"].as_array().expect("documents").iter();
            let documents = documents.map(|d| d["document_id"].as_str().expect("an id").to_owned());
            let job = taken["job_id"].as_str().expect("an id").to_owned();
            told.jobs().insert(job, documents.collect());
            break;
        }
        n += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// A page: it has a stream open, and when that ends, another one from where it was.
async fn page(client: Client, told: Arc<Told>) {
    let (mut epoch, mut last) = (Value::Null, Value::Null);
    loop {
        let opened = match client.socket_with(&[("origin", &client.base)]).await {
            Ok(mut socket) => {
                let welcome = socket.hello_or_end(epoch.clone(), last.clone()).await;
                welcome.map(|welcome| (socket, welcome))
            }
            // Refused while the session cannot be looked up.
            Err(_) => None,
        };
        let Some((mut socket, welcome)) = opened else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        if !last.is_null() && welcome["resumed"] != true {
            told.goes_wrong(format!("the page could not go on where it was: {welcome}"));
            return;
        }
        epoch = welcome["epoch"].clone();
        if last.is_null() {
            last = welcome["seq"].clone();
            told.is_open.store(true, Ordering::SeqCst);
        }
        while let Some(event) = socket.event_or_end().await {
            last = event["seq"].clone();
            let mut heard = told.heard();
            heard.seqs.push(last.as_u64().expect("a seq"));
            if let Some(name) = event["data"]["user"]["full_name"].as_str() {
                heard.names.insert(name.to_owned());
            }
            if event["event"] == "job_complete" {
                heard.jobs.insert(event["data"]["job_id"].as_str().expect("an id").to_owned());
            }
        }
    }
}
