//! The harness: starts servers and speaks to them as a browser or a script would. No expectations of its own beyond
//! "it answered".

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use server::adapters::SystemClock;
use services::ports::Clock;
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue},
};

/// A test that waits longer than this for a condition has failed.
pub const PATIENCE: Duration = Duration::from_secs(240);

pub const BINARY: &str = env!("CARGO_BIN_EXE_insighthub");

pub const PASSWORD: &str = "Correct1horse";

/// A running server. Killed when dropped; its log is shown when the test failed.
pub struct Server {
    child: Child,
    pub base: String,
    pub dir: Arc<TempDir>,
}

/// How a server is started.
pub struct Setup {
    dir: Arc<TempDir>,
    env: Vec<(&'static str, String)>,
    args: Vec<&'static str>,
}

impl Setup {
    pub fn new() -> Self {
        Self { dir: Arc::new(tempfile::tempdir().expect("a folder")), env: vec![], args: vec!["serve"] }
    }

    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    pub fn args(mut self, args: &[&'static str]) -> Self {
        self.args = args.to_vec();
        self
    }

    pub fn dir(mut self, dir: &Arc<TempDir>) -> Self {
        self.dir = dir.clone();
        self
    }

    /// The command with nothing of this process's settings but the way to the models.
    pub fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.args(&self.args).env_clear();
        for name in ["PATH", "HOME", "XDG_CACHE_HOME", "INSIGHTHUB_MODELS_DIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("INSIGHTHUB_ADDR", "127.0.0.1:0").env("INSIGHTHUB_DATA_DIR", self.dir.path());
        command.env("INSIGHTHUB_LOG", "info,server=debug,services=debug,ingest=debug,storage=debug");
        command.envs(self.env.iter().map(|(k, v)| (k, v))).current_dir(self.dir.path());
        command
    }

    pub async fn start(self) -> Server {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).expect("a log");
        let mut child = self.command().stdout(Stdio::piped()).stderr(log).spawn().expect("the server starts");
        let out = child.stdout.take().expect("standard output");
        let line = tokio::task::spawn_blocking(move || BufReader::new(out).lines().next());
        let line = tokio::time::timeout(PATIENCE, line).await.expect("a line in time").expect("read");
        let mut server = Server { child, base: String::new(), dir: self.dir };
        let Some(Ok(line)) = line else { panic!("the server ended at once: {:?}", server.child.wait()) };
        server.base = line.strip_prefix("listening on ").expect("an address").to_owned();
        server
    }
}

impl Server {
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// A client that nobody knows.
    pub fn visitor(&self) -> Client {
        server::install_cryptography();
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Client { http, base: self.base.clone(), cookie: None, key: None }
    }

    /// A client of a new account.
    pub async fn user(&self, name: &str) -> Client {
        let mut client = self.visitor();
        let answer = client.post("/api/auth/signup", sign_up(name)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        client.cookie = Some(answer.session_cookie().expect("a cookie"));
        client
    }

    /// Another browser that signs in to the account of that name.
    pub async fn sign_in(&self, name: &str, password: &str) -> Client {
        let mut client = self.visitor();
        let form = json!({ "email": format!("{name}@example.org"), "password": password });
        let answer = client.post("/api/auth/login", form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        client.cookie = Some(answer.session_cookie().expect("a cookie"));
        client
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Waits until it ended by itself.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        eventually("the server ends", async || self.child.try_wait().expect("asked")).await
    }

    /// How many stored files lie in a folder of that name, such as `documents` or `incoming`, whosever they are.
    pub fn files(&self, folder: &str) -> usize {
        self.all_files().iter().filter(|f| f.components().any(|part| part.as_os_str() == folder)).count()
    }

    /// All stored files, also what is half-written.
    pub fn all_files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = vec![];
        walk(&self.dir.path().join("files"), &mut found);
        found
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- the server's log ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

pub fn sign_up(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.org"), "password": PASSWORD })
}

/// A moment that is so many milliseconds away, as requests name it.
pub fn in_millis(millis: i64) -> String {
    SystemClock.now().plus_micros(millis * 1_000).to_string()
}

/// Asks again and again until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A browser, or a script, with at most one session.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
    /// `name=value`.
    pub cookie: Option<String>,
    /// An API key, sent as a Bearer token.
    pub key: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("visible characters"))
    }

    /// The problem, after checking what every problem has.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(self.status, status, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("urn:insighthub:problem:{code}"));
        for field in ["title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|t| !t.is_empty()), "{field}: {problem}");
        }
        assert_eq!(problem["correlation_id"], self.header("x-request-id"));
        problem
    }

    /// `name=value` of the session cookie that was set.
    pub fn session_cookie(&self) -> Option<String> {
        let set = self.headers.get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
        set.filter_map(|c| c.split(';').next()).find(|c| c.contains("insighthub_session=")).map(str::to_owned)
    }

    /// `name=value` of the mark that tells the browser at its next sign-in.
    pub fn device_cookie(&self) -> Option<String> {
        let set = self.headers.get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
        set.filter_map(|c| c.split(';').next()).find(|c| c.contains("insighthub_device=")).map(str::to_owned)
    }
}

impl Client {
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.base)).timeout(PATIENCE);
        let request = match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.expect("a body").to_vec() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// GET that has to succeed.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path).json(&body)).await
    }

    /// Makes an API key; answers the resource, with its secret.
    pub async fn new_key(&self, name: &str, scopes: &[&str]) -> Value {
        let answer = self.post("/api/auth/api-keys", json!({ "name": name, "scopes": scopes })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// A program that has this API key and no cookie.
    pub fn program(&self, key: &Value) -> Client {
        let secret = key["secret"].as_str().expect("a secret").to_owned();
        Client { cookie: None, key: Some(secret), ..self.clone() }
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("PATCH", path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    /// Id of the workspace that came with the account.
    pub async fn first_workspace(&self) -> String {
        let list = self.read("/api/workspaces").await;
        let last = list["items"].as_array().expect("items").last().expect("a workspace").clone();
        last["id"].as_str().expect("an id").to_owned()
    }

    pub async fn upload(&self, workspace: &str, files: &[(&str, &[u8])]) -> Answer {
        let path = format!("/api/workspaces/{workspace}/documents");
        self.send(self.request("POST", &path).multipart(form(files))).await
    }

    /// Uploads one file that has to be taken; answers the document's id.
    pub async fn upload_one(&self, workspace: &str, name: &str, bytes: &[u8]) -> String {
        let answer = self.upload(workspace, &[(name, bytes)]).await;
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["documents"][0]["document_id"].as_str().expect("an id").to_owned()
    }

    /// Waits until the document is through; answers it.
    pub async fn settled(&self, document: &str) -> Value {
        let path = format!("/api/documents/{document}");
        eventually("the document is ready or failed", async || {
            let document = self.read(&path).await;
            matches!(document["status"].as_str(), Some("ready" | "failed")).then_some(document)
        })
        .await
    }

    /// Opens the live socket with the client's cookie, as a page of the site would.
    pub async fn socket(&self) -> Socket {
        self.socket_with(&[("origin", &self.base)]).await.expect("the upgrade")
    }

    pub async fn socket_with(&self, headers: &[(&'static str, &str)]) -> Result<Socket, tungstenite::Error> {
        let host = self.base.trim_start_matches("http://");
        let mut request = format!("ws://{host}/api/status/ws").into_client_request().expect("a request");
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert("cookie", HeaderValue::from_str(cookie).expect("a header"));
        }
        if let Some(key) = &self.key {
            let value = HeaderValue::from_str(&format!("Bearer {key}")).expect("a header");
            request.headers_mut().insert("authorization", value);
        }
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        let stream = TcpStream::connect(host).await.expect("a connection");
        let (stream, _) = client_async(request, stream).await?;
        Ok(Socket { stream })
    }
}

pub fn form(files: &[(&str, &[u8])]) -> reqwest::multipart::Form {
    files.iter().fold(reqwest::multipart::Form::new(), |form, (name, bytes)| {
        let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name((*name).to_owned());
        form.part("file", part)
    })
}

/// The live socket, seen from the client.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    pub async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.stream.send(Message::binary(bytes)).await.expect("sent");
    }

    /// Says hello and answers the welcome.
    pub async fn hello(&mut self, epoch: Value, last_seq: Value) -> Value {
        self.send(json!({ "type": "hello", "epoch": epoch, "last_seq": last_seq })).await;
        let welcome = self.frame().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        welcome
    }

    async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("something in time");
        next.expect("the socket is open").expect("a message")
    }

    /// The next frame; pings are answered on the way.
    pub async fn frame(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if frame["type"] == "ping" {
                        self.send(json!({ "type": "pong" })).await;
                        continue;
                    }
                    return frame;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("instead of a frame: {other:?}"),
            }
        }
    }

    /// The next raw frame, pings included.
    pub async fn raw_frame(&mut self) -> Value {
        match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("instead of a frame: {other:?}"),
        }
    }

    /// Events up to the one that is asked for, that one included.
    pub async fn events_until(&mut self, mut last: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut seen = vec![];
        loop {
            let frame = self.frame().await;
            assert_eq!(frame["type"], "event", "{frame}");
            let found = last(&frame);
            seen.push(frame);
            if found {
                return seen;
            }
        }
    }

    /// Reads on until the server closes; answers its code.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.message().await {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Close(None) => return 1005,
                _ => {}
            }
        }
    }
}

/// A real document of the extraction tests.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = fixtures().join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/ingest/tests/documents")
}

/// Messages of one field of a problem.
pub fn messages(problem: &Value, field: &str) -> Vec<String> {
    let all = problem["errors"][field].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|m| m.as_str().map(str::to_owned)).collect()
}

/// Text of `words` words, with a paragraph now and then; each text differs by its seed.
pub fn prose(seed: usize, words: usize) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "the",
        "harbour",
        "river",
        "keeps",
        "a",
        "ledger",
        "of",
        "every",
        "lantern",
        "that",
        "crossed",
        "northern",
        "bridge",
        "while",
        "gulls",
        "slept",
        "upon",
        "quiet",
        "stones",
        "and",
        "merchants",
        "counted",
        "amber",
        "coins",
    ];
    let mut text = String::new();
    let mut state = seed as u64 * 2_654_435_761 + 12_345;
    for n in 0..words {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        text.push_str(if n % 120 == 119 {
            ".\n\n"
        } else if n % 12 == 11 {
            ". "
        } else {
            " "
        });
    }
    text.into_bytes()
}
