//! Workspaces: making, changing, reading, searching.

mod bulk;
mod crawl;
mod create;
mod delete;
mod documents;
mod edit;
mod job_steps;
mod jobs;
mod pause;
mod read;
mod restore;
mod resume;
mod retry;
mod search;
mod undo_bulk;

pub use bulk::{BeginBulk, begin_bulk};
pub use crawl::{CrawlSite, crawl_site};
pub use create::{CreateWorkspace, create_workspace};
pub use delete::{DeleteWorkspace, delete_workspace};
pub use documents::{ListDocuments, list_documents};
pub use edit::{EditWorkspace, edit_workspace};
pub use job_steps::{JobSteps, job_steps};
pub use jobs::{ListJobs, ReadJob, list_jobs, read_job};
pub use pause::{PauseWorkspace, pause_workspace};
pub use read::{ReadWorkspace, read_workspace};
pub use restore::{RestoreWorkspace, restore_workspace};
pub use resume::{ResumeWorkspace, resume_workspace};
pub use retry::{RetryWorkspace, retry_workspace};
pub use search::{Search, SearchAnswer, search};
pub use undo_bulk::{UndoBulk, undo_bulk};
