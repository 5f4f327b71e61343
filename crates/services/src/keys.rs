//! Where files lie: everything of a user in one folder, so that it can be taken away whole, also what no row names yet.

use domain::{DocumentId, ExportId, UserId};
use uuid::Uuid;

/// The folder of all that belongs to the user.
pub fn folder(user: UserId) -> String {
    format!("users/{user}")
}

/// An uploaded file, or a page. That of a later version of a document has an id of its own, so that nothing is put in the
/// place of the one before, nor of another one that is on its way.
pub fn document(user: UserId, id: DocumentId) -> String {
    format!("users/{user}/documents/{id}")
}

/// The file of a later version of a page, as servers of versions before named it.
pub fn version(user: UserId, id: DocumentId, version: u32) -> String {
    format!("{}.{version}", document(user, id))
}

/// The parts of a file that comes in parts, and the file that is made of them: each time under a name that was never used
/// before. So nobody can write to it who was late with something of another time.
pub fn drawn(user: UserId, id: DocumentId, drawn: Uuid) -> String {
    format!("{}.{drawn}", document(user, id))
}

/// The folder of the texts that were extracted from a document.
pub fn texts(user: UserId, id: DocumentId) -> String {
    format!("users/{user}/texts/{id}")
}

/// The text of one version of a document.
pub fn text(user: UserId, id: DocumentId, version: u32) -> String {
    format!("{}/{version}", texts(user, id))
}

/// Where the place for files is tried out, by writing a file and removing it.
pub const PROBES: &str = "probes/";

/// The file of one such trial, and of no other.
pub fn probe(trial: Uuid) -> String {
    format!("{PROBES}{trial}")
}

/// The file of an export, as the maker with that fence writes it.
pub fn export(user: UserId, id: ExportId, fence: u64) -> String {
    format!("users/{user}/exports/{id}-{fence}")
}
