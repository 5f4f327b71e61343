//! `cargo xtask dev`: `cargo leptos watch` with everything that it needs, for working on the screen.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::toolchain::{self, Toolchain};
use crate::{lint, model, packages, shell, site};

const CARGO_LEPTOS: &str = "0.3.11";

pub fn dev(project: &Project, addr: Option<String>) -> Done {
    let toolchain = toolchain::ensure(project)?;
    model::ensure(project)?;
    packages::ensure_npm(project, &project.style())?;
    ensure_cargo_leptos(project, &toolchain)?;
    link_wasm_bindgen(project)?;

    let addr = addr.unwrap_or_else(|| project.site.addr.clone());
    shell::say(format!("watching the sources, and serving on http://{addr} (Ctrl-C stops it)"));
    let mut watch = Command::new("cargo");
    toolchain.environment(&mut watch);
    watch
        .current_dir(&project.root)
        // The pages come in parts, so there is no way to build them as one.
        .args(["leptos", "watch", "--split", "--", "serve"])
        .env("PATH", lint::with_tools(project))
        .env("LEPTOS_SITE_ADDR", &addr)
        .env("INSIGHTHUB_ADDR", &addr)
        .env("INSIGHTHUB_MODELS_DIR", project.models());
    Err(Problem::new(format!("cannot start cargo leptos: {}", watch.exec())))
}

/// cargo-leptos takes its tools from PATH; the version of wasm-bindgen must be the one in Cargo.lock.
pub fn link_wasm_bindgen(project: &Project) -> Done {
    let bindgen = site::ensure_bindgen(project)?.bindgen;
    let link = project.tools().join("wasm-bindgen");
    shell::make_parent(&link)?;
    let _ = std::fs::remove_file(&link);
    symlink(&bindgen, &link).doing(|| format!("cannot link {}", link.display()))
}

pub fn has_cargo_leptos(project: &Project) -> bool {
    shell::find_program("cargo-leptos").is_some() || project.tools().join("cargo-leptos").is_file()
}

/// Installs cargo-leptos when neither PATH nor the cache has it. Its own release profile takes 21 minutes and 4 GB on
/// two cores; without link-time optimisation it is 13 minutes, and the tool is as quick to use.
fn ensure_cargo_leptos(project: &Project, toolchain: &Toolchain) -> Done {
    let place = project.tools();
    if has_cargo_leptos(project) {
        return Ok(());
    }
    shell::timed(&format!("installing cargo-leptos {CARGO_LEPTOS} (about 13 minutes, once)"), || {
        let root = project.cache.join("cargo-leptos");
        let mut cargo = toolchain.cargo();
        cargo
            .args([
                "install",
                "cargo-leptos",
                "--version",
                CARGO_LEPTOS,
                "--locked",
                // Its lock file names a crate that declares a later compiler than one of ours, and needs none.
                "--ignore-rust-version",
                "--features",
                "no_downloads",
            ])
            .arg("--root")
            .arg(&root)
            // A folder of its own, removed afterwards: nothing of it is shared with the project.
            .env("CARGO_TARGET_DIR", root.join("target"))
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        shell::run(&mut cargo)?;
        shell::make_dir(&place)?;
        std::fs::rename(root.join("bin/cargo-leptos"), place.join("cargo-leptos"))
            .doing(|| format!("cannot write into {}", place.display()))?;
        shell::remove_dir(&root)
    })
}
