//! RAG configs, of a person as the default and of a workspace: reading, saving, trying out, and indexing anew what
//! they leave behind.

mod estimate;
mod preview;
mod read;
mod reindex;
mod reset;
mod save;

pub use estimate::*;
pub use preview::*;
pub use read::*;
pub use reindex::*;
pub use reset::*;
pub use save::*;
