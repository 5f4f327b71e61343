//! The site: what the browser fetches. The steps of cargo-leptos with its settings: cargo for the WASM, wasm-split for
//! its parts, wasm-bindgen and esbuild for its JavaScript, Tailwind for the style sheet, wasm-opt for the size; then
//! hashed names and brotli. Each stage keeps a stamp of what it was made from and is skipped while that is unchanged.
//!
//! Layout in the target folder, where `site` and `hash.txt` always lie side by side:
//! ```text
//! site-work/            the stages, their stamps, and the lock that keeps two builds apart
//! release/insighthub    the server, with `release/site/` and `release/hash.txt` beside it
//! debug/insighthub      the same for tests
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::problem::{Doing, Done, Problem};
use crate::project::{Profile, Project};
use crate::shell;
use crate::stamp::{self, Inputs, StampFile};
use crate::toolchain::{self, Toolchain};
use crate::{packages, packs, parts};

/// Part of every stamp: to be raised when the steps below change what they make.
const RECIPE: &str = "4";

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
    cargo.args(["rustc", "--lib", "--package", &site.lib_package, "--target", toolchain::WASM]);
    cargo.args(["--profile", &site.lib_profile]);
    if !site.lib_default_features {
        cargo.arg("--no-default-features");
    }
    if !site.lib_features.is_empty() {
        cargo.arg("--features").arg(site.lib_features.join(","));
    }
    // Without them nobody could tell which function needs which, and the WASM could not be taken apart.
    cargo.args(["--", "-Clink-args=--emit-relocs"]);
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

/// Steps 2 and 4: the parts of the WASM, made as small as they go, and the JavaScript that loads them: one small file
/// for the main part with its snippets, and one for the others.
fn front(project: &Project, wasm: &Path, dir: &Path) -> Done<Stage> {
    let name = &project.site.output_name;
    let style = project.style();
    let inputs = Inputs::new()
        .file("wasm", wasm)?
        .file("tools", &style.join("package-lock.json"))?
        .dir(&project.root.join("crates/xtask-bindgen"), |_| true)?
        .value("wasm-opt", project.site.wasm_opt.join(" "));
    stage(dir, inputs, |dir| {
        let raw = dir.join("raw");
        shell::make_dir(&raw)?;
        let tools = ensure_bindgen(project)?;
        shell::timed("taking the WASM apart (wasm-split)", || {
            shell::run(Command::new(&tools.split).arg(wasm).arg(&raw).arg(name))
        })?;
        shell::timed("generating the JavaScript of the WASM (wasm-bindgen)", || {
            let mut bindgen = Command::new(&tools.bindgen);
            bindgen.args(["--target", "web", "--no-typescript", "--out-name", name, "--out-dir"]).arg(&raw);
            // The parts call the main one by what the linker exports, and by names that must stay as they are.
            bindgen.args(["--keep-lld-exports", "--no-demangle", "--short-names"]);
            shell::run(bindgen.arg(raw.join(format!("{name}.wasm"))))
        })?;
        shell::timed("shrinking the WASM (wasm-opt)", || {
            // Under the name that the split gave the main part, which nobody reads any more.
            let main = raw.join(format!("{name}.wasm"));
            let bound = raw.join(format!("{name}_bg.wasm"));
            fs::rename(&bound, &main).doing(|| format!("cannot move {}", bound.display()))?;
            let mut parts = shell::files_with(&raw, "wasm")?;
            // The main part takes longest, so it comes first.
            parts.sort_by_key(|file| Reverse(fs::metadata(file).map_or(0, |found| found.len())));
            shell::side_by_side(&parts, |file| {
                let small = dir.join(file.file_name().unwrap_or_default());
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                let mut opt = Command::new(style.join("node_modules/.bin/wasm-opt"));
                opt.args(&project.site.wasm_opt).arg(file).arg("-o").arg(&small);
                shell::logged(&mut opt, &raw.join(format!("{stem}.log")))?;
                shell::run(Command::new(&tools.order).arg(small))
            })
        })?;
        let minified = |file: &str, more: &[&str]| {
            let mut esbuild = Command::new(style.join("node_modules/.bin/esbuild"));
            esbuild
                .arg(raw.join(file))
                .args(["--minify", "--format=esm", "--target=es2022", "--log-level=warning"])
                .args(more)
                .arg(format!("--outfile={}", dir.join(file).display()));
            shell::run(&mut esbuild)
        };
        minified(
            &format!("{name}.js"),
            &[
                "--bundle",
                &format!("--external:./{}", parts::LOADER),
                "--log-override:duplicate-object-key=silent",
            ],
        )?;
        let text = |file: &str| {
            let file = raw.join(file);
            fs::read_to_string(&file).doing(|| format!("cannot read {}", file.display()))
        };
        let list = serde_json::from_str(&text(parts::LIST)?)
            .doing(|| format!("{} is no list of parts", parts::LIST))?;
        let (loader, list) = packs::pack(dir, &text(parts::LOADER)?, &list)?;
        shell::write(&raw.join(parts::LOADER), loader)?;
        minified(parts::LOADER, &[])?;
        shell::write(&dir.join(parts::LIST), Value::from_iter(list).to_string())?;
        shell::remove_dir(&raw)
    })
}

/// The helper programs.
pub struct Tools {
    pub bindgen: PathBuf,
    pub split: PathBuf,
    pub order: PathBuf,
}

/// Compiles the project's own `wasm-bindgen` and `wasm-split`, which is done when a WASM has to be processed and not
/// before; where their executables lie.
pub fn ensure_bindgen(project: &Project) -> Done<Tools> {
    let mut cargo = toolchain::outer_cargo(project);
    // Its own profile: as optimised as `dev` makes dependencies it would compile for minutes.
    cargo.args(["build", "--quiet", "--package", "xtask-bindgen", "--profile", "tools"]);
    shell::timed("compiling wasm-bindgen and wasm-split", || shell::run(&mut cargo))?;
    let program = |name| project.target.join("tools").join(name);
    Ok(Tools {
        bindgen: program("xtask-bindgen"),
        split: program("xtask-split"),
        order: program("xtask-order"),
    })
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

/// Places the browser's half and the style sheet under names with hashes, so that they can be cached for ever.
fn place_hashed(name: &str, front: &Path, style: &Path, pkg: &Path) -> Done<BTreeMap<&'static str, String>> {
    let mut hashes = parts::place(name, front, pkg)?;
    let look = shell::read(&style.join(format!("{name}.css")))?;
    let hash = short_hash(&look);
    shell::write(&pkg.join(format!("{name}.{hash}.css")), look)?;
    hashes.insert("css", hash);
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
    fn hashed_names_agree_with_hash_txt() {
        let dir = tempfile::tempdir().expect("a folder");
        let (front, style, pkg) =
            (dir.path().join("front"), dir.path().join("style"), dir.path().join("pkg"));
        shell::write(&front.join("app.wasm"), parts::LOADER).expect("written");
        shell::write(&front.join("app.js"), "").expect("written");
        shell::write(&front.join(parts::LOADER), "").expect("written");
        shell::write(&front.join(parts::LIST), "{}").expect("written");
        shell::write(&style.join("app.css"), "a{}").expect("written");
        let hashes = place_hashed("app", &front, &style, &pkg).expect("placed");
        for ext in ["js", "wasm", "css"] {
            assert!(pkg.join(format!("app.{}.{ext}", hashes[ext])).is_file(), "{ext}");
        }
        let hash = &hashes["js"];
        assert_eq!(
            hash_file(&hashes),
            format!("css: {}\njs: {hash}\nmanifest: {hash}\nsplit: {hash}\nwasm: {hash}\n", hashes["css"])
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
