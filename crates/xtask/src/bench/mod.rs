//! `cargo xtask bench`: the frame that every measurement of the project runs in. Ours and a peer take turns in one run
//! (A B B A …), each round's values are compared with each other and never with another day's, and one line says what
//! came of it. What is measured lives with the crate that it measures:
//!
//! A bench executable takes `--round ROLE --seconds N`, where a role is `ours`, `peer` or another name that its entry
//! below uses, brings its own peer, warms up by itself, and prints `{"value": 1.5, "unit": "…"}` as its last line. A round that found a wrong
//! result (a lost row, another vector) must end with an error: a fast wrong answer is no answer.

mod bytes;
mod list;
mod screen;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use measure::report::{self, Goal};
use serde_json::Value;

use list::{COMPARISONS, Comparison, Database, WHOLES, Whole};

use crate::postgres;
use crate::problem::{Doing, Done, Problem};
use crate::project::{Profile, Project};
use crate::shell;
use crate::tally::Tally;
use crate::toolchain::{self, Toolchain};

/// Rounds of each side, and seconds of each round.
const ROUNDS: usize = 7;
const SECONDS: u32 = 20;

pub struct Options {
    pub name: Option<String>,
    /// One short round of each, in the profile of the tests: whether it works, and nothing about time.
    pub smoke: bool,
}

pub fn bench(project: &Project, options: &Options) -> Done<Tally> {
    let toolchain = toolchain::ensure(project)?;
    crate::model::ensure(project)?;
    let wanted = |name: &str| options.name.as_ref().is_none_or(|asked| belongs(name, asked));
    let chosen: Vec<&Comparison> = COMPARISONS.iter().filter(|c| wanted(c.name)).collect();
    let wholes: Vec<&Whole> = WHOLES.iter().filter(|w| wanted(w.name)).collect();
    let screens: Vec<&screen::Bench> = screen::BENCHES.iter().filter(|s| wanted(s.name)).collect();
    let sizes = wanted(bytes::NAME);
    if chosen.is_empty() && wholes.is_empty() && screens.is_empty() && !sizes {
        let names = COMPARISONS.iter().map(|c| (c.name, c.about));
        let names = names
            .chain(WHOLES.iter().map(|w| (w.name, w.about)))
            .chain(screen::BENCHES.iter().map(|s| (s.name, s.about)))
            .chain([(bytes::NAME, bytes::ABOUT)]);
        let list: Vec<String> = names.map(|(name, about)| format!("  {name:11} {about}")).collect();
        let asked = options.name.as_deref().unwrap_or_default();
        return Err(Problem::new(format!("there is no bench `{asked}`; there are\n{}", list.join("\n"))));
    }
    let mut tally = Tally::default();
    let mut lines = Vec::new();
    let mut done = |name: &str, begun: Instant, outcome: Done<Vec<String>>| {
        shell::say(format!("  {name} took {}", shell::duration(begun.elapsed())));
        tally.add(Tally::one(outcome.is_ok()));
        match outcome {
            Ok(said) => lines.extend(said),
            Err(problem) => shell::say(format!("bench {name}: {problem}")),
        }
    };
    for comparison in chosen {
        let begun = Instant::now();
        done(
            comparison.name,
            begun,
            compare(project, &toolchain, comparison, options.smoke).map(|line| vec![line]),
        );
    }
    for whole in wholes {
        let begun = Instant::now();
        done(whole.name, begun, run_whole(project, &toolchain, whole, options.smoke));
    }
    for screen in screens {
        let begun = Instant::now();
        done(screen.name, begun, screen.run(project, &toolchain, options.smoke));
    }
    if sizes {
        let begun = Instant::now();
        done(bytes::NAME, begun, bytes::measure(project, &toolchain, options.smoke));
    }
    println!();
    for line in lines {
        println!("{line}");
    }
    Ok(tally)
}

/// Whether that was asked for: `p5` is all of P5, `p5-alone` a part of it.
fn belongs(name: &str, asked: &str) -> bool {
    name.split_at_checked(asked.len()).is_some_and(|(head, rest)| {
        head.eq_ignore_ascii_case(asked) && (rest.is_empty() || rest.starts_with('-'))
    })
}

fn compare(project: &Project, toolchain: &Toolchain, bench: &Comparison, smoke: bool) -> Done<String> {
    let (rounds, seconds) = if smoke { (1, 1) } else { (ROUNDS, SECONDS) };
    shell::say(format!("{}: {}", bench.name, bench.about));
    let executable = executable(toolchain, bench.package, bench.target, smoke)?;
    let postgres = bench.postgres.then(|| postgres::start(project)).transpose()?;
    let round = |role: &str| -> Done<(f64, String)> {
        let mut command =
            if bench.two_cores { on_two_cores(&executable.path) } else { Command::new(&executable.path) };
        executable.tell(&mut command);
        command
            .current_dir(&project.root)
            .args(["--round", role, "--seconds", &seconds.to_string()])
            .env("INSIGHTHUB_MODELS_DIR", project.models());
        if let Some(postgres) = &postgres {
            command.env("INSIGHTHUB_BENCH_POSTGRES_URL", postgres.url());
            command.env("INSIGHTHUB_BENCH_POSTGRES_BIN", postgres.bin());
        }
        let (value, unit) = measured(&mut command, smoke)?;
        shell::say(format!("  {role}: {value:.3} {unit}"));
        Ok((value, unit))
    };
    let (mut ours, mut peer, mut unit) = (Vec::new(), Vec::new(), String::new());
    for turn in 0..rounds {
        // A B, then B A: whoever goes second may find warm caches or a throttled core, so both go second as often.
        let (a, b) = if turn % 2 == 0 {
            let a = round(bench.ours)?;
            (a, round(bench.peer)?)
        } else {
            let b = round(bench.peer)?;
            (round(bench.ours)?, b)
        };
        if a.1 != b.1 {
            return Err(Problem::new(format!("the two sides measure different things: {} and {}", a.1, b.1)));
        }
        unit = a.1;
        ours.push(a.0);
        peer.push(b.0);
    }
    let line = report::compared(bench.name, &unit, &ours, &peer, Goal::AtLeast(bench.goal));
    Ok(if smoke { line + report::SMOKE } else { line })
}

fn run_whole(project: &Project, toolchain: &Toolchain, bench: &Whole, smoke: bool) -> Done<Vec<String>> {
    shell::say(format!("{}: {}", bench.name, bench.about));
    if bench.site {
        crate::server::build_profile(project, toolchain, profile(smoke))?;
    }
    let executable = executable(toolchain, bench.package, bench.target, smoke)?;
    // Its server takes the other core, unless it is several servers, which share both with a PostgreSQL.
    let mut command = if bench.postgres == Database::None {
        measure::peer::on_core(1, &executable.path)
    } else {
        on_two_cores(&executable.path)
    };
    executable.tell(&mut command);
    command.args(bench.args);
    if smoke {
        command.arg("--smoke");
    }
    let postgres = match bench.postgres {
        Database::None => None,
        Database::Ordinary => Some(postgres::start(project)?),
        Database::OfTests => Some(postgres::with_pgvector(project)?),
    };
    if let Some(postgres) = &postgres {
        command.env("INSIGHTHUB_BENCH_POSTGRES_URL", postgres.url());
    }
    let output = shell::capture_within(&mut command, limit(smoke))?;
    let is_ours = |line: &&str| {
        line.strip_prefix(bench.name).is_some_and(|rest| rest.starts_with(": ") || rest.starts_with('-'))
    };
    let lines: Vec<&str> = output.lines().collect();
    if !lines.last().is_some_and(is_ours) {
        let last = lines.last().unwrap_or(&"");
        return Err(Problem::new(format!("`{}` ended with: {last}", shell::line(&command))));
    }
    Ok(lines.into_iter().filter(is_ours).map(str::to_owned).collect())
}

/// A bench that is built.
pub struct Executable {
    pub path: PathBuf,
    /// The folder of its package, where its other files are.
    package: PathBuf,
}

impl Executable {
    /// Tells it where its package is. It knows one place by itself, which may be that of another clone of the project.
    pub fn tell(&self, command: &mut Command) {
        command.env("CARGO_MANIFEST_DIR", &self.package);
    }
}

/// Builds the bench and asks cargo where it put it.
pub fn executable(toolchain: &Toolchain, package: &str, target: &str, smoke: bool) -> Done<Executable> {
    // The same call as the tests', so that nothing is compiled twice; one for all, since cargo takes a while to see that.
    static OF_THE_TESTS: OnceLock<String> = OnceLock::new();
    let output = match OF_THE_TESTS.get().filter(|_| smoke) {
        Some(output) => output.clone(),
        None if smoke => {
            let output = built(toolchain, "the benches", &crate::server::DEV_TARGETS)?;
            OF_THE_TESTS.get_or_init(|| output).clone()
        }
        None => {
            let args = ["--release", "--package", package, "--bench", target];
            built(toolchain, &format!("the bench {target}"), &args)?
        }
    };
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            let built = message.get("target");
            let is = |key: &str, want: &str| {
                built.and_then(|t| t.get(key)).is_some_and(|v| {
                    v.as_str() == Some(want) || v.get(0).and_then(Value::as_str) == Some(want)
                })
            };
            is("name", target) && is("kind", "bench")
        })
        .find_map(|message| {
            let path = |key: &str| Some(PathBuf::from(message.get(key)?.as_str()?));
            let package = path("manifest_path")?.parent()?.to_owned();
            Some(Executable { path: path("executable")?, package })
        })
        .ok_or_else(|| Problem::new(format!("the package `{package}` has no bench `{target}`")))
}

/// What cargo says about what it built.
fn built(toolchain: &Toolchain, what: &str, args: &[&str]) -> Done<String> {
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--message-format=json-render-diagnostics"]).args(args).stderr(Stdio::inherit());
    shell::timed(&format!("compiling {what}"), || shell::capture(&mut cargo))
}

/// Runs a round and reads its last line.
fn measured(command: &mut Command, smoke: bool) -> Done<(f64, String)> {
    let output = shell::capture_within(command, limit(smoke))?;
    let last = output.lines().last().unwrap_or_default();
    let bad = || {
        Problem::new(format!(
            "`{}` did not end with {{\"value\", \"unit\"}}, but with: {last}",
            shell::line(command)
        ))
    };
    let report: Value = serde_json::from_str(last).map_err(|_| bad())?;
    let value =
        report.get("value").and_then(Value::as_f64).filter(|v| v.is_finite() && *v > 0.0).ok_or_else(bad)?;
    let unit = report.get("unit").and_then(Value::as_str).unwrap_or_default();
    Ok((value, unit.to_owned()))
}

fn on_two_cores(program: &std::path::Path) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if cores < 2 || shell::find_program("taskset").is_none() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0,1"]).arg(program);
    command
}

/// A bench that has not come to its end by then never will: a peer waits for something. What a smoke run lasts is fetching
/// the peers, on a new machine.
const fn limit(smoke: bool) -> Duration {
    if smoke { Duration::from_mins(10) } else { Duration::from_hours(3) }
}

/// The profile that a bench's server runs in.
fn profile(smoke: bool) -> Profile {
    if smoke { Profile::Dev } else { Profile::Release }
}

/// Reads a number of a report, with a sentence when it is not there.
fn count(report: &Value, key: &str) -> Done<u64> {
    report.get(key).and_then(Value::as_u64).ok_or(key).doing(|| "the report lacks a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::belongs;

    #[test]
    fn a_name_means_the_bench_and_its_parts_and_no_other() {
        assert!(belongs("P5", "p5") && belongs("P5-alone", "p5") && belongs("P5-alone", "p5-alone"));
        assert!(!belongs("P5", "p5-alone") && !belongs("P13", "p1") && !belongs("P1", "p13"));
    }
}
