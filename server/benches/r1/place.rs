//! The server and its data folder, killed and started again, and an account that steers work on it.

use crate::embedder;
use measure::{Failure, server::Server};
use reqwest::{Client as Http, Method, StatusCode, header::COOKIE};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// So long a start may take before it is one that hangs.
const START: Duration = Duration::from_secs(60);

pub struct Place {
    dir: TempDir,
    embedder: String,
    /// `None` while it is dead.
    server: Option<Server>,
    http: Http,
    cookie: String,
    workspace: String,
    pub kills: u64,
}

/// What came of a command.
#[derive(Debug)]
pub enum Answer {
    Taken,
    Refused(Value),
    /// The server died over it: it may have been done, or not.
    Unknown,
}

impl Place {
    pub async fn open(embedder: String) -> Result<Self, Failure> {
        let http = Http::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let dir = tempfile::tempdir()?;
        let (cookie, workspace) = Default::default();
        let mut place = Self { dir, embedder, server: None, http, cookie, workspace, kills: 0 };
        place.start().await?;
        let form = json!({ "username": "ada", "email": "ada@example.org", "password": "Correct1horse" });
        let made = place.http.post(place.url("/api/auth/signup")?).json(&form).send().await?;
        let cookies = made.headers().get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
        let mut pairs = cookies.filter_map(|cookie| cookie.split(';').next());
        let session = pairs.find(|pair| pair.contains("insighthub_session="));
        place.cookie = session.ok_or("the sign-up set no session")?.to_owned();
        let config = json!({ "embedding_model": embedder::MODEL });
        let saved = place.send(Method::PUT, "/api/auth/default-rag-config", Some(&config)).await?;
        if saved.0 != StatusCode::OK {
            return Err(format!("the model was refused: {}", saved.1).into());
        }
        Ok(place)
    }

    /// What comes now goes into a workspace of its own: one takes the vectors of passages that it has already.
    pub async fn new_workspace(&mut self, name: &str) -> Result<(), Failure> {
        let made = self.send(Method::POST, "/api/workspaces", Some(&json!({ "name": name }))).await?;
        self.workspace = made.1["id"].as_str().ok_or_else(|| format!("no workspace: {}", made.1))?.to_owned();
        let path = format!("/api/workspaces/{}", self.workspace);
        self.until("a workspace is ready", START, async |place| {
            Ok((place.read(&path).await?["status"] == "ready").then_some(()))
        })
        .await
    }

    pub async fn start(&mut self) -> Result<(), Failure> {
        let dir = self.dir.path().to_owned();
        let log = fs::File::options().create(true).append(true).open(dir.join("log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_insighthub"));
        command
            .arg("serve")
            .current_dir(&dir)
            .env("INSIGHTHUB_ADDR", "127.0.0.1:0")
            .env("INSIGHTHUB_DATA_DIR", &dir)
            .env("INSIGHTHUB_LOG", "warn")
            .env("EMBEDDINGS_URL", &self.embedder)
            .stderr(log);
        let starting = tokio::task::spawn_blocking(move || Server::start(&mut command));
        self.server = Some(tokio::time::timeout(START, starting).await.map_err(|_| "a start hangs")???);
        Ok(())
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        // Dropping it kills it, and waits for its end.
        self.server = None;
        self.kills += 1;
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("insighthub.db")
    }

    /// What the server complained of.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn url(&self, path: &str) -> Result<String, Failure> {
        let server = self.server.as_ref().ok_or("the server is down")?;
        Ok(format!("{}{path}", server.base))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Failure> {
        let request = self.http.request(method, self.url(path)?).header(COOKIE, &self.cookie);
        let request = body.into_iter().fold(request, |request, body| request.json(body));
        let answer = request.send().await?;
        let (status, bytes) = (answer.status(), answer.bytes().await?);
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    pub async fn read(&self, path: &str) -> Result<Value, Failure> {
        match self.send(Method::GET, path, None).await? {
            (StatusCode::OK, value) => Ok(value),
            (status, value) => Err(format!("{path}: {status}: {value}").into()),
        }
    }

    /// All pages of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let (mut all, mut after) = (vec![], String::new());
        let first = if path.contains('?') { '&' } else { '?' };
        loop {
            let mut page = self.read(&format!("{path}{first}limit=200{after}")).await?;
            match page["items"].take() {
                Value::Array(items) => all.extend(items),
                other => return Err(format!("{path}: {other} instead of items").into()),
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(all),
            }
        }
    }

    pub async fn command(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        told(self.send(Method::POST, path, Some(body)).await, path, body)
    }

    /// Gives a command, and kills the server so soon after that it may or may not have come to it.
    pub async fn command_and_kill(
        &mut self,
        path: &str,
        body: &Value,
        after: Duration,
    ) -> Result<Answer, Failure> {
        let request = self.http.post(self.url(path)?).header(COOKIE, &self.cookie).json(body);
        let sent = tokio::spawn(async move {
            let answer = request.send().await?;
            let (status, bytes) = (answer.status(), answer.bytes().await?);
            Ok::<_, reqwest::Error>((status, serde_json::from_slice(&bytes).unwrap_or_default()))
        });
        tokio::time::sleep(after).await;
        self.kill();
        told(sent.await?.map_err(Failure::from), path, body)
    }

    /// Uploads under a key; with `kill` the server dies so soon after that. Answers the job and its documents when it was
    /// told of them.
    pub async fn upload(
        &mut self,
        key: &str,
        files: &[(String, Vec<u8>)],
        kill: Option<Duration>,
    ) -> Result<Option<Value>, Failure> {
        let form = files.iter().fold(reqwest::multipart::Form::new(), |form, (name, bytes)| {
            let part = reqwest::multipart::Part::bytes(bytes.clone()).file_name(name.clone());
            form.part("file", part)
        });
        let path = self.url(&format!("/api/workspaces/{}/documents", self.workspace))?;
        let request = self.http.post(path).header(COOKIE, &self.cookie).header("idempotency-key", key);
        let sent = tokio::spawn(async move {
            let answer = request.multipart(form).send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.json::<Value>().await?))
        });
        if let Some(after) = kill {
            tokio::time::sleep(after).await;
            self.kill();
        }
        match sent.await? {
            Ok((StatusCode::ACCEPTED | StatusCode::OK, taken)) => Ok(Some(taken)),
            Ok((status, answer)) => Err(format!("an upload was answered {status}: {answer}").into()),
            Err(_) if kill.is_some() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits for something that has to come by itself.
    ///
    /// # Errors
    /// When it does not, or when the server cannot be asked.
    pub async fn until<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl AsyncFnMut(&Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            if began.elapsed() > within {
                return Err(format!("{what}: not within {within:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn told(sent: Result<(StatusCode, Value), Failure>, path: &str, body: &Value) -> Result<Answer, Failure> {
    match sent {
        Ok((StatusCode::ACCEPTED, _)) => Ok(Answer::Taken),
        Ok((StatusCode::CONFLICT, problem)) => Ok(Answer::Refused(problem)),
        Ok((status, answer)) => Err(format!("{path} {body}: {status}: {answer}").into()),
        Err(_) => Ok(Answer::Unknown),
    }
}
