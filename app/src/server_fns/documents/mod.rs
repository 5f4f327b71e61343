//! One document: its state, steps and passages.

mod attempts;
mod cancel;
mod chunks;
mod delete;
mod pause;
mod read;
mod restore;
mod resume;
mod retry;

pub use attempts::{ListEarlierSteps, list_earlier_steps};
pub use cancel::{CancelDocument, cancel_document};
pub use chunks::{ListChunks, list_chunks};
pub use delete::{DeleteDocument, delete_document};
pub use pause::{PauseDocument, pause_document};
pub use read::{ReadDocument, read_document};
pub use restore::{RestoreDocument, restore_document};
pub use resume::{ResumeDocument, resume_document};
pub use retry::{RetryDocument, retry_document};
