//! Jobs: which of them goes first, pausing, resuming, cancelling, retrying, leaving out the embedding, what became of their attempts, and the pages of a
//! crawl.

mod attempts;
mod cancel;
mod first;
mod pages;
mod pause;
mod resume;
mod retry;
mod retry_page;
mod skip_embedding;

pub use attempts::{ListAttempts, list_attempts};
pub use cancel::{CancelJob, cancel_job};
pub use first::{PutJobFirst, put_job_first};
pub use pages::{ListPages, list_pages};
pub use pause::{PauseJob, pause_job};
pub use resume::{ResumeJob, resume_job};
pub use retry::{RetryJob, retry_job};
pub use retry_page::{RetryPage, retry_page};
pub use skip_embedding::{SkipEmbeddingOfJob, skip_embedding_of_job};
