//! The files of folders that were dropped, and of the folders in them.

use super::plan::{self, MOST_ADDED};
use js_sys::{Array, Function, Promise};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FileSystemEntry};

#[wasm_bindgen]
extern "C" {
    /// `FileSystemFileEntry` and `FileSystemDirectoryEntry`. Bound here, since each new type of `web_sys` would have
    /// the whole framework compiled anew.
    type Entry;

    #[wasm_bindgen(method)]
    fn file(this: &Entry, done: &Function, failed: &Function);

    #[wasm_bindgen(method, js_name = createReader)]
    fn create_reader(this: &Entry) -> Reader;

    type Reader;

    #[wasm_bindgen(method, js_name = readEntries)]
    fn read_entries(this: &Reader, done: &Function, failed: &Function);
}

/// What was found.
#[derive(Default)]
pub struct Found {
    pub files: Vec<File>,
    /// What could not be taken, by its name, with the reason.
    pub left: Vec<(String, String)>,
}

/// Reads the folders, each to its end before the next.
pub async fn read(folders: Vec<FileSystemEntry>) -> Found {
    let mut found = Found::default();
    for folder in folders {
        let before = found.files.len() + found.left.len();
        if let Err(reason) = read_one(&folder, &mut found).await {
            found.left.push((folder.name(), reason));
        } else if found.files.len() + found.left.len() == before {
            found.left.push((folder.name(), "There is no file in this folder.".to_owned()));
        }
    }
    found
}

/// Fails when there are more files than are taken at once.
async fn read_one(folder: &FileSystemEntry, found: &mut Found) -> Result<(), String> {
    // The last is read first, so the entries of a folder go on it from behind.
    let mut left = vec![folder.clone()];
    while let Some(entry) = left.pop() {
        if entry.is_directory() {
            match entries(&entry).await {
                Ok(inner) => left.extend(inner.into_iter().rev()),
                Err(_) => found.left.push((entry.name(), "This folder could not be read.".to_owned())),
            }
            continue;
        }
        if found.files.len() >= MOST_ADDED {
            return Err(format!("{} The rest of this folder was left out.", plan::too_many()));
        }
        match file(&entry).await {
            Ok(file) => found.files.push(file),
            Err(_) => found.left.push((entry.name(), "This file could not be read.".to_owned())),
        }
    }
    Ok(())
}

async fn file(entry: &FileSystemEntry) -> Result<File, JsValue> {
    let entry: &Entry = entry.unchecked_ref();
    let read = Promise::new(&mut |done, failed| entry.file(&done, &failed));
    Ok(JsFuture::from(read).await?.unchecked_into())
}

/// What a folder has in it. A browser tells it in parts, the last of which is empty.
async fn entries(folder: &FileSystemEntry) -> Result<Vec<FileSystemEntry>, JsValue> {
    let reader = folder.unchecked_ref::<Entry>().create_reader();
    let mut all = vec![];
    loop {
        let read = Promise::new(&mut |done, failed| reader.read_entries(&done, &failed));
        let part: Array = JsFuture::from(read).await?.unchecked_into();
        if part.length() == 0 {
            return Ok(all);
        }
        all.extend(part.iter().map(JsCast::unchecked_into::<FileSystemEntry>));
    }
}
