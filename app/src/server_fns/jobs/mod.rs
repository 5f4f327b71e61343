//! Jobs: pausing, resuming, cancelling, retrying, and what became of their attempts.

mod attempts;
mod cancel;
mod pause;
mod resume;
mod retry;

pub use attempts::{ListAttempts, list_attempts};
pub use cancel::{CancelJob, cancel_job};
pub use pause::{PauseJob, pause_job};
pub use resume::{ResumeJob, resume_job};
pub use retry::{RetryJob, retry_job};
