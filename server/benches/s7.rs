//! S7: whether the time of a refused sign-in tells if there is such an account. Asked over HTTP, as a stranger would:
//! an address that nobody has (ours) and one that somebody has, with a wrong password (peer), in turn (A B B A …) on
//! one connection.
//!
//!     cargo bench -p server --bench s7 [-- --rounds N --tries N | --smoke]
//!
//! A round's value is the ratio of its two medians; the last line has the median of the rounds with its 95 % interval,
//! which has to lie within 2 % of 1. Both must be refused in the same words, or there is no result.

use measure::{
    Asked, Failure, peer,
    server::Server,
    stats::{self, Ratio, median},
};
use reqwest::Client;
use serde_json::{Value, json};
use std::{path::Path, process::ExitCode, time::Instant};

const KNOWN: &str = "known@example.org";
const UNKNOWN: &str = "other@example.org";
/// The two medians may differ by this share.
const TOLERANCE: f64 = 0.02;

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(measured(asked)))
}

async fn measured(asked: &Asked) -> Result<String, Failure> {
    let smoke = asked.has("--smoke");
    let rounds = asked.number("--rounds", if smoke { 2 } else { 15 })?;
    let tries = asked.number("--tries", if smoke { 4 } else { 100 })?;

    let dir = tempfile::tempdir()?;
    let server = start(dir.path())?;
    let asker = Asker {
        http: Client::builder().no_proxy().no_gzip().no_brotli().build()?,
        base: server.base.clone(),
    };
    let form = json!({ "username": "known", "email": KNOWN, "password": "Correct1horse" });
    let made = asker.http.post(format!("{}/api/auth/signup", asker.base)).json(&form).send().await?;
    made.error_for_status()?;
    if asker.refusal(UNKNOWN).await? != asker.refusal(KNOWN).await? {
        return Err("the two refusals differ in their words".into());
    }
    // The warm-up; its figures are dropped.
    asker.round(tries.min(10)).await?;

    let (mut unknown, mut known, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        let (a, b) = asker.round(tries).await?;
        ratios.push(a / b);
        unknown.push(a);
        known.push(b);
    }
    let Ratio { median: ratio, ci95: (low, high) } = stats::of_ratios(&ratios);
    let verdict = if low >= 1.0 - TOLERANCE && high <= 1.0 + TOLERANCE { "pass" } else { "short" };
    let note = if smoke { " (smoke: it works; the figures mean nothing)" } else { "" };
    Ok(format!(
        "S7: ours={:.2}ms peer={:.2}ms ratio={ratio:.4} ci95=[{low:.4},{high:.4}] goal=0.98..1.02 {verdict}{note}",
        median(&unknown) * 1e3,
        median(&known) * 1e3,
    ))
}

struct Asker {
    http: Client,
    base: String,
}

impl Asker {
    /// Medians of the tries at the unknown and at the known address, in seconds.
    async fn round(&self, tries: usize) -> Result<(f64, f64), Failure> {
        let (mut unknown, mut known) = (vec![], vec![]);
        for turn in 0..tries {
            let order = if turn % 2 == 0 { [UNKNOWN, KNOWN] } else { [KNOWN, UNKNOWN] };
            for email in order {
                let begun = Instant::now();
                self.refusal(email).await?;
                let times = if email == UNKNOWN { &mut unknown } else { &mut known };
                times.push(begun.elapsed().as_secs_f64());
            }
        }
        Ok((median(&unknown), median(&known)))
    }

    /// The answer to a wrong password, without what names the request.
    async fn refusal(&self, email: &str) -> Result<Value, Failure> {
        let form = json!({ "email": email, "password": "Wrong1horse" });
        let answer = self.http.post(format!("{}/api/auth/login", self.base)).json(&form).send().await?;
        if answer.status() != 401 {
            return Err(format!("{email}: {} instead of 401", answer.status()).into());
        }
        let mut problem: Value = answer.json().await?;
        problem["correlation_id"].take();
        Ok(problem)
    }
}

/// A server with an empty database of its own and no limit of tries.
fn start(dir: &Path) -> Result<Server, Failure> {
    let mut command = peer::on_core(0, env!("CARGO_BIN_EXE_insighthub"));
    command
        .arg("serve")
        .current_dir(dir)
        .env("INSIGHTHUB_ADDR", "127.0.0.1:0")
        .env("INSIGHTHUB_DATA_DIR", dir)
        .env("INSIGHTHUB_MAX_BAD_SIGN_INS", "0")
        .env("INSIGHTHUB_LOG", "error");
    Server::start(&mut command)
}
