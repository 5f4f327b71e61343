//! From a question to passages: the one way in which search, the retrieval test and the chat find them.

use super::{EmbedError, StoreError};
use async_trait::async_trait;
use domain::{
    UserId, WorkspaceId,
    rag::RagConfig,
    resource::{SearchHit, Warning},
};

/// What is asked, of which workspace, and how it is to be found.
#[derive(Clone, Debug)]
pub struct Question {
    pub user: UserId,
    pub workspace: WorkspaceId,
    /// A person's text, not empty.
    pub text: String,
    /// The retriever, `top_k`, the order anew and the embedding model are taken from here.
    pub config: RagConfig,
}

#[derive(Clone, Debug, Default)]
pub struct Retrieved {
    /// Best first; each is live.
    pub hits: Vec<SearchHit>,
    /// What went otherwise than it was asked for: with the order of the retriever alone, since the cross-encoder does not
    /// answer, for example.
    pub warnings: Vec<Warning>,
}

#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vector of the question could not be made.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error("{what}: {cause}")]
    Broken { what: &'static str, cause: Box<dyn std::error::Error + Send + Sync> },
}

#[async_trait]
pub trait Retriever: Send + Sync {
    /// Passages of the workspace's ready documents, found as the question's configuration says. Nobody looks here at whose
    /// workspace it is, save that every hit is the user's.
    async fn retrieve(&self, question: &Question) -> Result<Retrieved, RetrieveError>;

    /// Lets go of what is kept in memory of a workspace that is being deleted.
    fn forget(&self, workspace: WorkspaceId);

    /// Whether passages can be put in order anew by a cross-encoder, and one sentence that says of it what it is, or what
    /// is missing. Found out just now or a few seconds ago.
    async fn cross_encoder(&self) -> (bool, String);
}

/// Why a cross-encoder gave no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct RerankError {
    /// Stable word for programs.
    pub code: &'static str,
    /// One sentence for people, which names no secret.
    pub sentence: String,
}

/// A model that reads a question and a passage together.
#[async_trait]
pub trait CrossEncoder: Send + Sync {
    /// As [`Retriever::cross_encoder`].
    async fn state(&self) -> (bool, String);

    /// How well each text answers the question, in their order; higher is better, on a scale of the model's own.
    async fn rerank(&self, question: &str, texts: &[String]) -> Result<Vec<f64>, RerankError>;
}
