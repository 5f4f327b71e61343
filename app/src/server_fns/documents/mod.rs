//! One document: its state, steps and passages.

mod attempts;
mod cancel;
mod change_passage;
mod chunks;
mod delete;
mod edit;
mod embed_passage;
mod passage;
mod pause;
mod preview;
mod read;
mod restore;
mod resume;
mod retry;
mod skip_embedding;
mod versions;

pub use attempts::{ListEarlierSteps, list_earlier_steps};
pub use cancel::{CancelDocument, cancel_document};
pub use change_passage::{ChangePassage, change_passage};
pub use chunks::{ListChunks, list_chunks};
pub use delete::{DeleteDocument, delete_document};
pub use edit::{EditDocument, edit_document};
pub use embed_passage::{EmbedPassage, embed_passage};
pub use passage::{Around, PassagePage, ReadPassage, read_passage};
pub use pause::{PauseDocument, pause_document};
pub use preview::{PreviewDocument, PreviewText, preview_document};
pub use read::{ReadDocument, read_document};
pub use restore::{RestoreDocument, restore_document};
pub use resume::{ResumeDocument, resume_document};
pub use retry::{RetryDocument, retry_document};
pub use skip_embedding::{SkipEmbedding, skip_embedding};
pub use versions::{ListVersions, VersionLine, list_versions};
