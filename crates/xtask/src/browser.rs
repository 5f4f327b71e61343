//! The browser of the end-to-end tests: the system's Chromium where there is one, else Debian's package on
//! Debian, else Playwright's own download. `end2end/playwright.config.ts` makes the same choice from `INSIGHTHUB_CHROMIUM`.

use std::path::PathBuf;
use std::process::Command;

use crate::problem::{Done, Problem};
use crate::project::Project;
use crate::{apt, packages, shell};

/// The fonts that Debian's minimal system lacks: without them every letter is a box.
const DEBIAN_PACKAGES: [&str; 3] = ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"];

/// Brings Playwright and a browser; answers the browser's path, or none for Playwright's own.
pub fn ensure(project: &Project) -> Done<Option<PathBuf>> {
    packages::ensure_npm(project, &project.end2end())?;
    if let Some(found) = installed() {
        return Ok(Some(found));
    }
    // Elsewhere `chromium` is often a stub that leads to another store, so only Debian's own package is trusted.
    if apt::available() && is_debian() {
        apt::install(project, &DEBIAN_PACKAGES)?;
        if let Some(found) = installed() {
            return Ok(Some(found));
        }
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

fn installed() -> Option<PathBuf> {
    let named = std::env::var_os("INSIGHTHUB_CHROMIUM").map(PathBuf::from).filter(|file| file.is_file());
    named.or_else(|| ["chromium", "chromium-browser"].into_iter().find_map(shell::find_program))
}
