//! The chat with a hundred answers at once: how soon each is told its first step (`chat-status`), and by how much its first
//! word comes later than the language model's own (`chat-word`, with the search for passages by the built-in model, and
//! `chat-word-alone`, where nothing is searched); and how soon an answer that is stopped in the middle of it has ended for whoever
//! follows it (`chat-stop`, the others at their end). Milliseconds at p99 of a round.
//!
//!     cargo bench -p server --bench chat [-- --rounds N | --smoke]
//!
//! The model is a server of this program's: it says a word at once and then one every 20 ms. In turn it is asked by itself
//! and through InsightHub, by as many at once; the difference of the two p99 is what InsightHub adds. An answer that is not
//! the model's own, word for word, ends the bench.

mod fresh;

use axum::{Router, body::Body, http::header, response::IntoResponse, routing::post};
use futures::{StreamExt, future::try_join_all, stream};
use measure::{Asked, Failure, report, server::Server, stats};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::{
    fmt::Write,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// Answers at once; one account may have so many.
const CHATS: usize = 100;
const WORDS: usize = 25;
const PAUSE: Duration = Duration::from_millis(20);
/// Milliseconds: what comes within that is there at once.
const STATUS: f64 = 250.0;
const WORD_ALONE: f64 = 250.0;
/// A hundred questions at once are a hundred texts to embed, on as many cores as there are.
const WORD: f64 = 2_000.0;
const STOP: f64 = 300.0;
/// Answers that are stopped in a round, one after the other.
const STOPS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(measured(asked)))
}

async fn measured(asked: &Asked) -> Result<String, Failure> {
    let smoke = asked.has("--smoke");
    let rounds = asked.number("--rounds", if smoke { 1_usize } else { 7 })?;
    let dir = tempfile::tempdir()?;
    let model = model().await?;
    let person = Person::new(start(dir.path(), &model)?).await?;
    let (mut status, mut word, mut alone, mut stop) = (vec![], vec![], vec![], vec![]);
    // The first one warms up.
    for round in 0..=rounds {
        let bare = p99(together(|n| person.ask_model(&model, n)).await?.into_iter().map(|t| t.word));
        let with = together(|n| person.ask(n, round, false)).await?;
        let without = together(|n| person.ask(n, round, true)).await?;
        let mut stops = vec![];
        for n in 0..STOPS {
            stops.push(person.stop(n).await?);
        }
        if round > 0 {
            status.push(p99(with.iter().chain(&without).map(|t| t.status)));
            word.push(p99(with.iter().map(|t| t.word)) - bare);
            alone.push(p99(without.iter().map(|t| t.word)) - bare);
            stop.push(p99(stops.into_iter()));
        }
    }
    let suffix = if smoke { report::SMOKE } else { "" };
    let mut lines = String::new();
    for (name, values, goal) in [
        ("chat-status", status, STATUS),
        ("chat-word", word, WORD),
        ("chat-word-alone", alone, WORD_ALONE),
        ("chat-stop", stop, STOP),
    ] {
        let line = report::bound_line(name, "ms", stats::of_ratios(&values), report::Goal::AtMost(goal));
        writeln!(lines, "{line}{suffix}")?;
    }
    Ok(lines.trim_end().to_owned())
}

/// Milliseconds since the question.
struct Times {
    status: f64,
    word: f64,
}

async fn together<F>(one: impl Fn(usize) -> F) -> Result<Vec<Times>, Failure>
where
    F: Future<Output = Result<Times, Failure>>,
{
    tokio::time::timeout(PATIENCE, try_join_all((0..CHATS).map(one))).await?
}

fn p99(times: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = times.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}

/// The messages of a stream until its end, by their `data:`; the first that is `word` is timed, and the first of all.
async fn heard(request: RequestBuilder, text: impl Fn(&Value) -> Option<String>) -> Result<Times, Failure> {
    let begun = Instant::now();
    let since = || begun.elapsed().as_secs_f64() * 1e3;
    let mut body = request.send().await?.error_for_status()?.bytes_stream();
    let (mut lines, mut said) = (String::new(), String::new());
    let (mut status, mut word) = (None, None);
    while let Some(piece) = body.next().await {
        lines.push_str(std::str::from_utf8(&piece?)?);
        while let Some(end) = lines.find('\n') {
            let line: String = lines.drain(..=end).collect();
            let Some(data) = line.trim().strip_prefix("data:").map(str::trim) else { continue };
            if data == "[DONE]" {
                continue;
            }
            status = status.or_else(|| Some(since()));
            if let Some(text) = text(&serde_json::from_str(data)?) {
                word = word.or_else(|| Some(since()));
                said.push_str(&text);
            }
        }
    }
    if said != answer() {
        return Err(format!("another answer: {said:?}").into());
    }
    let missing = || "nothing was said";
    Ok(Times { status: status.ok_or_else(missing)?, word: word.ok_or_else(missing)? })
}

struct Person {
    server: Server,
    http: Client,
}

impl Person {
    async fn new(server: Server) -> Result<Self, Failure> {
        let path = |path: &str| format!("{}{path}", server.base);
        let nobody = Client::builder().no_proxy().build()?;
        let session = fresh::sign_up(&nobody, &server.base, "Correct1horse").await?;
        let headers = [(header::COOKIE, session.parse()?)].into_iter().collect();
        let http = Client::builder().no_proxy().default_headers(headers).build()?;
        let list: Value = http.get(path("/api/workspaces")).send().await?.json().await?;
        let workspace = list["items"][0]["id"].as_str().ok_or("no workspace")?.to_owned();
        let text: String =
            (0..400).map(|n| format!("Quay {n} of the harbour has lantern {n}.\n\n")).collect();
        let part = reqwest::multipart::Part::text(text).file_name("harbour.txt");
        let form = reqwest::multipart::Form::new().part("file", part);
        let upload = http.post(path(&format!("/api/workspaces/{workspace}/documents"))).multipart(form);
        let taken: Value = upload.send().await?.error_for_status()?.json().await?;
        let job = path(&format!("/api/jobs/{}", taken["job_id"].as_str().ok_or("no job")?));
        let begun = Instant::now();
        loop {
            let now: Value = http.get(&job).send().await?.json().await?;
            if now["status"] == "completed" {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("the document never became ready: {now}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { server, http })
    }

    async fn ask(&self, n: usize, round: usize, without_sources: bool) -> Result<Times, Failure> {
        let question = json!({
            "query": format!("Which lantern has quay {n}, in round {round}?"),
            "without_sources": without_sources,
            "stream": true,
        });
        let request = self.http.post(format!("{}/v1/chat/", self.server.base)).json(&question);
        heard(request, |message| message["content"].as_str().map(str::to_owned)).await
    }

    /// Stops an answer at its first word; milliseconds until its stream has ended.
    async fn stop(&self, n: usize) -> Result<f64, Failure> {
        let question = json!({ "query": format!("Which lantern has quay {n}?"), "without_sources": true });
        let request = self.http.post(format!("{}/v1/chat/", self.server.base)).json(&question);
        let answer = request.header(header::ACCEPT, "text/event-stream").send().await?;
        let mut body = answer.error_for_status()?.bytes_stream();
        let (mut told, mut begun) = (String::new(), None);
        while let Some(piece) = body.next().await {
            told.push_str(std::str::from_utf8(&piece?)?);
            if begun.is_none() && told.contains("\"type\":\"chunk\"") {
                let after = told.split_once("\"turn_id\":\"").ok_or("no turn")?.1;
                let turn = after.split('"').next().unwrap_or_default();
                begun = Some(Instant::now());
                let stop = format!("{}/v1/chat/turns/{turn}/stop", self.server.base);
                self.http.post(stop).send().await?.error_for_status()?;
            }
        }
        let ended = begun.ok_or("nothing was said")?.elapsed();
        if !told.contains("\"status\":\"stopped\"") {
            return Err(format!("it did not end as stopped: {told}").into());
        }
        Ok(ended.as_secs_f64() * 1e3)
    }

    async fn ask_model(&self, model: &str, n: usize) -> Result<Times, Failure> {
        let body =
            json!({ "messages": [{ "role": "user", "content": format!("Which lantern has quay {n}?") }] });
        let request = self.http.post(format!("{model}/v1/chat/completions")).json(&body);
        let text = |m: &Value| m["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        heard(request, text).await
    }
}

fn word(n: usize) -> String {
    if n == 0 { "word".to_owned() } else { format!(" word{n}") }
}

fn answer() -> String {
    (0..WORDS).map(word).collect()
}

/// A language model; answers its address.
async fn model() -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let speak = async || {
        let words = stream::unfold(0, |n| async move {
            match n {
                WORDS => return Some(("data: [DONE]\n\n".to_owned(), n + 1)),
                n if n > WORDS => return None,
                0 => {}
                _ => tokio::time::sleep(PAUSE).await,
            }
            let message = json!({ "choices": [{ "delta": { "content": word(n) } }] });
            Some((format!("data: {message}\n\n"), n + 1))
        });
        let body = Body::from_stream(words.map(Ok::<_, std::convert::Infallible>));
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    };
    let routes = Router::new().route("/v1/chat/completions", post(speak));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

fn start(dir: &Path, model: &str) -> Result<Server, Failure> {
    Server::start(fresh::insighthub(dir).env("LLM_URL", model).env("LLM_MODEL", "words"))
}
