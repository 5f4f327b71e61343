//! The other side of a comparison: a program in Python or JavaScript, in an environment of its own that is no part of the
//! product.

use crate::Failure;
use std::{
    ffi::OsStr,
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

/// The Python that runs the example of an outside worker.
///
/// # Errors
/// Those of [`python`].
pub fn with_pika() -> Result<PathBuf, Failure> {
    python(&cache().join("pika"), &["pika==1.3.2"])
}

/// The folder of these npm packages (`name@version`), fetched into `home` when they are not there yet.
///
/// # Errors
/// When there is no npm, or a package could not be fetched.
pub fn npm(home: &Path, packages: &[&str]) -> Result<PathBuf, Failure> {
    let ready = home.join("ready");
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&ready).is_ok_and(|there| there == wanted) {
        return Ok(home.join("node_modules"));
    }
    std::fs::create_dir_all(home)?;
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix"])
        .arg(home)
        .args(packages);
    let installed =
        install.stdout(Stdio::null()).status().map_err(|e| format!("npm cannot be started: {e}"))?;
    if !installed.success() {
        return Err("npm could not fetch the peer; its words are above".into());
    }
    std::fs::write(ready, wanted)?;
    Ok(home.join("node_modules"))
}

/// The files of these Debian packages, fetched and unpacked below `home`: nothing is installed, and nothing of it runs by
/// itself.
///
/// # Errors
/// When this is no Debian, or a package could not be fetched.
pub fn debian(home: &Path, packages: &[&str]) -> Result<PathBuf, Failure> {
    let (ready, root) = (home.join("ready"), home.join("root"));
    if ready.exists() {
        return Ok(root);
    }
    std::fs::create_dir_all(&root)?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["--quiet", "--quiet"]).args(arguments).current_dir(home);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let download: Vec<&str> = ["download"].into_iter().chain(packages.iter().copied()).collect();
    // A fresh machine has no lists of packages yet, and a used one should not wait for them.
    let fetched = apt_get(&download) || (apt_get(&["update"]) && apt_get(&download));
    if !fetched {
        return Err(format!("apt-get could not fetch {}", packages.join(" ")).into());
    }
    for file in std::fs::read_dir(home)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "deb")
            && !Command::new("dpkg").arg("-x").arg(&file).arg(&root).status()?.success()
        {
            return Err(format!("{} could not be unpacked", file.display()).into());
        }
    }
    std::fs::write(ready, "")?;
    Ok(root)
}

/// A program on a core of its own, so that the server under test and whoever asks it do not share one; where that cannot
/// be had, the program as it is.
pub fn on_core(core: usize, program: impl AsRef<OsStr>) -> Command {
    let core = core.to_string();
    let mut probe = Command::new("taskset");
    probe.args(["--cpu-list", &core, "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core]).arg(program);
    command
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
