//! The server, or several of them, and their data folder, killed and started again, and an account that steers work there.

use crate::{
    embedder,
    several::{Installation, ROLES, serve},
};
use measure::{Failure, dice::Dice, server::Server};
use reqwest::{Client as Http, Method, StatusCode, header::COOKIE};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection};
use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// So long a start may take before it is one that hangs.
const START: Duration = Duration::from_secs(60);

pub struct Place {
    dir: TempDir,
    embedder: String,
    /// Where there are several servers.
    installation: Option<Installation>,
    nodes: Vec<Node>,
    /// Requests so far, which go to those that serve people in turn.
    asked: AtomicUsize,
    /// Decides which one is killed.
    dice: Dice,
    http: Http,
    cookie: String,
    workspace: String,
    pub kills: u64,
    /// So many times as long as something may take it is waited for.
    pub slack: u32,
}

struct Node {
    role: &'static str,
    /// `None` while it is dead.
    server: Option<Server>,
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
    pub async fn open(
        embedder: String,
        installation: Option<Installation>,
        slack: u32,
    ) -> Result<Self, Failure> {
        sqlx::any::install_default_drivers();
        let roles: &[&'static str] = if installation.is_some() { &ROLES } else { &["all"] };
        let mut place = Self {
            dir: tempfile::tempdir()?,
            embedder,
            installation,
            nodes: roles.iter().map(|&role| Node { role, server: None }).collect(),
            asked: AtomicUsize::new(0),
            dice: Dice::new(0),
            http: Http::builder().no_proxy().timeout(Duration::from_secs(60)).build()?,
            cookie: String::new(),
            workspace: String::new(),
            kills: 0,
            slack,
        };
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

    /// From here on the seed decides which server is killed. Not by the dice of the course, whose throws are the same however
    /// many servers there are.
    pub fn set_out(&mut self, seed: u64) {
        self.dice = Dice::new(seed);
    }

    /// Starts all that are dead.
    pub async fn start(&mut self) -> Result<(), Failure> {
        let mut starting = vec![];
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.server.is_none()) {
            let mut command = self.command_line(node.role)?;
            starting.push(async move {
                let started = tokio::task::spawn_blocking(move || Server::start(&mut command));
                let server = tokio::time::timeout(START, started).await.map_err(|_| "a start hangs")???;
                Ok::<_, Failure>((n, server))
            });
        }
        for (n, server) in futures::future::try_join_all(starting).await? {
            self.nodes[n].server = Some(server);
        }
        Ok(())
    }

    fn command_line(&self, role: &str) -> Result<Command, Failure> {
        let mut command = serve(self.dir.path(), role, self.installation.as_ref())?;
        command.env("EMBEDDINGS_URL", &self.embedder);
        Ok(command)
    }

    /// As a power cut would: any one of them.
    pub fn kill(&mut self) {
        let n = self.dice.below(self.nodes.len() as u64) as usize;
        // Dropping it kills it, and waits for its end.
        self.nodes[n].server = None;
        self.kills += 1;
    }

    /// To look at what is there.
    pub async fn database(&self) -> Result<AnyConnection, Failure> {
        let url = match &self.installation {
            Some(installation) => installation.url()?,
            None => format!("sqlite:{}?mode=ro", self.dir.path().join("insighthub.db").display()),
        };
        Ok(AnyConnection::connect(&url).await?)
    }

    /// What the servers complained of.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn url(&self, path: &str) -> Result<String, Failure> {
        let serving = self.nodes.iter().filter(|node| node.role != "worker");
        let up: Vec<&Server> = serving.filter_map(|node| node.server.as_ref()).collect();
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let server = up.get(turn % up.len().max(1)).ok_or("the server is down")?;
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
