//! S7: whether the time of a refused sign-in tells if there is such an account. Asked over HTTP, as a stranger would:
//! an address that nobody has (ours) and one that somebody has, with a wrong password (peer), in turn (A B B A …) on
//! one connection.
//!
//!     cargo bench -p server --bench s7 [-- --rounds N --tries N | --smoke]
//!
//! A round's value is the ratio of its two medians; the last line has the median of the rounds with its 95 % interval,
//! which has to lie within 2 % of 1. Both must be refused in the same words, or there is no result.

use reqwest::Client;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::Instant,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const KNOWN: &str = "known@example.org";
const UNKNOWN: &str = "other@example.org";
/// The two medians may differ by this share.
const TOLERANCE: f64 = 0.02;
const RESAMPLES: usize = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    server::install_cryptography();
    let runtime = tokio::runtime::Runtime::new();
    match runtime.map_err(Failure::from).and_then(|r| r.block_on(measure(&arguments))) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &[String]) -> Result<String, Failure> {
    let smoke = arguments.iter().any(|a| a == "--smoke");
    let number = |name: &str, otherwise: usize| {
        let place = arguments.iter().position(|a| a == name);
        let text = place.and_then(|place| arguments.get(place + 1));
        text.map_or(Ok(otherwise), |text| text.parse())
    };
    let rounds = number("--rounds", if smoke { 2 } else { 15 })?;
    let tries = number("--tries", if smoke { 4 } else { 100 })?;

    let server = Server::start()?;
    let asker = Asker { http: Client::builder().no_proxy().build()?, base: server.base.clone() };
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
    let (low, high) = interval(&ratios);
    let verdict = if low >= 1.0 - TOLERANCE && high <= 1.0 + TOLERANCE { "pass" } else { "short" };
    let note = if smoke { " (smoke: it works; the figures mean nothing)" } else { "" };
    Ok(format!(
        "S7: ours={:.2}ms peer={:.2}ms ratio={:.4} ci95=[{low:.4},{high:.4}] goal=0.98..1.02 {verdict}{note}",
        median(&unknown) * 1e3,
        median(&known) * 1e3,
        median(&ratios),
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

/// A server with an empty database of its own and no limit of tries; gone when dropped.
struct Server {
    child: Child,
    base: String,
    _dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let mut command = on_one_core(Path::new(env!("CARGO_BIN_EXE_insighthub")));
        command
            .arg("serve")
            .current_dir(dir.path())
            .env("INSIGHTHUB_ADDR", "127.0.0.1:0")
            .env("INSIGHTHUB_DATA_DIR", dir.path())
            .env("INSIGHTHUB_MAX_BAD_SIGN_INS", "0")
            .env("INSIGHTHUB_LOG", "error")
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let out = child.stdout.take().ok_or("the server has no output")?;
        let mut server = Self { child, base: String::new(), _dir: dir };
        let line = BufReader::new(out).lines().next().ok_or("the server ended at once")??;
        server.base = line.strip_prefix("listening on ").ok_or("the server told no address")?.to_owned();
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server gets a core, whoever asks another one, where that can be had.
fn on_one_core(program: &Path) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let there = Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if cores < 2 || !there.is_ok_and(|status| status.success()) {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0"]).arg(program);
    command
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The 95 % interval of the median, by a bootstrap that draws the same each time.
fn interval(values: &[f64]) -> (f64, f64) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| median(&(0..values.len()).map(|_| values[below(values.len())]).collect::<Vec<_>>()))
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians[((RESAMPLES - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}
