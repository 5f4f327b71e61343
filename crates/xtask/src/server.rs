//! The server's executable, with its site beside it: building it, running it.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::problem::{Doing, Done, Problem};
use crate::project::{Profile, Project};
use crate::toolchain::{self, Toolchain};
use crate::{model, shell, site};

/// Everything that `target/release/insighthub` needs to run.
pub fn build(project: &Project) -> Done<Toolchain> {
    let toolchain = toolchain::ensure(project)?;
    model::ensure(project)?;
    build_profile(project, &toolchain, Profile::Release)?;
    link_into_clone(project)?;
    Ok(toolchain)
}

/// The server of a profile with its site beside it.
pub fn build_profile(project: &Project, toolchain: &Toolchain, profile: Profile) -> Done {
    site::build(project, toolchain, profile)?;
    compile(project, toolchain, profile)
}

/// The server of a profile, and for tests all else that they want.
pub fn compile(project: &Project, toolchain: &Toolchain, profile: Profile) -> Done {
    let mut cargo = toolchain.cargo();
    match profile {
        Profile::Release => {
            let settings = &project.site;
            cargo.args([
                "build",
                "--release",
                "--package",
                &settings.bin_package,
                "--bin",
                &settings.bin_target,
            ]);
            if !settings.bin_features.is_empty() {
                cargo.arg("--features").arg(settings.bin_features.join(","));
            }
        }
        // One call with all that tests and smoke benches want: cargo unites the features of what it builds together,
        // so a call for the server alone would compile half of it a second time.
        Profile::Dev => {
            cargo.arg("build").args(DEV_TARGETS);
        }
    }
    let what = match profile {
        Profile::Release => "compiling the server",
        Profile::Dev => "compiling the server and the tests",
    };
    shell::timed(what, || shell::run(&mut cargo))
}

/// The targets of the one native profile's build, of all default members.
pub const DEV_TARGETS: [&str; 3] = ["--bins", "--tests", "--benches"];

/// Builds, then becomes the server: signals reach it directly, and its exit code is this command's.
pub fn run(project: &Project, addr: Option<String>, args: &[std::ffi::OsString]) -> Done {
    build(project)?;
    let addr =
        addr.or_else(|| std::env::var("INSIGHTHUB_ADDR").ok()).unwrap_or_else(|| project.site.addr.clone());
    shell::say(format!("starting InsightHub on http://{addr} (Ctrl-C stops it)"));
    let mut server = Command::new(project.server(Profile::Release));
    server
        .arg("serve")
        .args(args)
        .env("INSIGHTHUB_ADDR", &addr)
        .env("INSIGHTHUB_MODELS_DIR", project.models());
    // Where the outer cargo stood is no business of the server's.
    server.env_remove("LD_LIBRARY_PATH");
    Err(Problem::new(format!(
        "cannot start {}: {}",
        project.server(Profile::Release).display(),
        server.exec()
    )))
}

/// The documented place of the release is `target/release` of the clone; when the target folder lies elsewhere, links
/// lead there.
fn link_into_clone(project: &Project) -> Done {
    let (from, to) = (project.profile_dir(Profile::Release), project.root.join("target/release"));
    if from == to || std::env::var_os("CARGO_TARGET_DIR").is_some_and(|dir| !dir.is_empty()) {
        return Ok(());
    }
    shell::make_dir(&to)?;
    for name in [project.site.bin_target.as_str(), "site", "hash.txt"] {
        let link = to.join(name);
        if fs::read_link(&link).is_ok_and(|there| there == from.join(name)) {
            continue;
        }
        if link.is_dir() && !link.is_symlink() {
            shell::remove_dir(&link)?;
        } else if link.is_symlink() || link.exists() {
            fs::remove_file(&link).doing(|| format!("cannot replace {}", link.display()))?;
        }
        symlink(from.join(name), &link).doing(|| format!("cannot link {}", link.display()))?;
    }
    Ok(())
}
