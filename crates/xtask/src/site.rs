//! The site: what the browser fetches. Four steps, as cargo-leptos does them and with its settings: cargo for the
//! WASM, wasm-bindgen and esbuild for its JavaScript, Tailwind for the style sheet, wasm-opt for the size; then hashed
//! names and brotli. Each stage keeps a stamp of what it was made from and is skipped while that is unchanged.
//!
//! Layout in the target folder, where `site` and `hash.txt` always lie side by side:
//! ```text
//! site-work/            the stages, their stamps, and the lock that keeps two builds apart
//! release/insighthub    the server, with `release/site/` and `release/hash.txt` beside it
//! debug/insighthub      the same for tests
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::problem::{Doing, Done, Problem};
use crate::project::{Profile, Project};
use crate::shell;
use crate::stamp::{self, Inputs, StampFile};
use crate::toolchain::{self, Toolchain};

/// Part of every stamp: to be raised when the steps below change what they make.
const RECIPE: &str = "1";

const COMPRESS: &str = include_str!("../js/compress.mjs");

/// The sizes that matter to a visitor, in bytes: file name, as built, with brotli.
pub type Sizes = Vec<(String, u64, u64)>;

/// Builds the site and lays it beside the executables of `profile`.
pub fn build(project: &Project, toolchain: &Toolchain, profile: Profile) -> Done {
    packages::ensure_npm(project, &project.style())?;
    let wasm = compile(project, toolchain)?;
    let work = project.target.join("site-work");
    shell::make_dir(&work)?;
    let lock = File::create(work.join("lock")).doing(|| format!("cannot write into {}", work.display()))?;
    lock.lock().doing(|| "cannot wait for another build of the site".to_owned())?;

    let front = front(project, &wasm, &work.join("front"))?;
    let style = style(project, &work.join("style"))?;
    let whole = assemble(project, &front, &style, &work.join("whole"))?;
    place_beside_executable(&whole, &project.profile_dir(profile))
}

/// A finished stage: its folder, and the stamp of what it was made from.
struct Stage {
    dir: PathBuf,
    stamp: String,
}

/// Does a stage when its stamp does not match.
fn stage(dir: &Path, inputs: Inputs, make: impl FnOnce(&Path) -> Done) -> Done<Stage> {
    let stamp = inputs.value("recipe", RECIPE).stamp();
    let kept = StampFile::at(dir.with_extension("stamp"));
    if !kept.matches(&stamp) || !dir.is_dir() {
        kept.forget();
        shell::remove_dir(dir)?;
        shell::make_dir(dir)?;
        make(dir)?;
        kept.keep(&stamp)?;
    }
    Ok(Stage { dir: dir.to_path_buf(), stamp })
}

/// Step 1: cargo. It knows itself what is out of date.
fn compile(project: &Project, toolchain: &Toolchain) -> Done<PathBuf> {
    let site = &project.site;
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--lib", "--package", &site.lib_package, "--target", toolchain::WASM]);
    cargo.args(["--profile", &site.lib_profile]);
    if !site.lib_default_features {
        cargo.arg("--no-default-features");
    }
    if !site.lib_features.is_empty() {
        cargo.arg("--features").arg(site.lib_features.join(","));
    }
    shell::timed("compiling the browser's half to WASM", || shell::run(&mut cargo))?;
    let name = format!("{}.wasm", site.lib_package.replace('-', "_"));
    let wasm = project.target.join(toolchain::WASM).join(&site.lib_profile).join(name);
    if wasm.is_file() {
        Ok(wasm)
    } else {
        Err(Problem::new(format!("cargo made no {}", wasm.display()))
            .hint(format!("the package `{}` needs crate-type = [\"cdylib\", \"rlib\"]", site.lib_package)))
    }
}

/// Steps 2 and 4: the JavaScript that loads the WASM, bundled with its snippets into one small file, and the WASM made
/// as small as it goes.
fn front(project: &Project, wasm: &Path, dir: &Path) -> Done<Stage> {
    let name = &project.site.output_name;
    let style = project.style();
    let inputs = Inputs::new()
        .file("wasm", wasm)?
        .file("tools", &style.join("package-lock.json"))?
        .file("bindgen", &project.root.join("crates/xtask-bindgen/Cargo.toml"))?
        .value("wasm-opt", project.site.wasm_opt.join(" "));
    stage(dir, inputs, |dir| {
        let raw = dir.join("raw");
        shell::timed("generating the JavaScript of the WASM (wasm-bindgen)", || {
            let mut bindgen = bindgen(project)?;
            bindgen.args(["--target", "web", "--no-typescript", "--out-name", name, "--out-dir"]);
            shell::run(bindgen.arg(&raw).arg(wasm))
        })?;
        shell::timed("shrinking the WASM (wasm-opt)", || {
            let mut opt = Command::new(style.join("node_modules/.bin/wasm-opt"));
            opt.args(&project.site.wasm_opt).arg(raw.join(format!("{name}_bg.wasm")));
            shell::logged(opt.arg("-o").arg(dir.join(format!("{name}.wasm"))), &project.log("wasm-opt"))
        })?;
        let mut esbuild = Command::new(style.join("node_modules/.bin/esbuild"));
        esbuild
            .arg(raw.join(format!("{name}.js")))
            .args(["--bundle", "--minify", "--format=esm", "--target=es2022", "--log-level=warning"])
            .arg(format!("--outfile={}", dir.join(format!("{name}.js")).display()));
        shell::run(&mut esbuild)?;
        shell::remove_dir(&raw)
    })
}

/// The project's own `wasm-bindgen`, compiled when a WASM has to be processed and not before.
fn bindgen(project: &Project) -> Done<Command> {
    Ok(Command::new(ensure_bindgen(project)?))
}

/// Compiles the project's own `wasm-bindgen`; where its executable lies.
pub fn ensure_bindgen(project: &Project) -> Done<PathBuf> {
    let mut cargo = toolchain::outer_cargo(project);
    // Its own profile: as optimised as `dev` makes dependencies it would compile for three minutes, not half of one.
    cargo.args(["build", "--quiet", "--package", "xtask-bindgen", "--profile", "tools"]);
    shell::timed("compiling wasm-bindgen", || shell::run(&mut cargo))?;
    Ok(project.target.join("tools/xtask-bindgen"))
}

/// Step 3: the style sheet, of the classes that the components use.
fn style(project: &Project, dir: &Path) -> Done<Stage> {
    let source = |path: &Path| path.extension().is_some_and(|e| e == "rs" || e == "css");
    let inputs = Inputs::new()
        .dir(&project.style(), |_| true)?
        .dir(&project.root.join("app/src"), source)?
        .dir(&project.root.join("frontend/src"), source)?;
    stage(dir, inputs, |dir| {
        shell::timed("making the style sheet (Tailwind)", || {
            let mut tailwind = Command::new(project.style().join("node_modules/.bin/tailwindcss"));
            tailwind
                .current_dir(&project.root)
                .arg("--input")
                .arg(&project.site.tailwind_input)
                .args(["--minify", "--output"])
                .arg(dir.join(format!("{}.css", project.site.output_name)));
            shell::logged(&mut tailwind, &project.log("tailwind"))
        })
    })
}

/// Puts the parts together: `public/` as it is, the rest under names with their hashes, and brotli beside them.
fn assemble(project: &Project, front: &Stage, style: &Stage, dir: &Path) -> Done<Stage> {
    let public = project.root.join(&project.site.assets_dir);
    let inputs = Inputs::new()
        .value("front", &front.stamp)
        .value("style", &style.stamp)
        .value("compress", COMPRESS)
        .dir(&public, |_| true)?;
    stage(dir, inputs, |dir| {
        let site = dir.join("site");
        let pkg = site.join(&project.site.pkg_dir);
        shell::make_dir(&pkg)?;
        shell::copy_dir(&public, &site)?;
        let hashes = place_hashed(&project.site.output_name, &front.dir, &style.dir, &pkg)?;
        shell::write(&dir.join("hash.txt"), hash_file(&hashes))?;
        let script = dir.join("compress.mjs");
        shell::write(&script, COMPRESS)?;
        let sizes = shell::timed("compressing the site (brotli)", || {
            shell::capture(Command::new("node").arg(&script).arg(&site))
        })?;
        shell::write(&dir.join("sizes.txt"), &sizes)?;
        for (name, plain, small) in parse_sizes(&sizes) {
            if name.starts_with(&project.site.pkg_dir) {
                shell::say(format!(
                    "  {name}: {} KB, {} KB with brotli",
                    plain.div_ceil(1000),
                    small.div_ceil(1000)
                ));
            }
        }
        Ok(())
    })
}

/// What `compress.mjs` printed: `name plain small` a line.
fn parse_sizes(text: &str) -> Sizes {
    let line = |line: &str| {
        let mut words = line.rsplitn(3, ' ');
        let (small, plain, name) = (words.next()?, words.next()?, words.next()?);
        Some((name.to_owned(), plain.parse().ok()?, small.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Places the WASM, the script and the style sheet under `NAME.HASH.EXT`, so that they can be cached for ever. The
/// script names the WASM by default, so it is hashed after it learnt the WASM's new name.
fn place_hashed(name: &str, front: &Path, style: &Path, pkg: &Path) -> Done<BTreeMap<&'static str, String>> {
    let mut hashes = BTreeMap::new();
    let mut place = |ext: &'static str, bytes: Vec<u8>| {
        let hash = short_hash(&bytes);
        let file = format!("{name}.{hash}.{ext}");
        hashes.insert(ext, hash);
        shell::write(&pkg.join(&file), bytes).map(|()| file)
    };
    let wasm = place("wasm", shell::read(&front.join(format!("{name}.wasm")))?)?;
    let script =
        fs::read_to_string(front.join(format!("{name}.js"))).doing(|| "cannot read the script".to_owned())?;
    let script = script.replace(&format!("{name}_bg.wasm"), &wasm);
    place("js", script.into_bytes())?;
    place("css", shell::read(&style.join(format!("{name}.css")))?)?;
    Ok(hashes)
}

/// 80 bits of SHA-256: names that no two versions ever share, and short enough to read.
fn short_hash(bytes: &[u8]) -> String {
    stamp::sha256(bytes)[..20].to_owned()
}

/// `hash.txt` as Leptos reads it: `js: HASH`, one a line.
fn hash_file(hashes: &BTreeMap<&'static str, String>) -> String {
    hashes.iter().map(|(ext, hash)| format!("{ext}: {hash}\n")).collect()
}

/// Lays `site/` and `hash.txt` beside an executable. Copies rather than links, so that the three can be packed and
/// carried elsewhere as they are. The new files come before the new `hash.txt`, so a server that runs meanwhile never
/// names a file that is not there.
fn place_beside_executable(whole: &Stage, dir: &Path) -> Done {
    shell::make_dir(dir)?;
    let kept = StampFile::at(dir.join(".site-stamp"));
    let hash = shell::read(&whole.dir.join("hash.txt"))?;
    let hash_place = dir.join("hash.txt");
    // cargo-leptos writes the same file for its own builds, so the stamp alone does not tell.
    if kept.matches(&whole.stamp)
        && fs::read(&hash_place).is_ok_and(|there| there == hash)
        && dir.join("site").is_dir()
    {
        return Ok(());
    }
    kept.forget();
    let (new, old) = (dir.join("site.new"), dir.join("site.old"));
    shell::remove_dir(&new)?;
    shell::remove_dir(&old)?;
    shell::copy_dir(&whole.dir.join("site"), &new)?;
    let place = dir.join("site");
    if place.exists() {
        fs::rename(&place, &old).doing(|| format!("cannot move {}", place.display()))?;
    }
    fs::rename(&new, &place).doing(|| format!("cannot move {}", new.display()))?;
    let half = dir.join("hash.txt.half");
    shell::write(&half, hash)?;
    fs::rename(&half, &hash_place).doing(|| format!("cannot write {}", hash_place.display()))?;
    shell::remove_dir(&old)?;
    kept.keep(&whole.stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_agree_with_hash_txt_and_with_what_the_script_loads() {
        let dir = tempfile::tempdir().expect("a folder");
        let (front, style, pkg) =
            (dir.path().join("front"), dir.path().join("style"), dir.path().join("pkg"));
        shell::write(&front.join("app.wasm"), "wasm").expect("written");
        shell::write(&front.join("app.js"), "new URL('app_bg.wasm', import.meta.url)").expect("written");
        shell::write(&style.join("app.css"), "a{}").expect("written");
        let hashes = place_hashed("app", &front, &style, &pkg).expect("placed");
        for (ext, hash) in &hashes {
            assert!(pkg.join(format!("app.{hash}.{ext}")).is_file(), "{ext}");
        }
        let script = fs::read_to_string(pkg.join(format!("app.{}.js", hashes["js"]))).expect("the script");
        assert!(script.contains(&format!("app.{}.wasm", hashes["wasm"])), "{script}");
        assert_eq!(short_hash(script.as_bytes()), hashes["js"]);
        assert_eq!(
            hash_file(&hashes),
            format!("css: {}\njs: {}\nwasm: {}\n", hashes["css"], hashes["js"], hashes["wasm"])
        );
    }

    #[test]
    fn a_stage_is_done_once_and_again_after_an_interruption() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = dir.path().join("stage");
        let mut times = 0;
        let mut run = |value: &str, fails: bool| {
            stage(&place, Inputs::new().value("input", value), |dir| {
                times += 1;
                shell::write(&dir.join("out"), value)?;
                if fails { Err(Problem::new("interrupted")) } else { Ok(()) }
            })
            .is_ok()
        };
        assert!(run("a", false));
        assert!(run("a", false));
        assert!(!run("b", true));
        assert!(run("b", false));
        assert!(run("b", false));
        assert_eq!(times, 3);
    }

    #[test]
    fn a_new_site_replaces_the_old_one_beside_the_executable() {
        let dir = tempfile::tempdir().expect("a folder");
        let (whole, exe) = (dir.path().join("whole"), dir.path().join("release"));
        let put = |version: &str| {
            shell::remove_dir(&whole).expect("removed");
            shell::write(&whole.join("hash.txt"), version).expect("written");
            shell::write(&whole.join(format!("site/pkg/{version}.js")), version).expect("written");
            place_beside_executable(&Stage { dir: whole.clone(), stamp: version.to_owned() }, &exe)
                .expect("placed");
        };
        put("one");
        put("two");
        assert!(exe.join("site/pkg/two.js").is_file());
        assert!(!exe.join("site/pkg/one.js").exists());
        assert_eq!(fs::read_to_string(exe.join("hash.txt")).expect("a hash file"), "two");
    }

    #[test]
    fn sizes_are_read_even_of_names_with_spaces() {
        assert_eq!(parse_sizes("pkg/a b.js 10 5\nnonsense"), [("pkg/a b.js".to_owned(), 10, 5)]);
    }
}
