//! Debian packages, for the pieces that only the system can bring. Used by root on a Debian machine alone; everyone
//! else is told what to install.

use std::process::Command;

use crate::problem::{Done, Problem};
use crate::project::Project;
use crate::shell;

/// Whether `install` can work here at all.
pub fn available() -> bool {
    is_root() && shell::find_program("apt-get").is_some()
}

pub fn is_root() -> bool {
    shell::capture(Command::new("id").arg("-u")).is_ok_and(|uid| uid == "0")
}

/// Installs packages, refreshing the package lists only when the first try fails: a fresh machine has none, and a
/// used one should not wait for them.
pub fn install(project: &Project, packages: &[&str]) -> Done {
    if !available() {
        return Err(Problem::new(format!("these Debian packages are missing: {}", packages.join(" ")))
            .hint(format!("as root: apt-get install --no-install-recommends {}", packages.join(" "))));
    }
    shell::timed(&format!("installing {} with apt-get", packages.join(" ")), || {
        let log = project.log("apt");
        let install = || {
            let mut command = apt_get();
            command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
            shell::logged(&mut command, &log)
        };
        install().or_else(|_| {
            shell::logged(apt_get().arg("update"), &log)?;
            install()
        })
    })
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}
