//! R8: how soon a job that embeds a long text does what it is told. In turn it is paused and resumed, or cancelled: the
//! time of each answer (`R8-answer`), and from the request until the work has stopped, as everybody sees it (`R8-stop`).
//! After a resume the text has to become ready with each passage embedded once; what the model was asked for twice is the
//! unit that was in hand, and at most that (`R8-repeated`, in passages; a unit has at most 64).
//!
//!     cargo bench -p server --bench r8 [-- --rounds N | --smoke]
//!
//! The slowest round counts. The model is a server of this program's, which counts what it is asked for.

#[path = "r1/embedder.rs"]
mod embedder;
mod fresh;

use embedder::{Embedder, MODEL};
use measure::{Asked, Failure, dice::Dice, report, server::Server, stats::Ratio};
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use std::{
    fmt::Write,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Milliseconds.
const ANSWER: f64 = 250.0;
const STOP: f64 = 2_000.0;
/// Passages of a unit.
const UNIT: f64 = 64.0;
const WORDS: usize = 60_000;
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(measured(asked)))
}

#[derive(Default)]
struct Found {
    answers: Vec<f64>,
    stops: Vec<f64>,
    repeated: Vec<f64>,
}

async fn measured(asked: &Asked) -> Result<String, Failure> {
    let smoke = asked.has("--smoke");
    let rounds = asked.number("--rounds", if smoke { 2_usize } else { 40 })?;
    let dir = tempfile::tempdir()?;
    let embedder = Embedder::start(Dice::new(1)).await?;
    let owner = Owner::new(start(dir.path(), &embedder.url)?).await?;
    let mut found = Found::default();
    for round in 0..rounds {
        let job = owner.at_work(round).await?;
        if round % 2 == 0 {
            owner.pause_and_resume(&job, &embedder, &mut found).await?;
        } else {
            owner.stop(&job, "cancel", "cancelled", &mut found).await?;
        }
    }
    let suffix = if smoke { report::SMOKE } else { "" };
    let mut lines = String::new();
    for (name, unit, mut values, goal) in [
        ("R8-answer", "ms", found.answers, ANSWER),
        ("R8-stop", "ms", found.stops, STOP),
        ("R8-repeated", "", found.repeated, UNIT),
    ] {
        values.sort_by(f64::total_cmp);
        let (Some(best), Some(worst)) = (values.first(), values.last()) else {
            return Err("no round".into());
        };
        let of_rounds = Ratio { median: measure::stats::median(&values), ci95: (*best, *worst) };
        let line = report::bound_line(name, unit, of_rounds, report::Goal::AtMost(goal));
        writeln!(lines, "{line}{suffix}")?;
    }
    Ok(lines.trim_end().to_owned())
}

/// Who steers.
struct Owner {
    server: Server,
    http: Client,
    cookie: String,
    workspace: String,
}

impl Owner {
    async fn new(server: Server) -> Result<Self, Failure> {
        let http = Client::builder().no_proxy().build()?;
        let cookie = fresh::sign_up(&http, &server.base, "Correct1horse").await?;
        let mut owner = Self { cookie, server, http, workspace: String::new() };
        let list = owner.ask(Method::GET, "/api/workspaces", StatusCode::OK).await?;
        owner.workspace = list["items"][0]["id"].as_str().ok_or("no workspace")?.to_owned();
        let path = format!("{}/api/workspaces/{}/rag-config", owner.server.base, owner.workspace);
        let config = owner.http.put(path).header(header::COOKIE, &owner.cookie);
        config.json(&json!({ "embedding_model": MODEL })).send().await?.error_for_status()?;
        Ok(owner)
    }

    async fn ask(&self, method: Method, path: &str, expected: StatusCode) -> Result<Value, Failure> {
        let request = self.http.request(method, format!("{}{path}", self.server.base));
        let answer = request.header(header::COOKIE, &self.cookie).send().await?;
        let (status, bytes) = (answer.status(), answer.bytes().await?);
        let value: Value = serde_json::from_slice(&bytes)?;
        if status == expected { Ok(value) } else { Err(format!("{path}: {status}: {value}").into()) }
    }

    async fn until(&self, job: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let began = Instant::now();
        loop {
            let now = self.ask(Method::GET, &format!("/api/jobs/{job}"), StatusCode::OK).await?;
            if is_so(&now) {
                return Ok(now);
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("the job never {what}: {now}").into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// A job that has begun to embed and has much left.
    async fn at_work(&self, round: usize) -> Result<String, Failure> {
        let file = reqwest::multipart::Part::bytes(text(round)).file_name(format!("{round}.txt"));
        let form = reqwest::multipart::Form::new().part("file", file);
        let path = format!("{}/api/workspaces/{}/documents", self.server.base, self.workspace);
        let taken = self.http.post(path).header(header::COOKIE, &self.cookie).multipart(form).send().await?;
        let taken: Value = taken.error_for_status()?.json().await?;
        let job = taken["job_id"].as_str().ok_or("no job")?.to_owned();
        self.until(&job, "began to embed", |now| embedded(now) > 0).await?;
        Ok(job)
    }

    /// Asks the work to stop, and waits until it has.
    async fn stop(
        &self,
        job: &str,
        command: &str,
        status: &str,
        found: &mut Found,
    ) -> Result<Value, Failure> {
        let begun = Instant::now();
        self.ask(Method::POST, &format!("/api/jobs/{job}/{command}"), StatusCode::ACCEPTED).await?;
        found.answers.push(begun.elapsed().as_secs_f64() * 1e3);
        let stopped = self.until(job, status, |now| now["status"] == status).await?;
        found.stops.push(begun.elapsed().as_secs_f64() * 1e3);
        Ok(stopped)
    }

    async fn pause_and_resume(
        &self,
        job: &str,
        embedder: &Embedder,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let paused = self.stop(job, "pause", "paused", found).await?;
        let asked = embedder.texts();
        let begun = Instant::now();
        self.ask(Method::POST, &format!("/api/jobs/{job}/resume"), StatusCode::ACCEPTED).await?;
        found.answers.push(begun.elapsed().as_secs_f64() * 1e3);
        let done = self.until(job, "completed", |now| now["status"] == "completed").await?;
        if embedded(&done) != done["metrics"]["chunks_created"].as_u64().unwrap_or_default() {
            return Err(format!("not every passage was embedded: {done}").into());
        }
        let left = embedded(&done) - embedded(&paused);
        found.repeated.push((embedder.texts() - asked).saturating_sub(left) as f64);
        Ok(())
    }
}

fn embedded(job: &Value) -> u64 {
    job["metrics"]["chunks_embedded"].as_u64().unwrap_or_default()
}

fn text(round: usize) -> Vec<u8> {
    let words =
        (0..WORDS).map(|n| format!("round{round}word{}{}", n * 7 % 997, if n % 12 == 11 { "." } else { "" }));
    words.collect::<Vec<_>>().join(" ").into_bytes()
}

fn start(dir: &Path, embedder: &str) -> Result<Server, Failure> {
    Server::start(fresh::insighthub(dir).env("EMBEDDINGS_URL", embedder))
}
