//! The browser's half in parts: the names that its files get, and the references between them.
//!
//! The WASM comes as a main part that every page loads, and parts that are fetched when a page wants them; a script of
//! its own, the loader, fetches those. The files name one another in a circle (the main script the loader and the main
//! part, the main part the loader, the loader the main script and the other parts), and no part runs with another
//! build's main. So all of them carry one hash, made of all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::problem::{Doing, Done, Problem};
use crate::{shell, stamp};

/// The loader, as `xtask-split` and Leptos name it: the line keeps the place of a hash.
pub const LOADER: &str = "__wasm_split.______________________.js";

/// Which parts a page wants, as Leptos reads it to let the browser fetch them early.
pub const LIST: &str = "__wasm_split_manifest.json";

/// As long as the line in the loader's name, since the main part names the loader and its length cannot change.
const HASH: usize = 22;

/// Places the files of `front` in `pkg` under names with their hash; the lines of `hash.txt` about them.
pub fn place(name: &str, front: &Path, pkg: &Path) -> Done<BTreeMap<&'static str, String>> {
    let hash = hash_of_all(front)?;
    let text = |file: &str| {
        let file = front.join(file);
        fs::read_to_string(&file).doing(|| format!("cannot read {}", file.display()))
    };
    let main = format!("{name}.wasm");
    let script = format!("{name}.js");
    let loader = LOADER.replace(&"_".repeat(HASH), &hash);
    let hashed = |stem: &str, ext: &str| format!("{stem}.{hash}.{ext}");

    let mut loads = text(LOADER)?.replace(&format!("./{script}"), &format!("./{}", hashed(name, "js")));
    let mut list: BTreeMap<String, Vec<String>> =
        serde_json::from_str(&text(LIST)?).doing(|| format!("{LIST} is no list of parts"))?;
    for part in list.values_mut().flatten() {
        *part = format!("{part}.{hash}");
    }
    for file in shell::files_with(front, "wasm")? {
        if file.ends_with(&main) {
            continue;
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let new = hashed(&stem, "wasm");
        if !loads.contains(&format!("./{stem}.wasm")) {
            return Err(Problem::new(format!("the loader does not know {stem}.wasm")));
        }
        loads = loads.replace(&format!("./{stem}.wasm"), &format!("./{new}"));
        shell::write(&pkg.join(new), shell::read(&file)?)?;
    }
    shell::write(&pkg.join(&loader), loads)?;
    let list = Value::from_iter(list).to_string();
    shell::write(&pkg.join(format!("__wasm_split_manifest.{hash}.json")), list)?;

    let wasm = renamed(shell::read(&front.join(&main))?, LOADER.as_bytes(), loader.as_bytes())?;
    shell::write(&pkg.join(hashed(name, "wasm")), wasm)?;
    let script =
        text(&script)?.replace(LOADER, &loader).replace(&format!("{name}_bg.wasm"), &hashed(name, "wasm"));
    shell::write(&pkg.join(hashed(name, "js")), script)?;
    Ok(["js", "wasm", "manifest", "split"].map(|of| (of, hash.clone())).into())
}

/// Of names and contents, so that files cannot change places unnoticed.
fn hash_of_all(front: &Path) -> Done<String> {
    let mut hash = stamp::Inputs::new().dir(front, |_| true)?.stamp();
    hash.truncate(HASH);
    Ok(hash)
}

/// Puts `new` in the place of `old`, which must be there and as long: positions within a WASM may not move.
fn renamed(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Done<Vec<u8>> {
    if old.len() != new.len() {
        return Err(Problem::new("a name in the WASM can only give way to one of its length"));
    }
    let mut found = false;
    for at in 0..bytes.len().saturating_sub(old.len() - 1) {
        if bytes[at..].starts_with(old) {
            bytes[at..at + old.len()].copy_from_slice(new);
            found = true;
        }
    }
    if found { Ok(bytes) } else { Err(Problem::new("the main part of the WASM does not name the loader")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A front with two parts, as the stage before leaves it.
    fn front(dir: &Path) -> std::path::PathBuf {
        let front = dir.join("front");
        let put = |name: &str, text: &str| shell::write(&front.join(name), text).expect("written");
        put("app.wasm", &format!("\0asm ./{LOADER} end"));
        put("app.js", &format!("import*as a from\"./{LOADER}\";new URL('app_bg.wasm', import.meta.url)"));
        put("split_home.wasm", "home");
        put("chunk_6.wasm", "shared");
        put(
            LOADER,
            "import{initSync}from\"./app.js\";fetch(\"./split_home.wasm\");fetch(\"./chunk_6.wasm\")",
        );
        put(LIST, r#"{"home":["chunk_6","split_home"]}"#);
        front
    }

    #[test]
    fn every_reference_leads_to_a_file_that_is_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let pkg = dir.path().join("pkg");
        let hashes = place("app", &front(dir.path()), &pkg).expect("placed");
        let hash = &hashes["js"];
        assert!(["wasm", "manifest", "split"].iter().all(|of| hashes[of] == *hash) && hash.len() == HASH);
        let read =
            |name: String| fs::read_to_string(pkg.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let loader = format!("./__wasm_split.{hash}.js");
        let script = read(format!("app.{hash}.js"));
        assert!(script.contains(&loader) && script.contains(&format!("'app.{hash}.wasm'")), "{script}");
        assert!(read(format!("app.{hash}.wasm")).contains(&loader));
        let loads = read(format!("__wasm_split.{hash}.js"));
        for name in ["app.H.js", "split_home.H.wasm", "chunk_6.H.wasm"].map(|name| name.replace('H', hash)) {
            assert!(loads.contains(&format!("\"./{name}\"")) && pkg.join(&name).is_file(), "{name}: {loads}");
        }
        let list = read(format!("__wasm_split_manifest.{hash}.json"));
        assert_eq!(list, format!(r#"{{"home":["chunk_6.{hash}","split_home.{hash}"]}}"#));
    }

    #[test]
    fn a_change_of_any_part_gives_all_of_them_a_new_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let front = front(dir.path());
        let before = hash_of_all(&front).expect("a hash");
        shell::write(&front.join("chunk_6.wasm"), "changed").expect("written");
        assert_ne!(hash_of_all(&front).expect("a hash"), before);
    }

    #[test]
    fn parts_that_the_files_do_not_name_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let front = front(dir.path());
        shell::write(&front.join("chunk_7.wasm"), "unknown").expect("written");
        assert!(place("app", &front, &dir.path().join("pkg")).is_err());
        assert!(renamed(b"no name".to_vec(), b"old", b"new").is_err());
        assert!(renamed(b"old".to_vec(), b"old", b"longer").is_err());
    }
}
