//! The checks of form: rustfmt, clippy, cargo-deny.

use std::process::Command;

use crate::packages;
use crate::problem::Done;
use crate::project::Project;
use crate::shell;
use crate::tally::Tally;
use crate::toolchain::{self, Toolchain};

/// One check: its name and the outcome of running it.
pub fn check(name: &str, what: impl FnOnce() -> Done) -> Tally {
    let outcome = shell::timed(name, what);
    if let Err(problem) = &outcome {
        shell::say(format!("{name}: {problem}"));
    }
    Tally::one(outcome.is_ok())
}

/// Formatting, as rustfmt.toml has it.
pub fn fmt(toolchain: &Toolchain) -> Tally {
    check("rustfmt", || shell::run(toolchain.cargo().args(["fmt", "--all", "--check"])))
}

/// Clippy over everything that runs on this machine, tests and benches included.
pub fn clippy(toolchain: &Toolchain) -> Tally {
    check("clippy", || {
        shell::run(toolchain.cargo().args(["clippy", "--all-targets", "--", "-D", "warnings"]))
    })
}

/// The types of the browser tests, which Playwright itself does not check.
pub fn types(project: &Project) -> Tally {
    check("types of the browser tests", || {
        packages::ensure_npm(project, &project.end2end())?;
        let mut tsc = Command::new(project.end2end().join("node_modules/.bin/tsc"));
        shell::run(tsc.current_dir(project.end2end()).args(["--project", "."]))
    })
}

/// The contrast of every pair of colours that the style sheet puts together, in both themes.
pub fn contrast(project: &Project) -> Tally {
    check("contrast of the colours", || {
        shell::run(Command::new("node").arg(project.style().join("check-contrast.mjs")))
    })
}

/// `cargo xtask lint`: those above, clippy over the browser's half and over this command, and cargo-deny where it is
/// installed.
pub fn all(project: &Project) -> Done<Tally> {
    let toolchain = toolchain::ensure(project)?;
    let mut tally = fmt(&toolchain);
    tally.add(types(project));
    tally.add(contrast(project));
    tally.add(clippy(&toolchain));
    tally.add(check("clippy of the browser's half", || {
        let mut cargo = toolchain.cargo();
        cargo.args(["clippy", "--package", &project.site.lib_package, "--target", toolchain::WASM]);
        shell::run(cargo.args(["--", "-D", "warnings"]))
    }));
    tally.add(check("clippy of the developer commands", || {
        let mut cargo = toolchain.cargo();
        cargo.args([
            "clippy",
            "--package",
            "xtask",
            "--package",
            "xtask-bindgen",
            "--profile",
            "tools",
            "--all-targets",
        ]);
        shell::run(cargo.args(["--", "-D", "warnings"]))
    }));
    if shell::find_program("cargo-deny").is_some() || project.tools().join("cargo-deny").is_file() {
        tally.add(check("cargo-deny", || deny(project, &toolchain)));
    } else {
        shell::say(
            "cargo-deny is not installed, so licences and sources were not checked (`cargo xtask setup --all` brings it)",
        );
    }
    Ok(tally)
}

fn deny(project: &Project, toolchain: &Toolchain) -> Done {
    let mut cargo = toolchain.cargo();
    // The advisory database is fetched from a code host, which not every machine reaches, so that check is apart:
    // `cargo deny check advisories`.
    cargo.args(["deny", "check", "bans", "licenses", "sources"]).env("PATH", with_tools(project));
    shell::run(&mut cargo)
}

/// PATH with the cached tools in front.
pub fn with_tools(project: &Project) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bin = project.style().join("node_modules/.bin");
    let dirs = [project.tools(), bin].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(dirs).unwrap_or(path)
}
