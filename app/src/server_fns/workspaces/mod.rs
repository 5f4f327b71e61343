//! Workspaces: making, reading, searching.

mod create;
mod documents;
mod read;
mod search;

pub use create::{CreateWorkspace, create_workspace};
pub use documents::{ListDocuments, list_documents};
pub use read::{ReadWorkspace, read_workspace};
pub use search::{Search, search};
