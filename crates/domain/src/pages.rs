//! What a page needs to be drawn, with the place in the log from which its stream starts: the seq is read first, then
//! the data, so that there is no gap between the HTML and the stream.

use crate::{
    event::FileProgress,
    ids::Epoch,
    resource::{Chunk, Document, Job, Page, User, Workspace},
};
use serde::{Deserialize, Serialize};

/// Where the stream of a page goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub epoch: Epoch,
    pub seq: u64,
}

/// What every page of a signed-in person shows: who it is, the workspaces in the sidebar, the jobs that run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shell {
    pub since: Since,
    pub user: User,
    pub workspaces: Vec<Workspace>,
    pub jobs: Vec<Job>,
    /// Largest file that may be uploaded, in bytes.
    pub max_file_bytes: u64,
}

/// A workspace: its documents (newest first) and its newest job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkspacePage {
    pub since: Since,
    pub workspace: Workspace,
    pub documents: Page<Document>,
    /// The jobs of the listed documents and the newest one of the workspace.
    pub jobs: Vec<Job>,
}

/// Documents of one job whose steps are shown at most.
pub const DRAWN: u32 = 50;

/// A job, and how the first of its documents went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    pub since: Since,
    pub workspace: Workspace,
    pub job: Job,
    /// Of at most [`DRAWN`] documents, those that began first.
    pub steps: Vec<FileProgress>,
}

/// Jobs of a workspace, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobsPage {
    pub workspace: Workspace,
    pub jobs: Page<Job>,
}

/// A document: its steps and its first chunks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentPage {
    pub since: Since,
    pub workspace: Workspace,
    pub document: Document,
    pub job: Option<Job>,
    pub steps: Vec<FileProgress>,
    pub chunks: Page<Chunk>,
}
