//! The browser of the end-to-end tests: Chromium's headless shell, which is the same engine without the frame of a window and
//! takes half the time of the whole browser. The system's where there is one, else Debian's package on Debian, else the whole
//! browser of the system, else Playwright's own download, which brings a headless shell too. `end2end/chromium.mjs` makes the
//! same choice from `INSIGHTHUB_CHROMIUM`.

use std::path::PathBuf;
use std::process::Command;

use crate::problem::{Done, Problem};
use crate::project::Project;
use crate::{apt, packages, shell};

/// The fonts that Debian's minimal system lacks: without them every letter is a box.
const DEBIAN_PACKAGES: [&str; 3] = ["chromium-headless-shell", "fonts-dejavu-core", "fonts-noto-color-emoji"];

const SHELL: &[&str] = &["chromium-headless-shell"];
const WHOLE: &[&str] = &["chromium", "chromium-browser"];

/// Brings Playwright and a browser; answers the browser's path, or none for Playwright's own.
pub fn ensure(project: &Project) -> Done<Option<PathBuf>> {
    packages::ensure_npm(project, &project.end2end())?;
    if let Some(found) = named().or_else(|| installed(SHELL)) {
        return Ok(Some(found));
    }
    // Elsewhere `chromium` is often a stub that leads to another store, so only Debian's own package is trusted.
    if apt::available() && is_debian() {
        if let Err(problem) = apt::install(project, &DEBIAN_PACKAGES) {
            shell::say(problem.to_string());
        }
        if let Some(found) = installed(SHELL) {
            return Ok(Some(found));
        }
    }
    if let Some(found) = installed(WHOLE) {
        return Ok(Some(found));
    }
    let own = shell::timed("installing Playwright's Chromium", || {
        let mut playwright = Command::new("npx");
        playwright.current_dir(project.end2end()).args(["playwright", "install", "chromium"]);
        shell::logged(&mut playwright, &project.log("playwright-install"))
    });
    own.map(|()| None).map_err(|own| {
        Problem::new(format!("no Chromium is here, and Playwright's own cannot be installed: {own}"))
            .hint("install Chromium, or name one in INSIGHTHUB_CHROMIUM")
    })
}

fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian")
}

fn named() -> Option<PathBuf> {
    std::env::var_os("INSIGHTHUB_CHROMIUM").map(PathBuf::from).filter(|file| file.is_file())
}

fn installed(names: &[&str]) -> Option<PathBuf> {
    names.iter().copied().find_map(shell::find_program)
}
