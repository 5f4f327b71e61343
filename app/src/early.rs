//! What the head of a page names of the parts of the WASM, so that the browser fetches them along with the main part.
//! Leptos has the same, and asks the thread which page it serves, after it waited: with several threads a page then
//! goes without, now and then.

use crate::{
    pages::{Part, parts_at},
    view,
};
use leptos::{nonce::use_nonce, prelude::*};
use std::{collections::BTreeMap, fs, path::Path};

/// The links to the parts of the page at an address; none where the site is not there.
#[component]
pub fn EarlyParts(options: LeptosOptions, path: String) -> impl IntoView {
    let parts = parts_at(&path);
    let names = Names::of(&options);
    let pkg = &options.site_pkg_dir;
    let list = Path::new(&*options.site_root).join(&**pkg).join(&names.list);
    let list = fs::read_to_string(list).unwrap_or_default();
    let files = files(&list, parts);
    let nonce = use_nonce();
    let loader = (!files.is_empty())
        .then(|| view! { <link rel="modulepreload" href=format!("/{pkg}/{}", names.loader) nonce=nonce /> });
    let part = |file: String| {
        let href = format!("/{pkg}/{file}.wasm");
        view! { <link rel="preload" href=href r#as="fetch" r#type="application/wasm" crossorigin="" /> }
    };
    view! { {files.into_iter().map(part).collect_view()} {loader} }
}

/// The names of the loader and of the list, which the build gave hashes or not.
#[derive(Debug, PartialEq)]
struct Names {
    loader: String,
    list: String,
}

impl Names {
    fn of(options: &LeptosOptions) -> Self {
        let hashes = options.hash_files.then(|| fs::read_to_string(&*options.hash_file).ok()).flatten();
        Self::with(&hashes.unwrap_or_default())
    }

    fn with(hashes: &str) -> Self {
        let hash = |of: &str| {
            let mut lines = hashes.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(name, _)| name.trim() == of).map(|(_, hash)| hash.trim())
        };
        Self {
            loader: format!("__wasm_split.{}.js", hash("split").unwrap_or("______________________")),
            list: hash("manifest").map_or_else(
                || "__wasm_split_manifest.json".to_owned(),
                |hash| format!("__wasm_split_manifest.{hash}.json"),
            ),
        }
    }
}

/// The files of some parts, each once: parts share some.
fn files(list: &str, parts: &[Part]) -> Vec<String> {
    let list: BTreeMap<String, Vec<String>> = serde_json::from_str(list).unwrap_or_default();
    let mut files = vec![];
    for file in parts.iter().filter_map(|part| list.get(part.name())).flatten() {
        if !files.contains(file) {
            files.push(file.clone());
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_hashes_of_the_build_where_it_made_some() {
        let names = Names::with("js: a\nmanifest: b\nsplit: c\n");
        assert_eq!(
            (names.loader.as_str(), names.list.as_str()),
            ("__wasm_split.c.js", "__wasm_split_manifest.b.json")
        );
        let names = Names::with("");
        assert_eq!(names.loader, "__wasm_split.______________________.js");
        assert_eq!(names.list, "__wasm_split_manifest.json");
    }

    #[test]
    fn what_parts_share_is_named_once_and_other_parts_not_at_all() {
        let list = r#"{"settings":["chunk_6","split_settings"],"rag":["chunk_6","split_rag"],"home":["split_home"]}"#;
        assert_eq!(files(list, &[Part::Settings, Part::Rag]), ["chunk_6", "split_settings", "split_rag"]);
        assert!(files(list, &[]).is_empty() && files("", &[Part::Home]).is_empty());
    }
}
