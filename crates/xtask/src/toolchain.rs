//! The compiler with the WASM target. An ordinary machine has it after `rustup target add`; where that cannot be
//! reached, Debian's own compiler is linked into rustup under this project's name and the WASM standard library is
//! built from the sources that Debian ships with it. This command itself is compiled by whatever `cargo` is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::{apt, shell};

pub const WASM: &str = "wasm32-unknown-unknown";

/// The name under which Debian's compiler is linked into rustup.
const LINKED: &str = "insighthub";

/// Debian's compiler with its sources, linker, lints and formatter. They install side by side with anything else.
const DEBIAN_PACKAGES: [&str; 7] =
    ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "rust-web-clippy", "rustfmt-web", "lld-22"];

/// A toolchain that compiles for this machine and for the browser.
pub struct Toolchain {
    /// For `RUSTUP_TOOLCHAIN`; none where rustup's present choice (or a compiler without rustup) has it all.
    name: Option<&'static str>,
    target: PathBuf,
    root: PathBuf,
}

impl Toolchain {
    /// `cargo` with this toolchain, in the clone, into the one target folder.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        if let Some(name) = self.name {
            command.env("RUSTUP_TOOLCHAIN", name);
        }
        leave_outer_cargo(&mut command);
        command
    }

    /// What the other programs that call cargo themselves (cargo-leptos) need.
    pub fn environment(&self, command: &mut Command) {
        command.env("CARGO_TARGET_DIR", &self.target);
        if let Some(name) = self.name {
            command.env("RUSTUP_TOOLCHAIN", name);
        }
        leave_outer_cargo(command);
    }
}

/// `cargo` as this command was itself compiled: for its own tests and its helper, which need no WASM target and are
/// compiled already.
pub fn outer_cargo(project: &Project) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&project.root).env("CARGO_TARGET_DIR", &project.target);
    leave_outer_cargo(&mut command);
    command
}

/// Forgets what the outer `cargo run` set for this process: its compiler's libraries must not be loaded by another
/// compiler, nor its package's variables be taken for another package's.
fn leave_outer_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name == "CARGO"
            || name == "CARGO_MANIFEST_DIR"
            || name == "CARGO_MANIFEST_PATH"
            || name.starts_with("CARGO_PKG_")
        {
            command.env_remove(name);
        }
    }
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        let kept = std::env::split_paths(&paths).filter(|path| {
            let path = path.to_string_lossy();
            !path.contains("/rustlib/")
                && !path.contains("/toolchains/")
                && !path.ends_with("/deps")
                && !path.contains("/build/")
        });
        match std::env::join_paths(kept) {
            Ok(kept) if !kept.is_empty() => command.env("LD_LIBRARY_PATH", kept),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
}

/// Finds a toolchain with the WASM target, or makes one.
pub fn ensure(project: &Project) -> Done<Toolchain> {
    let found = |name| Toolchain { name, target: project.target.clone(), root: project.root.clone() };
    if has_wasm(None) {
        return Ok(found(None));
    }
    let rustup = shell::find_program("rustup").is_some();
    if rustup && has_wasm(Some(LINKED)) {
        return Ok(found(Some(LINKED)));
    }
    if rustup {
        let add = shell::timed(&format!("adding the target {WASM} with rustup"), || {
            let mut command = Command::new("rustup");
            command.args(["target", "add", WASM]);
            shell::logged_within(&mut command, &project.log("rustup"), Duration::from_secs(600))
        });
        if add.is_ok() && has_wasm(None) {
            return Ok(found(None));
        }
        shell::say("rustup cannot bring the target here; Debian's compiler can");
    }
    if !rustup || !apt::available() {
        return Err(Problem::new(format!("no compiler with the target {WASM} is here")).hint(format!(
            "`rustup target add {WASM}`; where rustup reaches no server, run this command as root on Debian 12, \
             which then installs Debian's compiler"
        )));
    }
    install_debian(project)?;
    if has_wasm(Some(LINKED)) {
        Ok(found(Some(LINKED)))
    } else {
        Err(Problem::new("Debian's compiler is installed, but it has no WASM standard library")
            .hint(format!("see the logs in {}", project.cache.join("log").display())))
    }
}

/// Whether the toolchain has a standard library for the browser. Asked of the compiler itself, in a folder where no
/// configuration of this project can answer for it.
fn has_wasm(name: Option<&str>) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", WASM]);
    if let Some(name) = name {
        rustc.env("RUSTUP_TOOLCHAIN", name);
    }
    leave_outer_cargo(&mut rustc);
    shell::capture(&mut rustc).is_ok_and(|dir| has_core(Path::new(&dir)))
}

fn has_core(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("libcore-")))
    })
}

fn install_debian(project: &Project) -> Done {
    let compiler = Path::new("/usr/bin/rustc");
    if !compiler.is_file() || debian_library().is_err() {
        apt::install(project, &DEBIAN_PACKAGES)?;
    }
    let place = Path::new("/usr/lib/rustlib").join(WASM).join("lib");
    if !has_core(&place) {
        build_std(project, &place)?;
    }
    shell::run(Command::new("rustup").args(["toolchain", "link", LINKED, "/usr"]))
}

/// Builds the WASM standard library with Debian's compiler and puts it into `place`.
pub fn build_std(project: &Project, place: &Path) -> Done {
    let library = debian_library()?;
    let work = project.cache.join("wasm-std");
    shell::timed("building the WASM standard library from Debian's sources", || {
        shell::remove_dir(&work)?;
        // A copy, since cargo writes beside the sources, and those belong to Debian.
        shell::run(Command::new("cp").arg("-R").arg(&library).arg(&work))?;
        let mut cargo = Command::new("/usr/bin/cargo");
        leave_outer_cargo(&mut cargo);
        cargo
            .current_dir(&work)
            .args(["build", "--package", "sysroot", "--profile", "dist", "--target", WASM, "--locked"])
            .args(["--no-default-features", "--features", "panic-unwind compiler-builtins-mem"])
            // Called by its full path, so that no rustup stands between; the project's own settings must not reach in.
            .env("RUSTC", "/usr/bin/rustc")
            .env("CARGO_TARGET_DIR", work.join("target"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("__CARGO_DEFAULT_LIB_METADATA", "stablestd")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes -Zforce-unstable-if-unmarked");
        shell::logged(&mut cargo, &project.log("wasm-std"))?;
        shell::make_dir(place)?;
        let made = work.join("target").join(WASM).join("dist/deps");
        for file in shell::files_under(&made)?.iter().filter(|f| f.extension().is_some_and(|e| e == "rlib")) {
            let name = file.file_name().unwrap_or_default();
            fs::copy(file, place.join(name))
                .doing(|| format!("cannot copy {} to {}", file.display(), place.display()))?;
        }
        shell::remove_dir(&work)
    })
}

/// The sources of the standard library of the very compiler that Debian installed.
fn debian_library() -> Done<PathBuf> {
    let said = shell::capture(Command::new("/usr/bin/rustc").arg("--version"))?;
    let version = said.split_whitespace().nth(1).unwrap_or_default();
    let library = PathBuf::from(format!("/usr/src/rustc-{version}/library"));
    if library.is_dir() {
        Ok(library)
    } else {
        Err(Problem::new(format!("{} is not there", library.display()))
            .hint("as root: apt-get install rust-web-src"))
    }
}
