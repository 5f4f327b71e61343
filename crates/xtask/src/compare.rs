//! The site is built here by the steps of cargo-leptos, and by cargo-leptos itself in `cargo xtask dev`. Where that tool is
//! installed, this builds the site with it as well and compares what came out; elsewhere it is skipped and says so.
//!
//! What is different on purpose is named here and nowhere else:
//! - Ours has brotli beside each file; cargo-leptos was not asked for any.
//! - Parts that several pages share are `shared_N` here and `chunk_N` there: see `packs`.
//! - Ours has the snippets within the main script; there they lie in `snippets/`.
//! - cargo-leptos sends the style sheet through Lightning CSS once more, for browsers of its own choice. So the classes and
//!   attributes are compared for which there are rules, and not the bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::problem::{Doing, Done, Problem};
use crate::project::{Profile, Project};
use crate::stamp::{Inputs, StampFile};
use crate::tally::Tally;
use crate::toolchain::Toolchain;
use crate::{dev, lint, packs, shell};

type Names = BTreeSet<String>;

/// What a build left behind, without its hashes.
#[derive(Debug, PartialEq)]
struct Made {
    /// Names of files, below the site's folder.
    files: Names,
    /// The keys of `hash.txt`.
    hashed: Names,
    /// By page, the parts of its own.
    parts: BTreeMap<String, Names>,
    /// Classes and attributes that have rules in the style sheet.
    rules: Names,
}

/// Builds with cargo-leptos, in a folder apart, and compares with what lies beside the executable of the tests.
pub fn both_ways(project: &Project, toolchain: &Toolchain) -> Done<Tally> {
    if !dev::has_cargo_leptos(project) {
        shell::say(
            "cargo-leptos is not installed, so what it builds was not compared (`cargo xtask dev` brings it)",
        );
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    let target = project.target.join("leptos");
    let site = target.join("site");
    let (agreed, stamp) = (StampFile::at(target.join("agreed.stamp")), builders(project)?);
    if agreed.matches(&stamp) {
        shell::say(
            "what builds the site is as it was when both ways last agreed, so they were not compared again",
        );
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    shell::timed("building the site with cargo-leptos", || {
        let mut build = Command::new("cargo");
        toolchain.environment(&mut build);
        dev::link_wasm_bindgen(project)?;
        build
            .current_dir(&project.root)
            .args(["leptos", "build", "--release", "--split", "--frontend-only"])
            .env("PATH", lint::with_tools(project))
            .env("CARGO_TARGET_DIR", &target)
            .env("LEPTOS_SITE_ROOT", &site);
        shell::logged(&mut build, &project.log("cargo-leptos"))
    })?;
    let ours = project.profile_dir(Profile::Dev);
    let ours = made(&ours.join("site"), &ours.join("hash.txt"), project)?;
    let theirs = made(&site, &target.join("release/hash.txt"), project)?;
    let differences = differences(&ours, &theirs);
    for difference in &differences {
        shell::say(format!("the two ways of building the site differ: {difference}"));
    }
    if differences.is_empty() {
        agreed.keep(&stamp)?;
    }
    Ok(Tally::one(differences.is_empty()))
}

/// What decides how the site is built, whatever is in it. Comparing takes minutes, and a change of a page is built by both
/// ways alike.
fn builders(project: &Project) -> Done<String> {
    let mut inputs = Inputs::new();
    for file in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "style/package-lock.json"] {
        inputs = inputs.file(file, &project.root.join(file))?;
    }
    for dir in ["crates/xtask", "crates/xtask-bindgen", "frontend"] {
        inputs = inputs.dir(&project.root.join(dir), |_| true)?;
    }
    Ok(inputs.stamp())
}

fn made(site: &Path, hash_file: &Path, project: &Project) -> Done<Made> {
    let text = |file: &Path| fs::read_to_string(file).doing(|| format!("cannot read {}", file.display()));
    let (mut files, mut list, mut style) = (Names::new(), None, None);
    let pkg = project.site.pkg_dir.as_str();
    for file in shell::files_under(site)? {
        let below = file.strip_prefix(site).unwrap_or(&file).to_string_lossy().into_owned();
        if below.ends_with(".br") || below.starts_with(&format!("{pkg}/snippets/")) {
            continue;
        }
        let name = without_hash(&below);
        if name == format!("{pkg}/__wasm_split_manifest.json") {
            list = Some(text(&file)?);
        } else if name == format!("{pkg}/{}.css", project.site.output_name) {
            style = Some(text(&file)?);
        }
        if !is_shared(name.rsplit('/').next().unwrap_or(&name)) {
            files.insert(name);
        }
    }
    let missing = |what: &str| Problem::new(format!("{} has no {what}", site.display()));
    let list: packs::List = serde_json::from_str(&list.ok_or_else(|| missing("list of parts"))?)
        .doing(|| format!("the list of parts in {} is none", site.display()))?;
    let own = |files: Vec<String>| -> Names {
        files.iter().map(|file| without_hash(file)).filter(|file| !is_shared(file)).collect()
    };
    Ok(Made {
        files,
        hashed: text(hash_file)?
            .lines()
            .filter_map(|line| Some(line.split_once(": ")?.0.to_owned()))
            .collect(),
        parts: list.into_iter().map(|(page, files)| (page, own(files))).collect(),
        rules: rules(&style.ok_or_else(|| missing("style sheet"))?),
    })
}

fn is_shared(name: &str) -> bool {
    name.starts_with("shared_") || name.starts_with("chunk_")
}

/// `app.0123….js` is `app.js`: the hashes of the two ways are of other kinds, 20 and 22 digits long.
fn without_hash(name: &str) -> String {
    let is_hash = |part: &str| {
        (20..=22).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
    let mut parts = file.split('.');
    // The first part is the name itself, however long.
    let first = parts.next().unwrap_or_default();
    let kept: Vec<&str> = std::iter::once(first).chain(parts.filter(|part| !is_hash(part))).collect();
    PathBuf::from(folder).join(kept.join(".")).to_string_lossy().into_owned()
}

/// The classes and attributes in the selectors of a style sheet.
fn rules(css: &str) -> Names {
    let mut found = Names::new();
    let mut selector = String::new();
    let mut quote = None;
    for c in css.chars() {
        match (quote, c) {
            (Some(q), _) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            // What stands before a brace is a selector or an at-rule; before a semicolon or the other brace, a value.
            (None, '{') => {
                if !selector.trim_start().starts_with('@') {
                    names_in(&selector, &mut found);
                }
                selector.clear();
            }
            (None, ';' | '}') => selector.clear(),
            (None, _) => selector.push(c),
        }
    }
    found
}

fn names_in(selector: &str, found: &mut Names) {
    let mut rest = selector;
    while let Some(at) = rest.find(['.', '[']) {
        let mark = &rest[at..=at];
        rest = &rest[at + 1..];
        let mut escaped = false;
        let end = rest.find(|c: char| {
            let within = escaped || c == '\\' || c.is_alphanumeric() || c == '-' || c == '_';
            escaped = c == '\\' && !escaped;
            !within
        });
        let name;
        (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        if name.starts_with(|c: char| !c.is_ascii_digit()) {
            found.insert(format!("{mark}{name}"));
        }
    }
}

/// What one has and the other has not, in words.
fn differences(ours: &Made, theirs: &Made) -> Vec<String> {
    let mut all = vec![];
    let mut sets = |what: &str, a: &Names, b: &Names| {
        for (whose, one, other) in [("cargo xtask", a, b), ("cargo leptos", b, a)] {
            let only: Vec<&str> = one.difference(other).map(String::as_str).collect();
            if !only.is_empty() {
                all.push(format!("{what} of {whose} alone: {}", only.join(" ")));
            }
        }
    };
    sets("files", &ours.files, &theirs.files);
    sets("keys in hash.txt", &ours.hashed, &theirs.hashed);
    sets("rules", &ours.rules, &theirs.rules);
    let pages = |made: &Made| -> Names { made.parts.keys().cloned().collect() };
    sets("pages", &pages(ours), &pages(theirs));
    for (page, parts) in &ours.parts {
        sets(&format!("parts of {page}"), parts, theirs.parts.get(page).unwrap_or(parts));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Names {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn hashes_of_both_kinds_are_taken_out_of_names_and_nothing_else_is() {
        for (name, plain) in [
            ("pkg/insighthub.0123456789abcdef0123.css", "pkg/insighthub.css"),
            ("pkg/insighthub.aB-_5678901234567890ab.wasm", "pkg/insighthub.wasm"),
            ("pkg/__wasm_split.aB-_5678901234567890ab.js", "pkg/__wasm_split.js"),
            ("split_home.0123456789abcdef012345", "split_home"),
            ("a-name-of-twenty-five-abc.svg", "a-name-of-twenty-five-abc.svg"),
            ("favicon.svg", "favicon.svg"),
        ] {
            assert_eq!(without_hash(name), plain);
        }
    }

    #[test]
    fn of_a_style_sheet_the_classes_and_attributes_with_rules_are_found() {
        let css = "@media (width>=1.5rem){.a\\.b:hover,[data-x=\"}.no\"] .c{margin:.5rem}}.d{color:red}.e>.f{top:0}";
        assert_eq!(rules(css), names(&[".a\\.b", "[data-x", ".c", ".d", ".e", ".f"]));
    }

    #[test]
    fn every_difference_is_said_and_whose_it_is() {
        let made = |files: &[&str], part: &str| Made {
            files: names(files),
            hashed: names(&["css", "js"]),
            parts: [("home".to_owned(), names(&[part]))].into(),
            rules: names(&[".a"]),
        };
        let ours = made(&["a.js", "b.js"], "split_home");
        assert!(differences(&ours, &ours).is_empty());
        let theirs = made(&["a.js", "c.js"], "split_start");
        assert_eq!(
            differences(&ours, &theirs),
            [
                "files of cargo xtask alone: b.js",
                "files of cargo leptos alone: c.js",
                "parts of home of cargo xtask alone: split_home",
                "parts of home of cargo leptos alone: split_start",
            ]
        );
    }
}
