//! S8: how long a browser that was signed out still hears or does anything. A second session has a socket, an event stream
//! and a long poll open; the first one ends it, in turn by name and by a new password. A round's value runs from before that
//! request to the last of the four ends: the cookie is refused, the socket is closed with 4401, the stream is over, and the
//! poll is answered with 401.
//!
//!     cargo bench -p server --bench s8 [-- --rounds N | --smoke] [--several]
//!
//! The slowest round counts. With `--several` the second session is at another server of the same PostgreSQL, and there is no
//! broker that could tell that one.

mod fresh;

use fresh::{EMAIL, session_of};
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, header};
use measure::{Asked, Failure, report, server::Server, stats::Ratio};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, raw_sql};
use std::{process::ExitCode, time::Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

const PASSWORDS: [&str; 2] = ["Correct1horse", "Better2horses"];
/// Milliseconds.
const GOAL: f64 = 1_000.0;

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(measured(asked)))
}

async fn measured(asked: &Asked) -> Result<String, Failure> {
    let (smoke, several) = (asked.has("--smoke"), asked.has("--several"));
    let rounds = asked.number("--rounds", if smoke { 2_usize } else { 40 })?;
    let dir = tempfile::tempdir()?;
    let database = if several { Some(new_database().await?) } else { None };
    let start = || {
        let mut command = fresh::insighthub(dir.path());
        command.envs(database.as_ref().map(|url| ("DATABASE_URL", url)));
        Server::start(&mut command)
    };
    let here = start()?;
    let there = if several { Some(start()?) } else { None };
    let others = there.as_ref().map_or(&here.base, |server| &server.base);
    let (http, base) = (Client::builder().no_proxy().no_gzip().no_brotli().build()?, here.base.clone());
    let cookie = fresh::sign_up(&http, &base, PASSWORDS[0]).await?;
    let mut own = Browser { cookie, http, base };
    let mut password = 0;
    let mut took = vec![];
    for round in 0..rounds {
        let other = own.another(others, PASSWORDS[password]).await?;
        let open = Open::by(&other).await?;
        let begun = Instant::now();
        if round % 2 == 0 {
            own.end(&other).await?;
        } else {
            own.change_password(PASSWORDS[password], PASSWORDS[1 - password]).await?;
            password = 1 - password;
        }
        open.ended(&other).await?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let (Some(best), Some(worst)) = (took.first(), took.last()) else { return Err("no round".into()) };
    let found = Ratio { median: measure::stats::median(&took), ci95: (*best, *worst) };
    let name = if several { "S8-several" } else { "S8" };
    let line = report::bound_line(name, "ms", found, report::Goal::AtMost(GOAL));
    Ok(format!("{line}{}", if smoke { report::SMOKE } else { "" }))
}

/// An empty database on the PostgreSQL of the run.
async fn new_database() -> Result<String, Failure> {
    let postgres = std::env::var("INSIGHTHUB_BENCH_POSTGRES_URL")
        .map_err(|_| "INSIGHTHUB_BENCH_POSTGRES_URL is not set; `cargo xtask bench s8-several` starts one")?;
    sqlx::any::install_default_drivers();
    let name = format!("insighthub_s8_{}", std::process::id());
    let mut server = AnyConnection::connect(&postgres).await?;
    server.execute(raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))).await?;
    server.close().await?;
    let (server, _) = postgres.rsplit_once('/').ok_or("the URL names no database")?;
    Ok(format!("{server}/{name}"))
}

/// A signed-in browser.
struct Browser {
    http: Client,
    base: String,
    cookie: String,
}

impl Browser {
    fn ask(&self, request: impl FnOnce(&Client, String) -> RequestBuilder, path: &str) -> RequestBuilder {
        request(&self.http, format!("{}{path}", self.base)).header(header::COOKIE, &self.cookie)
    }

    /// One more of the same person, at that server.
    async fn another(&self, base: &str, password: &str) -> Result<Self, Failure> {
        let form = json!({ "email": EMAIL, "password": password });
        let answer = self.http.post(format!("{base}/api/auth/login")).json(&form).send().await?;
        let cookie = session_of(&answer.error_for_status()?)?;
        Ok(Self { cookie, http: self.http.clone(), base: base.to_owned() })
    }

    async fn end(&self, other: &Self) -> Result<(), Failure> {
        let list: Value = other.ask(Client::get, "/api/auth/sessions").send().await?.json().await?;
        let items = list["items"].as_array().ok_or("no list")?;
        let id = items.iter().find(|s| s["current"] == true).and_then(|s| s["id"].as_str());
        let path = format!("/api/auth/sessions/{}", id.ok_or("it is not in the list")?);
        self.ask(Client::delete, &path).send().await?.error_for_status()?;
        Ok(())
    }

    async fn change_password(&mut self, current: &str, new: &str) -> Result<(), Failure> {
        let form = json!({ "current_password": current, "new_password": new });
        let request = self.ask(Client::post, "/api/auth/change-password").json(&form);
        self.cookie = session_of(&request.send().await?.error_for_status()?)?;
        Ok(())
    }
}

/// All that a session can have open.
struct Open {
    socket: WebSocketStream<TcpStream>,
    events: Response,
    poll: tokio::task::JoinHandle<reqwest::Result<Response>>,
}

impl Open {
    async fn by(browser: &Browser) -> Result<Self, Failure> {
        // Nothing of an earlier round may be counted for this one.
        while connections(browser).await? > 0 {
            tokio::task::yield_now().await;
        }
        let host = browser.base.trim_start_matches("http://");
        let mut request = format!("ws://{host}/api/status/ws").into_client_request()?;
        request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(&browser.cookie)?);
        request.headers_mut().insert(header::ORIGIN, HeaderValue::from_str(&browser.base)?);
        let (mut socket, _) = client_async(request, TcpStream::connect(host).await?).await?;
        let hello = json!({ "type": "hello", "epoch": null, "last_seq": null });
        socket.send(Message::text(hello.to_string())).await?;
        let welcome: Value = match socket.next().await.ok_or("the socket was closed")?? {
            Message::Text(text) => serde_json::from_str(&text)?,
            other => return Err(format!("instead of a welcome: {other:?}").into()),
        };
        let mut events = browser.ask(Client::get, "/api/status/events").send().await?.error_for_status()?;
        events.chunk().await?.ok_or("the stream was over at once")?;
        let epoch = welcome["epoch"].as_str().ok_or("no epoch")?;
        let path = format!("/api/status/changes?epoch={epoch}&after={}&wait=25", welcome["seq"]);
        let poll = tokio::spawn(browser.ask(Client::get, &path).send());
        // It is open once the server counts it.
        while connections(browser).await? < 3 {
            tokio::task::yield_now().await;
        }
        Ok(Self { socket, events, poll })
    }

    /// Waits until nothing of it is left.
    async fn ended(mut self, browser: &Browser) -> Result<(), Failure> {
        let me = browser.ask(Client::get, "/api/auth/me").send().await?.status();
        let code = loop {
            match self.socket.next().await.ok_or("the socket broke off")?? {
                Message::Close(Some(frame)) => break u16::from(frame.code),
                Message::Close(None) => break 1005,
                _ => {}
            }
        };
        while self.events.chunk().await?.is_some() {}
        let polled = self.poll.await??.status();
        match (me.as_u16(), code, polled.as_u16()) {
            (401, 4401, 401) => Ok(()),
            other => Err(format!("cookie, socket and poll ended with {other:?}").into()),
        }
    }
}

async fn connections(browser: &Browser) -> Result<u64, Failure> {
    let text = browser.ask(Client::get, "/metrics").send().await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix("insighthub_live_connections "));
    Ok(line.ok_or("the metric is missing")?.parse()?)
}
