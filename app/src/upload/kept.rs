//! What a tab remembers of uploads over a reload: which file was on its way where. Its bytes it cannot remember, so they
//! have to be chosen again; but only what the server does not have yet is sent.

use domain::{DocumentId, OnDuplicate, WorkspaceId};
use leptos::prelude::window;
use web_sys::Storage;

/// The tab's own: another tab sends its files itself.
const NAME: &str = "insighthub-uploads";

#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub id: DocumentId,
    pub workspace: WorkspaceId,
    pub name: String,
    pub mime: String,
    pub size: u64,
    /// When the file was changed last, in milliseconds: another one of the same name is another file.
    pub modified: u64,
    /// What is to become of it where the workspace has it already.
    pub way: OnDuplicate,
}

/// A line each; a name may hold whatever it likes.
fn written(all: &[Kept]) -> String {
    let line = |k: &Kept| {
        let name: String = k.name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let Kept { id, workspace, size, modified, way, mime, .. } = k;
        format!("{id}\t{workspace}\t{size}\t{modified}\t{way}\t{mime}\t{name}")
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A line that cannot be read is of an older version: its file is forgotten, here and after a day on the server.
fn read(text: &str) -> Vec<Kept> {
    let kept = |line: &str| {
        let mut parts = line.splitn(7, '\t');
        Some(Kept {
            id: parts.next()?.parse().ok()?,
            workspace: parts.next()?.parse().ok()?,
            size: parts.next()?.parse().ok()?,
            modified: parts.next()?.parse().ok()?,
            way: parts.next()?.parse().ok()?,
            mime: parts.next()?.to_owned(),
            name: parts.next()?.to_owned(),
        })
    };
    text.lines().filter_map(kept).collect()
}

fn storage() -> Option<Storage> {
    window().session_storage().ok().flatten()
}

pub fn all() -> Vec<Kept> {
    storage().and_then(|s| s.get_item(NAME).ok().flatten()).map(|text| read(&text)).unwrap_or_default()
}

/// Whether something is remembered of a workspace.
pub fn has_some(workspace: WorkspaceId) -> bool {
    all().iter().any(|kept| kept.workspace == workspace)
}

pub fn keep(kept: Kept) {
    change(|all| {
        all.retain(|k| k.id != kept.id);
        all.push(kept);
    });
}

pub fn forget(id: DocumentId) {
    change(|all| all.retain(|k| k.id != id));
}

fn change(change: impl FnOnce(&mut Vec<Kept>)) {
    let before = all();
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return;
    }
    // Where nothing may be stored, nothing is remembered.
    let Some(storage) = storage() else { return };
    let _ =
        if after.is_empty() { storage.remove_item(NAME) } else { storage.set_item(NAME, &written(&after)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::id;

    #[test]
    fn what_is_remembered_reads_back_and_nonsense_is_forgotten() {
        let kept = |n: u64, name: &str| Kept {
            id: id(n),
            workspace: id(9),
            name: name.to_owned(),
            mime: "text/plain".to_owned(),
            size: 5_000_000,
            modified: 1_700_000_000_000,
            way: OnDuplicate::Replace,
        };
        let all = [kept(1, "räksmörgås — 2.txt"), kept(2, "a b.pdf")];
        assert_eq!(read(&written(&all)), all);
        assert_eq!(read(&written(&[kept(1, "a\tb\nc.txt")]))[0].name, "a b c.txt");
        assert!(read("what\n\n1\t2\t3").is_empty());
        assert!(read("").is_empty());
    }
}
