//! The other side of a comparison: a program in Python, in an environment of its own that is no part of the product.

use crate::Failure;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where things are kept that can be fetched again.
pub fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_default().join("insighthub")
}

/// The Python of a virtual environment with these packages, made in `home` when it is not there yet.
///
/// # Errors
/// When there is no Python, or a package could not be fetched.
pub fn python(home: &Path, packages: &[&str]) -> Result<PathBuf, Failure> {
    let python = home.join("bin/python");
    let ready = home.join("ready");
    if !ready.exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(home);
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet"]).args(packages);
        for mut step in [make, install] {
            if !step.stdout(Stdio::null()).status()?.success() {
                return Err("the peer's Python environment could not be made".into());
            }
        }
        std::fs::write(ready, "")?;
    }
    Ok(python)
}

/// Runs the peer; what it answers is its last line.
///
/// # Errors
/// When it fails, or says nothing.
pub fn ask(peer: &mut Command) -> Result<String, Failure> {
    let output = peer.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the peer failed; its words are above".into());
    }
    let answer = String::from_utf8(output.stdout)?;
    Ok(answer.lines().last().ok_or("the peer said nothing")?.to_owned())
}
