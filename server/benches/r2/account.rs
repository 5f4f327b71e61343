//! An account: what is changed in it over the public interface, what that says of it, and whether a client shows it.

use crate::place::Place;
use domain::{Document, Job, User, Workspace, pages::Since, reducer::Store, resource::Page};
use measure::{Failure, dice::Dice};
use reqwest::{Client as Http, Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

const DESK: usize = 8;
/// Between two changes of one writer.
const PAUSE: Duration = Duration::from_millis(8);
const RETRY: Duration = Duration::from_millis(20);
/// Requests of the set-up at a time.
const AT_ONCE: usize = 8;

pub struct Account {
    pub name: String,
    pub cookie: String,
    http: Http,
    place: Place,
    /// A workspace with documents whose worker reports one step after the other.
    desk: String,
    documents: Vec<String>,
    /// A workspace with many documents, which are all told again when its processor changes.
    crowd: String,
    may_write: watch::Sender<bool>,
    dice: Mutex<Dice>,
}

/// What the server has.
pub struct Truth {
    pub since: Since,
    user: User,
    workspaces: Vec<Workspace>,
    documents: Vec<Document>,
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Changes {
    epoch: domain::Epoch,
    seq: u64,
}

impl Account {
    pub async fn new(place: &Place, n: usize, crowd: usize, dice: Dice) -> Result<Arc<Self>, Failure> {
        let name = format!("ada{n}");
        let http = Http::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let form =
            json!({ "username": name, "email": format!("{name}@example.org"), "password": "Correct1horse" });
        let made = http.post(format!("{}/api/auth/signup", place.base().await)).json(&form).send().await?;
        let cookies = made.headers().get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
        let cookie = cookies.filter_map(|c| c.split(';').next()).find(|c| c.contains("insighthub_session="));
        let cookie = cookie.ok_or("the sign-up set no session")?.to_owned();
        let mut account = Self {
            name,
            cookie,
            http,
            place: place.clone(),
            desk: String::new(),
            documents: vec![],
            crowd: String::new(),
            may_write: watch::channel(true).0,
            dice: Mutex::new(dice),
        };
        (account.desk, account.documents) = account.workspace("Desk", DESK).await?;
        let documents;
        (account.crowd, documents) = account.workspace("Crowd", crowd).await?;
        for some in documents.chunks(AT_ONCE) {
            let ready = some.iter().map(|id| account.make_ready(id));
            futures::future::try_join_all(ready).await?;
        }
        Ok(Arc::new(account))
    }

    /// An external workspace with so many documents.
    async fn workspace(&self, name: &str, documents: usize) -> Result<(String, Vec<String>), Failure> {
        let form = json!({ "name": name, "processor": "external" });
        let made = self.send(Method::POST, "/api/workspaces", Some(form)).await?.1;
        let id = made["id"].as_str().ok_or("a workspace without an id")?.to_owned();
        let mut form = reqwest::multipart::Form::new();
        for n in 0..documents {
            let file = reqwest::multipart::Part::bytes(format!("Text {n} of {name}.").into_bytes());
            form = form.part("file", file.file_name(format!("{n}.txt")));
        }
        let path = format!("{}/api/workspaces/{id}/documents", self.place.base().await);
        let taken = self.http.post(path).header("cookie", &self.cookie).multipart(form).send().await?;
        let taken: Value = taken.error_for_status()?.json().await?;
        let all = taken["documents"].as_array().ok_or("no documents")?;
        let ids: Vec<String> =
            all.iter().filter_map(|d| d["document_id"].as_str()).map(str::to_owned).collect();
        if ids.len() == documents { Ok((id, ids)) } else { Err("not all files were taken".into()) }
    }

    async fn make_ready(&self, document: &str) -> Result<(), Failure> {
        for status in ["processing", "ready"] {
            let path = format!("/api/status/documents/{document}");
            let (status, answer) = self.send(Method::POST, &path, Some(json!({ "status": status }))).await?;
            if status != StatusCode::OK {
                return Err(format!("a report was refused: {answer}").into());
            }
        }
        Ok(())
    }

    /// Asks once; an error is a server that is not there.
    async fn try_send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Failure> {
        let url = format!("{}{path}", self.place.base().await);
        let request = self.http.request(method.clone(), url).header("cookie", &self.cookie);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), Failure> {
        self.try_send(&method, path, body.as_ref()).await
    }

    /// Reads, and asks again while the server restarts.
    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        loop {
            match self.try_send(&Method::GET, path, None).await {
                Ok((StatusCode::OK, value)) => return Ok(serde_json::from_value(value)?),
                Ok((status, value)) if !status.is_server_error() => {
                    return Err(format!("{path}: {status}: {value}").into());
                }
                _ => tokio::time::sleep(RETRY).await,
            }
        }
    }

    async fn pages<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let (mut all, mut after) = (vec![], None::<String>);
        loop {
            let cursor = after.map(|after| format!("&after={after}")).unwrap_or_default();
            let page: Page<T> = self.read(&format!("{path}?limit=200{cursor}")).await?;
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Up to where the log goes.
    pub async fn head(&self) -> Result<Since, Failure> {
        let Changes { epoch, seq } = self.read("/api/status/changes").await?;
        Ok(Since { epoch, seq })
    }

    /// All that the server has, at one moment.
    pub async fn truth(&self) -> Result<Truth, Failure> {
        loop {
            let since = self.head().await?;
            let truth = self.read_all(since.clone()).await?;
            if self.head().await? == since {
                return Ok(truth);
            }
        }
    }

    async fn read_all(&self, since: Since) -> Result<Truth, Failure> {
        let workspaces: Vec<Workspace> = self.pages("/api/workspaces").await?;
        let mut documents = vec![];
        for workspace in &workspaces {
            let path = format!("/api/workspaces/{}/documents", workspace.id);
            // One that was deleted meanwhile has none.
            match self.pages(&path).await {
                Ok(some) => documents.extend(some),
                Err(e) if e.to_string().contains("404") => {}
                Err(e) => return Err(e),
            }
        }
        let (jobs, user) = (self.pages("/api/jobs").await?, self.read("/api/auth/me").await?);
        Ok(Truth { since, user, workspaces, documents, jobs })
    }

    /// What a page is drawn with.
    pub async fn read_anew(&self) -> Result<Store, Failure> {
        let read = self.read_all(self.head().await?).await?;
        let mut store = Store::default();
        for workspace in &read.workspaces {
            store.put_workspace(workspace);
        }
        for document in &read.documents {
            store.put_document(document);
        }
        for job in &read.jobs {
            store.put_job(job);
        }
        Ok(store)
    }

    pub fn let_write(&self, may: bool) {
        self.may_write.send_replace(may);
    }

    /// Changes one thing after the other, for as long as it may.
    pub fn write_on(self: Arc<Self>) {
        tokio::spawn(async move {
            let mut may = self.may_write.subscribe();
            let mut n = 0;
            while may.wait_for(|may| *may).await.is_ok() {
                n += 1;
                // While the server is away, nothing is changed.
                let _ = self.change(n).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    async fn change(&self, n: u64) -> Result<(), Failure> {
        let (kind, which) = {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            (dice.below(20), dice.below(DESK as u64) as usize)
        };
        match kind {
            0..=11 => {
                let path = format!("/api/status/documents/{}", self.documents[which]);
                let step = format!("step_{}", n % 5);
                // A step says the same each time: other words about one that goes on are told at most twice a second,
                // and the last ones with the next change, which is no matter of links.
                let body = json!({ "status": "processing", "step": step, "message": format!("At {step}") });
                self.send(Method::POST, &path, Some(body)).await?;
            }
            12..=15 => {
                let path = format!("/api/workspaces/{}", self.desk);
                self.send(Method::PATCH, &path, Some(json!({ "name": format!("Desk {n}") }))).await?;
            }
            16..=18 => {
                let body = json!({ "full_name": format!("Ada {n}") });
                self.send(Method::PATCH, "/api/auth/profile", Some(body)).await?;
            }
            _ => {
                let body = json!({ "name": format!("Passing {n}"), "processor": "external" });
                let made = self.send(Method::POST, "/api/workspaces", Some(body)).await?.1;
                if let Some(id) = made["id"].as_str() {
                    self.send(Method::DELETE, &format!("/api/workspaces/{id}"), None).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells at least so many events: each change of the processor makes all documents of the crowd stale, or not.
    pub async fn tell_the_crowd(&self, events: usize) -> Result<(), Failure> {
        let path = format!("/api/workspaces/{}", self.crowd);
        let begin = self.head().await?.seq;
        while self.head().await?.seq < begin + events as u64 {
            for processor in ["builtin", "external"] {
                let body = json!({ "processor": processor });
                let (status, answer) = self.send(Method::PATCH, &path, Some(body)).await?;
                if status != StatusCode::OK {
                    return Err(format!("the processor could not be changed: {answer}").into());
                }
            }
        }
        Ok(())
    }
}

/// What a client shows otherwise than it is; `None` when it tells the truth.
pub fn difference(shown: &Store, truth: &Truth) -> Option<String> {
    if let Some(user) = shown.user().filter(|user| **user != truth.user) {
        return Some(format!("the account: {user:?} instead of {:?}", truth.user));
    }
    let counts = (shown.workspaces().count(), shown.documents().count());
    if counts != (truth.workspaces.len(), truth.documents.len()) {
        let wanted = (truth.workspaces.len(), truth.documents.len());
        let missing: Vec<_> =
            truth.workspaces.iter().filter(|wanted| shown.workspace(wanted.id).is_none()).collect();
        return Some(format!(
            "{counts:?} workspaces and documents instead of {wanted:?}; without {missing:?}"
        ));
    }
    for wanted in &truth.workspaces {
        match shown.workspace(wanted.id) {
            Some(workspace) if workspace == wanted => {}
            other => return Some(format!("a workspace: {other:?} instead of {wanted:?}")),
        }
    }
    for wanted in &truth.documents {
        // The row of a document in progress takes its last words from its newest step, which say nothing of these.
        let document = shown.live_document(wanted.id).map(|document| Document {
            rev: wanted.rev,
            updated_at: wanted.updated_at,
            ..document
        });
        let newest = shown.steps(wanted.id).iter().map(|step| step.rev).max();
        let rev = shown.document(wanted.id).map(|d| d.rev).max(newest);
        if document.as_ref() != Some(wanted) || rev != Some(wanted.rev) {
            return Some(format!("a document: rev {rev:?}, {document:?} instead of {wanted:?}"));
        }
    }
    for wanted in &truth.jobs {
        match shown.job(wanted.job_id) {
            Some(job) if job == wanted => {}
            other => return Some(format!("a job: {other:?} instead of {wanted:?}")),
        }
    }
    None
}
