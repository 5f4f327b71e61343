//! RAG configurations: a user's default, a workspace's own, what can be chosen, trying a cut out, and indexing
//! documents anew that a change left behind.

use crate::{
    Error, Result, Services, keys,
    ports::{BlobError, NewReindex, StaleDocument, StoreError},
    spans,
};
use domain::{
    FieldErrors, JobId, UserId, WorkspaceId,
    provision::WorkspaceAction,
    rag::{
        BUILTIN_MODEL, ChunkingStrategy, DefaultRagConfig, EmbeddingModel, Estimate, Measured, RagConfig,
        RagField, RagForm, RagOptions, RetrieverType, WorkspaceRagConfig, estimate,
    },
};
use std::{collections::VecDeque, time::Duration};

/// Largest text of a preview, in bytes.
pub const MAX_PREVIEW: usize = 100_000;
/// The same where each sentence is embedded, which takes its time.
pub const MAX_SEMANTIC_PREVIEW: usize = 20_000;
/// How long a person waits for one.
const PREVIEW_WAITS: Duration = Duration::from_secs(60);
/// Documents whose state changes in one transaction, so that others get their turn in between.
const BATCH: u32 = 100;
/// How long an answer waits for all documents to be told; what is left is told behind it.
const ANSWER_WAITS: Duration = Duration::from_secs(2);
/// Between two looks for what a server that stopped in the middle left untold.
const LOOK: Duration = Duration::from_secs(5);
/// Characters that are really cut for an estimate, about, and documents of which they are taken.
const SAMPLE_CHARACTERS: u64 = 400_000;
const SAMPLE_DOCUMENTS: usize = 24;

/// What a text would be cut into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkPreview {
    pub chunks: Vec<PreviewedChunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewedChunk {
    pub ordinal: u32,
    pub text: String,
    pub chars: u64,
    pub tokens: u64,
}

/// A job that indexes documents anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reindexing {
    pub job_id: JobId,
    pub documents: u64,
}

impl Services {
    /// Everything that can be chosen from, with the state of each model as it is now.
    pub async fn rag_options(&self) -> RagOptions {
        self.options_with(self.embedder.models().await).await
    }

    /// The same with these models.
    pub(crate) async fn options_with(&self, models: Vec<EmbeddingModel>) -> RagOptions {
        RagOptions::new(models).with_cross_encoder(self.retriever.cross_encoder().await)
    }

    /// What new workspaces of the user take a snapshot of.
    pub async fn default_rag_config(&self, user: UserId) -> Result<DefaultRagConfig> {
        let saved = self.rag_configs.default_config(user).await?;
        let is_default = saved.is_none();
        Ok(DefaultRagConfig { config: saved.unwrap_or_default(), is_default })
    }

    /// Replaces the user's default as a whole: what the form does not have takes the value that the product comes with.
    /// Workspaces that are there keep theirs.
    ///
    /// # Errors
    /// `Invalid` by field.
    pub async fn save_default_rag_config(&self, user: UserId, form: &RagForm) -> Result<DefaultRagConfig> {
        let current = self.default_rag_config(user).await?.config;
        let config = form.check(&RagConfig::default(), &self.rag_options().await, &current)?;
        self.rag_configs.set_default_config(user, Some(config.clone()), self.clock.now()).await?;
        Ok(DefaultRagConfig { config, is_default: false })
    }

    /// Goes back to what the product comes with.
    pub async fn reset_default_rag_config(&self, user: UserId) -> Result<DefaultRagConfig> {
        self.rag_configs.set_default_config(user, None, self.clock.now()).await?;
        self.default_rag_config(user).await
    }

    pub async fn workspace_rag_config(&self, user: UserId, id: WorkspaceId) -> Result<WorkspaceRagConfig> {
        let (config, default) = self.both_configs(user, id).await?;
        Ok(compared(config, &default))
    }

    /// Replaces a workspace's configuration as a whole: what the form does not have takes the value of the user's
    /// default. Documents that it leaves behind turn stale; their state reaches every open browser.
    ///
    /// # Errors
    /// `Invalid` by field; 409 when the workspace's status does not allow it.
    pub async fn save_workspace_rag_config(
        &self,
        user: UserId,
        id: WorkspaceId,
        form: &RagForm,
    ) -> Result<WorkspaceRagConfig> {
        let (current, default) = self.both_configs(user, id).await?;
        self.allow(user, id, WorkspaceAction::Edit).await?;
        let config = form.check(&default, &self.rag_options().await, &current)?;
        let saved = self.rag_configs.set_rag_config(user, id, config.clone(), self.clock.now()).await;
        saved.map_err(|e| match e {
            StoreError::NotFound => Error::NotFound("workspace"),
            other => other.into(),
        })?;
        self.tell_stale(id).await?;
        Ok(compared(config, &default))
    }

    /// Takes fields of the workspace back to the user's default; all of them when none is named.
    ///
    /// # Errors
    /// `Invalid` when the rest does not go with them.
    pub async fn reset_workspace_rag_config(
        &self,
        user: UserId,
        id: WorkspaceId,
        fields: &[RagField],
    ) -> Result<WorkspaceRagConfig> {
        let (mut config, default) = self.both_configs(user, id).await?;
        for &field in if fields.is_empty() { RagField::ALL } else { fields } {
            config.take(&default, field);
            if field == RagField::EmbeddingModel {
                // The number of the other model would not fit.
                config.take(&default, RagField::EmbeddingDim);
            }
        }
        self.save_workspace_rag_config(user, id, &RagForm::from(&config)).await
    }

    /// The workspace's configuration and the user's default.
    async fn both_configs(&self, user: UserId, id: WorkspaceId) -> Result<(RagConfig, RagConfig)> {
        let config = self.workspaces.rag_config(user, id).await?.ok_or(Error::NotFound("workspace"))?;
        Ok((config, self.default_rag_config(user).await?.config))
    }

    /// Cuts a text as a document would be cut; what the form does not have takes the value of the user's default.
    ///
    /// # Errors
    /// `Invalid` by field, also under `text`.
    pub async fn preview_chunks(&self, user: UserId, form: &RagForm, text: String) -> Result<ChunkPreview> {
        // How passages are found has nothing to do with how a text is cut; what is wrong there may stay so.
        let mut base = self.default_rag_config(user).await?.config;
        base.retriever_type = RetrieverType::Keyword;
        let strategy = form.0.get(RagField::ChunkingStrategy.as_str()).map(serde_json::Value::as_str);
        let strategy = strategy.unwrap_or(Some(base.chunking_strategy.as_str()));
        let mut fields = vec![RagField::ChunkSize, RagField::ChunkOverlap, RagField::ChunkingStrategy];
        if strategy == Some(ChunkingStrategy::Semantic.as_str()) {
            fields.push(RagField::EmbeddingModel);
        } else {
            BUILTIN_MODEL.clone_into(&mut base.embedding_model);
        }
        base.embedding_dim = None;
        let given = form.0.iter().filter(|(name, _)| name.parse().is_ok_and(|f| fields.contains(&f)));
        let form = RagForm(given.map(|(name, value)| (name.clone(), value.clone())).collect());
        let (config, mut errors) = match form.check(&base, &self.rag_options().await, &base) {
            Ok(config) => (config, FieldErrors::default()),
            Err(errors) => (base, errors),
        };
        let limit = match config.chunking_strategy {
            ChunkingStrategy::Semantic => MAX_SEMANTIC_PREVIEW,
            _ => MAX_PREVIEW,
        };
        if text.trim().is_empty() {
            errors.add("text", "Enter some text.");
        } else if text.len() > limit {
            errors.add("text", format!("Use at most {} kB of text.", limit / 1000));
        }
        errors.check()?;
        let cut = tokio::time::timeout(PREVIEW_WAITS, self.chunker.cut(&config, text)).await;
        let cut = cut.map_err(|_| {
            Error::problem(503, "preview_too_slow", "Cutting this text takes too long now. Try less of it.")
        })??;
        let chunks = (0u32..).zip(cut).map(|(ordinal, chunk)| PreviewedChunk {
            ordinal,
            text: chunk.text,
            chars: chunk.characters,
            tokens: chunk.tokens,
        });
        Ok(ChunkPreview { chunks: chunks.collect() })
    }

    /// What indexing the stale documents anew will take; with a candidate, what it would take after that was saved.
    /// Nothing is embedded for it.
    ///
    /// # Errors
    /// `Invalid` by field of the candidate.
    pub async fn estimate_reindex(
        &self,
        user: UserId,
        id: WorkspaceId,
        candidate: Option<&RagForm>,
    ) -> Result<Estimate> {
        let (current, default) = self.both_configs(user, id).await?;
        let config = match candidate {
            Some(form) => form.check(&default, &self.rag_options().await, &current)?,
            None => current,
        };
        let documents = self.rag_configs.stale_documents(user, id, &config).await?;
        Ok(estimate(&config, &self.measure(user, &config, documents).await?))
    }

    /// Cuts some of the texts, and takes the lengths of the others.
    async fn measure(
        &self,
        user: UserId,
        config: &RagConfig,
        mut documents: Vec<StaleDocument>,
    ) -> Result<Measured> {
        let mut measured = Measured::default();
        // Short and long ones in turn: by length, from both ends.
        documents.sort_by_key(|d| (d.characters, d.id));
        let mut documents = VecDeque::from(documents);
        let mut budget = SAMPLE_CHARACTERS;
        let mut from_front = false;
        while let Some(document) = if from_front { documents.pop_front() } else { documents.pop_back() } {
            from_front = !from_front;
            let fits = measured.cut.len() < SAMPLE_DOCUMENTS && document.characters <= budget;
            let stored = match fits {
                true => self.blobs.get(&keys::text(user, document.id, document.version)).await,
                false => Err(BlobError::NotFound),
            };
            match stored {
                Ok(bytes) => {
                    budget -= document.characters;
                    measured.cut.push(self.chunker.measure(config, bytes).await?);
                }
                // It will be read from its file.
                Err(BlobError::NotFound) => measured.lengths.push(document.characters),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(measured)
    }

    /// Makes a job of the documents that were indexed with other settings than the workspace has now. They are found
    /// as before until each is through.
    ///
    /// # Errors
    /// 409 `nothing_stale` when there is none; 409 when the workspace's status does not allow it.
    pub async fn reindex(
        &self,
        user: UserId,
        id: WorkspaceId,
        command_id: Option<String>,
    ) -> Result<Reindexing> {
        self.allow(user, id, WorkspaceAction::Upload).await?;
        let new = NewReindex {
            id: JobId::new(self.ids.uuid()),
            user_id: user,
            workspace_id: id,
            command_id,
            created_at: self.clock.now(),
        };
        let drawn = new.id;
        let job = self.jobs.reindex(new).await?.ok_or_else(|| {
            Error::problem(409, "nothing_stale", "No document waits to be indexed anew with these settings.")
        })?;
        spans::led_to(job.job_id, drawn);
        let (services, job_id) = (self.clone(), job.job_id);
        let telling = crate::actor::spawn(async move {
            loop {
                match services.jobs.requeue(user, job_id, BATCH, services.clock.now()).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    // Each document is told when its turn comes, in any case.
                    Err(error) => {
                        return tracing::warn!(%job_id, %error, "documents were not told that they wait");
                    }
                }
            }
        });
        let _ = tokio::time::timeout(ANSWER_WAITS, telling).await;
        Ok(Reindexing { job_id, documents: job.metrics.documents_total })
    }

    /// Tells the documents of a workspace, in batches, whether they are stale now. What takes long goes on behind the
    /// answer, and what a stop interrupts is found by [`Services::run_stale_herald`].
    pub(crate) async fn tell_stale(&self, id: WorkspaceId) -> Result<()> {
        let services = self.clone();
        let telling = crate::actor::spawn(async move { services.tell_all_stale(id).await });
        match tokio::time::timeout(ANSWER_WAITS, telling).await {
            Ok(Ok(told)) => Ok(told?),
            Ok(Err(e)) => Err(Error::Internal { what: "stale documents", cause: Box::new(e) }),
            Err(_) => Ok(()),
        }
    }

    async fn tell_all_stale(&self, id: WorkspaceId) -> std::result::Result<(), StoreError> {
        while self.jobs.compare(id, BATCH, self.clock.now()).await? > 0 {}
        Ok(())
    }

    async fn mark_other_lengths(&self) -> std::result::Result<(), StoreError> {
        while self.rag_configs.mark_other_lengths(BATCH).await? {}
        Ok(())
    }

    /// Tells what is still untold of changed configurations, for as long as the future is polled.
    pub async fn run_stale_herald(self) {
        loop {
            if let Err(error) = self.mark_other_lengths().await {
                tracing::warn!(%error, "vectors of other lengths will be looked for later");
            }
            match self.rag_configs.untold(BATCH).await {
                Ok(workspaces) => {
                    for id in workspaces {
                        if let Err(error) = self.tell_all_stale(id).await {
                            tracing::warn!(workspace_id = %id, %error, "stale documents will be told later");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "stale documents will be looked for later"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn compared(config: RagConfig, default: &RagConfig) -> WorkspaceRagConfig {
    let overrides = config.differences(default);
    WorkspaceRagConfig { config, overrides }
}
