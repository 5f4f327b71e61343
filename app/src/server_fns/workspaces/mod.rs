//! Workspaces: making, changing, reading, searching.

mod crawl;
mod create;
mod documents;
mod edit;
mod job_steps;
mod jobs;
mod read;
mod retry;
mod search;

pub use crawl::{CrawlSite, crawl_site};
pub use create::{CreateWorkspace, create_workspace};
pub use documents::{ListDocuments, list_documents};
pub use edit::{EditWorkspace, edit_workspace};
pub use job_steps::{JobSteps, job_steps};
pub use jobs::{ListJobs, ReadJob, list_jobs, read_job};
pub use read::{ReadWorkspace, read_workspace};
pub use retry::{RetryWorkspace, retry_workspace};
pub use search::{Search, search};
