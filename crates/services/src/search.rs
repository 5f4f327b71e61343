//! Finding passages: the question and the configuration that it is tried with, read and checked. How it is done is the
//! business of the port [`crate::ports::Retriever`].

use crate::{
    Error, Result, Services, composed,
    ports::{Question, RetrieveError, Retrieved},
};
use domain::{
    FieldErrors, UserId, WorkspaceId,
    rag::{RagConfig, RagForm},
};

/// Longest query, in characters.
pub const MAX_QUERY: usize = 1_000;

/// What a question found, and how it was looked for.
#[derive(Clone, Debug)]
pub struct Tried {
    pub config: RagConfig,
    pub found: Retrieved,
}

impl Services {
    /// Passages of the workspace's ready documents that answer `query`, best first, found as its configuration says; what
    /// `form` has of retriever, `top_k` and order anew holds in its place for this question.
    ///
    /// # Errors
    /// `Invalid` by field, also under `q`; 503 when the embedding model cannot be asked.
    pub async fn search(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        query: &str,
        form: &RagForm,
    ) -> Result<Tried> {
        let saved = self.workspaces.rag_config(user, workspace).await?.ok_or(Error::NotFound("workspace"))?;
        let mut errors = FieldErrors::default();
        let text = question(query, "q", &mut errors);
        let config = self.tried(&saved, form, &mut errors).await;
        errors.check()?;
        let found = self.retrieve(user, workspace, text, config.clone()).await?;
        Ok(Tried { config, found })
    }

    /// The workspace's configuration with what is tried of another one.
    pub(crate) async fn tried(
        &self,
        saved: &RagConfig,
        form: &RagForm,
        errors: &mut FieldErrors,
    ) -> RagConfig {
        if form.0.is_empty() {
            return saved.clone();
        }
        match form.try_out(saved, &self.rag_options().await) {
            Ok(config) => config,
            Err(wrong) => {
                for (field, sentences) in wrong.iter() {
                    sentences.iter().for_each(|sentence| errors.add(field, sentence.clone()));
                }
                saved.clone()
            }
        }
    }

    /// The one way to passages, for search, the retrieval test and the chat. Whose workspace it is has been looked at.
    pub async fn retrieve(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        text: String,
        config: RagConfig,
    ) -> Result<Retrieved> {
        Ok(self.retriever.retrieve(&Question { user, workspace, text, config }).await?)
    }
}

/// A question that somebody typed; what is wrong with it is told at `field`.
pub(crate) fn question(text: &str, field: &str, errors: &mut FieldErrors) -> String {
    let text = composed(text.trim().to_owned());
    if text.is_empty() {
        errors.add(field, "Enter what to look for.");
    } else if text.chars().count() > MAX_QUERY {
        errors.add(field, format!("Use at most {MAX_QUERY} characters."));
    }
    text
}

impl From<RetrieveError> for Error {
    fn from(e: RetrieveError) -> Self {
        match e {
            RetrieveError::Store(e) => e.into(),
            RetrieveError::Embed(e) => e.into(),
            RetrieveError::Broken { what, cause } => Self::Internal { what, cause },
        }
    }
}
