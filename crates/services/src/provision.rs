//! Making workspaces ready, step by step. Each step does its work, and then says so in the rows; after a crash the work
//! goes on with the first step that is not through. A step may run twice, also on two servers at once.

use crate::{
    Error, Result, Services, keys,
    ports::{BlobError, EmbedError, Signal, StoreError, heard},
};
use bytes::Bytes;
use domain::{
    Workspace, WorkspaceId,
    ingest::Failure,
    provision::{Change, ProvisionStep},
    rag::{EmbeddingModel, ModelState, RagConfig},
    status::Processor,
};
use std::time::Duration;

/// Workspaces that are looked up at once.
const AT_ONCE: u32 = 50;
/// How long an upload waits for its workspace, so that a script may upload in its next call.
const UPLOAD_WAITS: Duration = Duration::from_secs(20);
/// Pause before a workspace is tried again when the store failed, and the fallback of the wake-up.
const PAUSE: Duration = Duration::from_secs(5);

/// What became of a step.
enum Outcome {
    Done,
    /// These settings do not need it.
    Skipped,
    Failed(Failure),
}

fn failed(code: &str, message: impl Into<String>, hint: &str) -> Outcome {
    let hint = Some(hint.to_owned());
    Outcome::Failed(Failure { code: code.into(), message: message.into(), hint, retryable: true })
}

impl Services {
    /// Takes waiting workspaces as far as they get: to ready, or to an error with its reason. Answers how many got
    /// there.
    ///
    /// # Errors
    /// When the store fails; what is left over is found again by the next call.
    pub async fn provision_waiting(&self) -> Result<usize> {
        let waiting = self.workspaces.provisioning(AT_ONCE).await?;
        let mut settled = 0;
        for workspace in waiting {
            match self.provision(workspace).await {
                Ok(()) => settled += 1,
                // Another server is at it, or the workspace is gone.
                Err(StoreError::Illegal(_) | StoreError::NotFound) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(settled)
    }

    async fn provision(&self, mut workspace: Workspace) -> std::result::Result<(), StoreError> {
        while let Some(step) = workspace.provisioning.as_ref().and_then(|p| p.next()) {
            workspace = self.take_step(&workspace, Change::Begin(step)).await?;
            let change = match self.carry_out(&workspace, step).await? {
                Outcome::Done => Change::Done(step),
                Outcome::Skipped => Change::Skip(step),
                Outcome::Failed(failure) => {
                    tracing::warn!(workspace_id = %workspace.id, %step, code = failure.code, reason = failure.message, "a workspace could not be made ready");
                    self.take_step(&workspace, Change::Failed(step, failure)).await?;
                    return Ok(());
                }
            };
            workspace = self.take_step(&workspace, change).await?;
        }
        Ok(())
    }

    async fn take_step(
        &self,
        workspace: &Workspace,
        change: Change,
    ) -> std::result::Result<Workspace, StoreError> {
        self.workspaces.advance_workspace(workspace.id, change, self.clock.now()).await
    }

    async fn carry_out(
        &self,
        workspace: &Workspace,
        step: ProvisionStep,
    ) -> std::result::Result<Outcome, StoreError> {
        let config = self.workspaces.rag_config(workspace.user_id, workspace.id).await?;
        let config = config.ok_or(StoreError::NotFound)?;
        let outside = workspace.processor == Processor::External;
        Ok(match step {
            // What a worker of somebody's own needs, it brings.
            ProvisionStep::Settings | ProvisionStep::Model | ProvisionStep::Index if outside => {
                Outcome::Skipped
            }
            ProvisionStep::Settings => self.check_settings(&config).await,
            ProvisionStep::Storage => self.try_storage().await,
            ProvisionStep::Model => self.try_model(&config).await,
            ProvisionStep::Index => {
                self.index.prepare(workspace.user_id, workspace.id).await?;
                Outcome::Done
            }
        })
    }

    /// The snapshot keeps every rule, as far as that can be said without the model, which has a step of its own.
    async fn check_settings(&self, config: &RagConfig) -> Outcome {
        let mut models = self.embedder.models().await;
        match models.iter_mut().find(|m| m.name == config.embedding_model) {
            Some(model) => model.state = ModelState::Ready,
            None => models.push(EmbeddingModel {
                name: config.embedding_model.clone(),
                dim: config.embedding_dim,
                ..EmbeddingModel::builtin()
            }),
        }
        match config.validate(&self.options_with(models).await, Some(config)) {
            Ok(()) => Outcome::Done,
            Err(errors) => {
                let told: Vec<String> = errors
                    .iter()
                    .map(|(field, messages)| format!("{field}: {}", messages.join(" ")))
                    .collect();
                failed(
                    "settings_invalid",
                    format!("The settings of this workspace do not fit: {}", told.join(" ")),
                    "Change the settings, then retry.",
                )
            }
        }
    }

    /// Writes a file to where documents will lie, reads it and removes it. Each trial has a file of its own: another server
    /// that is at the same step would remove this one's before it is read.
    async fn try_storage(&self) -> Outcome {
        let trial = self.ids.uuid();
        let (key, probe) = (keys::probe(trial), Bytes::from(trial.to_string()));
        let tried = async {
            self.blobs.put(&key, probe.clone()).await?;
            let read = self.blobs.get(&key).await;
            self.blobs.delete(&key).await?;
            Ok::<_, BlobError>(read? == probe)
        };
        let hint = "Check free space and permissions of the server's data directory, then retry.";
        match tried.await {
            Ok(true) => Outcome::Done,
            Ok(false) => failed("storage_failed", "A file came back other than it was stored.", hint),
            Err(error) => {
                // The path and the cause are the operator's business.
                tracing::warn!(error = format!("{error:?}"), "the place for files failed its trial");
                let hint = match error {
                    BlobError::Away(_) => {
                        "The store of the files does not answer, or fails. Retry in a moment."
                    }
                    BlobError::Refused(_) => {
                        "The operator sees to the keys and the bucket of the store of the files; then retry."
                    }
                    _ => hint,
                };
                failed("storage_failed", "The server cannot store files.", hint)
            }
        }
    }

    /// Loads the model and has it embed a word.
    async fn try_model(&self, config: &RagConfig) -> Outcome {
        if !config.needs_model() {
            return Outcome::Skipped;
        }
        match self.embedder.embed(&config.embedding_model, vec!["InsightHub".into()]).await {
            Ok(vectors) if vectors.len() == 1 => Outcome::Done,
            Ok(_) => {
                failed("model_failed", "The embedding model gave no answer.", "Retry; then ask the operator.")
            }
            Err(EmbedError::Missing(sentence)) => {
                tracing::warn!(sentence, "an embedding model is missing");
                failed(
                    "model_missing",
                    format!("The embedding model {} is not on this server.", config.embedding_model),
                    "The operator brings it with `cargo xtask setup`, or names its folder in INSIGHTHUB_MODELS_DIR; then retry.",
                )
            }
            Err(error @ (EmbedError::Unreachable(_) | EmbedError::Away(_) | EmbedError::Refused { .. })) => {
                tracing::warn!(%error, code = error.code(), "an embedding server failed its trial");
                failed(error.code(), error.to_string(), "Retry; then ask the operator.")
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:?}"), "an embedding model failed its trial");
                failed(
                    "model_failed",
                    "The embedding model could not be run.",
                    "Retry; then ask the operator.",
                )
            }
        }
    }

    /// Waits while the workspace is being made, then answers it as it is; after a while, whatever it is.
    pub(crate) async fn made(&self, user: domain::UserId, id: WorkspaceId) -> Result<Workspace> {
        use domain::WorkspaceStatus::Provisioning;
        // Interest first, then the look, or the event between the two is lost.
        let mut bus = self.bus.subscribe();
        let first = self.workspace(user, id).await?;
        if first.status != Provisioning {
            return Ok(first);
        }
        let turned = async {
            loop {
                let told = |signal: &Signal| matches!(signal, Signal::Event(e) if e.name == "workspace_status" && e.user_id == user);
                // The pause is the fallback for an event that got lost.
                let _ = tokio::time::timeout(Duration::from_secs(1), heard(&mut bus, told)).await;
                let now = self.workspace(user, id).await?;
                if now.status != Provisioning {
                    return Ok::<_, Error>(now);
                }
            }
        };
        tokio::time::timeout(UPLOAD_WAITS, turned).await.unwrap_or(Ok(first))
    }

    /// Provisions for as long as the future is polled: woken by the bus, with a slow poll in case a wake-up was lost.
    pub async fn run_provisioner(self) {
        // Interest first, then the look, or a wake-up between the two is lost.
        let mut bus = self.bus.subscribe();
        loop {
            match self.provision_waiting().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(e) => tracing::warn!(error = %e, "provisioning will be tried again"),
            }
            let wake = heard(&mut bus, |signal| matches!(signal, Signal::WorkReady));
            let _ = tokio::time::timeout(PAUSE, wake).await;
        }
    }
}
