//! The harness: starts servers and speaks to them as a browser or a script would. No expectations of its own beyond
//! "it answered".

mod client;
mod files;
mod home;
mod socket;

pub use client::{Answer, Client, form_of, key_of, messages};
pub use files::{fixture, fixtures, form, prose};
pub use home::{Home, engine};
pub use socket::Socket;

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

/// A test that waits longer than this for a condition has failed.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// By when a stream has to have ended after what opened it: a session, a password, a key. That is before its next sign of
/// life is due and before a long poll is over, so it was ended, and did not end by itself. How soon it really is, `cargo
/// xtask bench s8` measures.
pub const AT_ONCE: Duration = Duration::from_secs(15);

/// By when an installation is back after what it needs was away. The goal is five seconds, and how soon it really was is printed;
/// this is for a machine that is busy.
pub const BACK: Duration = Duration::from_secs(30);

pub const BINARY: &str = env!("CARGO_BIN_EXE_insighthub");

pub const PASSWORD: &str = "Correct1horse";

/// A running server. Killed when dropped; its log is shown when the test failed.
pub struct Server {
    child: Child,
    pub base: String,
    pub dir: Arc<Home>,
}

/// How a server is started.
pub struct Setup {
    program: PathBuf,
    dir: Arc<Home>,
    env: Vec<(&'static str, String)>,
    args: Vec<&'static str>,
    longest_file: Option<u64>,
    /// Whether the first server finds its tables.
    furnished: bool,
}

impl Setup {
    pub fn new() -> Self {
        Self {
            program: BINARY.into(),
            dir: Home::new(),
            env: vec![],
            args: vec!["serve"],
            longest_file: None,
            furnished: true,
        }
    }

    /// Runs a copy of the program, with what lies in that folder beside it.
    pub fn executable_in(mut self, dir: &Path) -> Self {
        self.program = dir.join("insighthub");
        std::fs::copy(BINARY, &self.program).expect("copied");
        self
    }

    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    pub fn args(mut self, args: &[&'static str]) -> Self {
        self.args = args.to_vec();
        self
    }

    /// No file of the server may become longer than this: what a full disk does to an upload, a limit does, too.
    pub fn longest_file(mut self, bytes: u64) -> Self {
        self.longest_file = Some(bytes);
        self
    }

    /// The server finds an empty folder, as a newcomer's does, and makes its tables itself.
    pub fn in_an_empty_folder(mut self) -> Self {
        self.furnished = false;
        self
    }

    /// On what that installation keeps.
    pub fn dir(mut self, dir: &Arc<Home>) -> Self {
        self.dir = dir.clone();
        self
    }

    /// The command with nothing of this process's settings but the way to the models.
    pub fn command(&self) -> Command {
        let mut command = match self.longest_file {
            None => Command::new(&self.program),
            Some(bytes) => {
                let mut shell = Command::new("sh");
                // POSIX counts in blocks of 512 bytes.
                let script = format!("ulimit -f {} && exec \"$0\" \"$@\"", bytes / 512);
                shell.args(["-c", &script]).arg(&self.program);
                shell
            }
        };
        command.args(&self.args).env_clear();
        for name in ["PATH", "HOME", "XDG_CACHE_HOME", "INSIGHTHUB_MODELS_DIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("INSIGHTHUB_ADDR", "127.0.0.1:0").env("INSIGHTHUB_DATA_DIR", self.dir.path());
        command.env("INSIGHTHUB_LOG", "info,server=debug,services=debug,ingest=debug,storage=debug");
        if !self.names_a_database()
            && let Some(url) = self.dir.database_url()
        {
            command.env("DATABASE_URL", url);
        }
        command.envs(self.env.iter().map(|(k, v)| (k, v))).current_dir(self.dir.path());
        command
    }

    fn names_a_database(&self) -> bool {
        self.env.iter().any(|(name, _)| *name == "DATABASE_URL")
    }

    pub async fn start(self) -> Server {
        if self.furnished && !self.names_a_database() {
            self.dir.furnish().await;
        }
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
        // What is sent is looked at as it comes, packed or not.
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_gzip().no_brotli();
        // Nothing here is asked with `https`, and a client that trusts whom the system trusts reads hundreds of files first.
        let http = http.tls_certs_only([]).build().expect("a client");
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

    /// All stored files, also what is half-written. What begins with a dot is the store's own.
    pub fn all_files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, found);
                } else if !entry.file_name().to_string_lossy().starts_with('.') {
                    found.push(path);
                }
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
pub async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask).await
}

/// The same where it has to come soon.
pub async fn within<T>(limit: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"))
}
