//! Test cases of a workspace: questions with what has to be found for them, and trying them all.

use crate::{
    Error, Result, Services, command,
    ports::{Command, StoreError},
    search::question,
};
use domain::{
    CaseId, ChunkId, DocumentId, FieldErrors, UserId, WorkspaceId,
    rag::RagForm,
    resource::Warning,
    retrieval::{CasePassage, CaseRun, RetrievalCase},
};

/// Characters of a passage by which people know it again.
const EXCERPT: usize = 120;

/// A case to keep.
#[derive(Clone, Debug)]
pub struct CaseForm {
    pub question: String,
    pub document_id: DocumentId,
    /// `None`: any passage of the document will do.
    pub chunk_id: Option<ChunkId>,
}

impl Services {
    /// The cases of a workspace, the oldest first.
    pub async fn retrieval_cases(&self, user: UserId, workspace: WorkspaceId) -> Result<Vec<RetrievalCase>> {
        self.workspaces.workspace(user, workspace).await?.ok_or(Error::NotFound("workspace"))?;
        Ok(self.cases.cases(user, workspace).await?)
    }

    /// Keeps a question with what has to be found for it.
    ///
    /// # Errors
    /// `Invalid` by field; 409 when there are too many; 422 when the key was sent before with something else.
    pub async fn add_retrieval_case(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        form: CaseForm,
        command_id: Option<String>,
    ) -> Result<RetrievalCase> {
        self.workspaces.workspace(user, workspace).await?.ok_or(Error::NotFound("workspace"))?;
        let mut errors = FieldErrors::default();
        let question = question(&form.question, "question", &mut errors);
        let document = self.documents.document(user, form.document_id).await?;
        let document = document.filter(|d| d.workspace_id == workspace);
        if document.is_none() {
            errors.add("document_id", "This workspace has no such document.");
        }
        let passage = match (form.chunk_id, &document) {
            (Some(id), Some(document)) => {
                let found = self.passages.passage(user, document.id, id).await?;
                if found.is_none() {
                    errors.add("chunk_id", "The document has no such passage.");
                }
                found.map(|chunk| CasePassage {
                    char_start: chunk.char_start,
                    char_end: chunk.char_end,
                    excerpt: excerpt(&chunk.text),
                })
            }
            _ => None,
        };
        errors.check()?;
        let chunk = form.chunk_id.map(|id| id.to_string()).unwrap_or_default();
        let named = [form.document_id.to_string(), chunk];
        let command = command_id
            .map(|id| Command { id, print: command::print([question.as_str(), &named[0], &named[1]]) });
        let case = RetrievalCase {
            id: CaseId::new(self.ids.uuid()),
            workspace_id: workspace,
            question,
            document_id: form.document_id,
            filename: document.map(|d| d.filename).unwrap_or_default(),
            passage,
            created_at: self.clock.now(),
        };
        self.cases.add_case(user, case, command).await.map_err(|e| match e {
            StoreError::NotFound => Error::NotFound("workspace"),
            other => other.into(),
        })
    }

    /// # Errors
    /// `NotFound` also when it is another workspace's.
    pub async fn remove_retrieval_case(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        id: CaseId,
    ) -> Result<()> {
        match self.cases.remove_case(user, workspace, id).await? {
            true => Ok(()),
            false => Err(Error::NotFound("test case")),
        }
    }

    /// Asks all questions of the workspace, as its configuration says or as `form` has it, and tells which of them found
    /// what they had to.
    ///
    /// # Errors
    /// `Invalid` by field; 503 when the embedding model cannot be asked.
    pub async fn run_retrieval_cases(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        form: &RagForm,
    ) -> Result<CaseRun> {
        let saved = self.workspaces.rag_config(user, workspace).await?.ok_or(Error::NotFound("workspace"))?;
        let mut errors = FieldErrors::default();
        let config = self.tried(&saved, form, &mut errors).await;
        errors.check()?;
        let mut ranked = vec![];
        let mut warnings: Vec<Warning> = vec![];
        // One after the other: each may take the model for itself.
        for case in self.cases.cases(user, workspace).await? {
            let found = self.retrieve(user, workspace, case.question.clone(), config.clone()).await?;
            for warning in found.warnings {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            let rank = case.rank_in(&found.hits);
            ranked.push((case, rank));
        }
        let rerank = config.rerank_model.filter(|_| config.rerank_enabled);
        Ok(CaseRun::new((config.retriever_type, rerank, config.top_k), ranked, warnings))
    }
}

/// The beginning of a text in one line.
fn excerpt(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(" a\n b "), "a b");
        assert_eq!(excerpt(&"ä".repeat(500)).chars().count(), EXCERPT + 1);
    }
}
