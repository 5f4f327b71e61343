//! Changes that are asked for over HTTP: reports of an outside worker on our side, the same words to the peer's server.

use crate::{servers::Server, wire::Side};
use measure::Failure;
use reqwest::{Client, RequestBuilder, multipart};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Somebody who is signed in, or a worker with a key.
pub struct Rest {
    http: Client,
    base: String,
    /// Sent as a Bearer token.
    key: String,
    /// Of ours: the workspace of the documents.
    pub workspace: String,
    documents: Vec<Document>,
}

/// Where a document's reports go. They are sent one after the other, since each turns its status around.
struct Document {
    path: String,
    turn: Mutex<()>,
}

impl Document {
    fn at(path: String) -> Self {
        Self { path, turn: Mutex::new(()) }
    }
}

impl Rest {
    /// A worker with so many documents, all of which it has begun.
    pub async fn worker(server: &Server, documents: usize) -> Result<Self, Failure> {
        let http = Client::builder().no_proxy().no_gzip().no_brotli().build()?;
        let base = format!("http://{}", server.addr);
        let token = server.tokens.first().ok_or("nobody is signed in")?.clone();
        let mut worker = Self { http, base, key: token, workspace: String::new(), documents: vec![] };
        match server.side {
            Side::Peer => {
                worker.documents = (0..documents).map(|n| Document::at(format!("/changes/{n}"))).collect()
            }
            Side::Ours => worker.set_up(documents).await?,
        }
        Ok(worker)
    }

    async fn set_up(&mut self, documents: usize) -> Result<(), Failure> {
        let session = std::mem::take(&mut self.key);
        let cookie = format!("insighthub_session={session}");
        let post = |path: &str| self.http.post(format!("{}{path}", self.base)).header("cookie", &cookie);
        let outside = json!({ "name": "Outside", "processor": "external" });
        let workspace = answered(post("/api/workspaces").json(&outside)).await?;
        self.workspace = text(&workspace["id"])?;
        let form = (0..documents).fold(multipart::Form::new(), |form, n| {
            let part = multipart::Part::text(format!("Document {n}.")).file_name(format!("{n}.txt"));
            form.part("file", part)
        });
        let upload = post(&format!("/api/workspaces/{}/documents", self.workspace)).multipart(form);
        let uploaded = answered(upload).await?;
        let ids = uploaded["documents"].as_array().ok_or("no documents")?.iter();
        let paths =
            ids.map(|d| Ok(Document::at(format!("/api/status/documents/{}", text(&d["document_id"])?))));
        let paths = paths.collect::<Result<Vec<_>, Failure>>()?;
        let key = json!({ "name": "bench", "scopes": ["status:write"] });
        let key = answered(post("/api/auth/api-keys").json(&key)).await?;
        self.key = text(&key["secret"])?;
        self.documents = paths;
        for document in &self.documents {
            answered(self.post(&document.path).json(&json!({ "status": "processing" }))).await?;
        }
        Ok(())
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.key)
    }

    /// Makes the n-th change, in turn of one document after the other: it is given back, or begun again.
    pub async fn report(&self, n: u64) -> Result<(), Failure> {
        let documents = self.documents.len() as u64;
        let document = &self.documents[(n % documents) as usize];
        let status = if (n / documents).is_multiple_of(2) { "pending" } else { "processing" };
        let report = json!({ "status": status, "metadata": { "change": n } });
        let _turn = document.turn.lock().await;
        answered(self.post(&document.path).json(&report)).await.map(drop)
    }

    /// Tells of the n-th document what is said.
    pub async fn tell(&self, n: usize, report: &Value) -> Result<(), Failure> {
        let document = self.documents.get(n).ok_or("there is no such document")?;
        answered(self.post(&document.path).json(report)).await.map(drop)
    }

    /// Changes something that every browser of a person is told of.
    pub async fn rename(server: &Server, http: &Client, token: &str) -> Result<(), Failure> {
        let request = http.patch(format!("http://{}/api/auth/profile", server.addr));
        let request = request.header("cookie", format!("insighthub_session={token}"));
        answered(request.json(&json!({ "full_name": "Somebody Else" }))).await.map(drop)
    }
}

async fn answered(request: RequestBuilder) -> Result<Value, Failure> {
    let answer = request.send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(serde_json::from_slice(&body)?)
}

fn text(value: &Value) -> Result<String, Failure> {
    Ok(value.as_str().ok_or("an answer lacks a text")?.to_owned())
}
