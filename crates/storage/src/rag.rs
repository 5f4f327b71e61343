//! RAG configurations: a user's default, and a workspace's own.

use crate::{accounts, dims, fault::Fault, jobs, open::Store, workspaces};
use async_trait::async_trait;
use domain::{
    EntityKey, Timestamp, UserId, Workspace, WorkspaceId,
    event::{Event, SettingsChanged},
    provision::WorkspaceAction,
    rag::{DefaultRagConfig, RagConfig},
};
use services::ports::{RagConfigs, StaleDocument, StoreError};

#[async_trait]
impl RagConfigs for Store {
    async fn default_config(&self, user: UserId) -> Result<Option<RagConfig>, StoreError> {
        let text: Option<String> = sqlx::query_scalar("SELECT config FROM rag_defaults WHERE user_id = $1")
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(text.map(|t| serde_json::from_str(&t)).transpose().map_err(Fault::from)?)
    }

    async fn set_default_config(
        &self,
        user: UserId,
        config: Option<RagConfig>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer()
            .write_for(user, "set default config", (user, config, now), |tx, (user, config, now)| {
                Box::pin(async move {
                    let before: Option<String> =
                        sqlx::query_scalar("SELECT config FROM rag_defaults WHERE user_id = $1")
                            .bind(user.to_string())
                            .fetch_optional(&mut tx.conn)
                            .await?;
                    let after = config.as_ref().map(serde_json::to_string).transpose()?;
                    if before == after {
                        return Ok(());
                    }
                    match &after {
                        Some(text) => {
                            sqlx::query(
                                "INSERT INTO rag_defaults (user_id, config, updated_at) VALUES ($1, $2, $3) \
                                 ON CONFLICT (user_id) DO UPDATE SET config = excluded.config, \
                                 updated_at = excluded.updated_at",
                            )
                            .bind(user.to_string())
                            .bind(text.as_str())
                            .bind(now.micros())
                            .execute(&mut tx.conn)
                            .await
                            .map_err(|e| Fault::from(e).orphan())?;
                        }
                        None => {
                            sqlx::query("DELETE FROM rag_defaults WHERE user_id = $1")
                                .bind(user.to_string())
                                .execute(&mut tx.conn)
                                .await?;
                        }
                    }
                    let whose = accounts::load(&mut tx.conn, *user).await?.ok_or(StoreError::NotFound)?;
                    let shown = DefaultRagConfig {
                        is_default: config.is_none(),
                        config: config.clone().unwrap_or_default(),
                    };
                    let changed = SettingsChanged { rag_config: Some(shown), ..SettingsChanged::of(whose) };
                    tx.emit(*user, Event::SettingsChanged(changed), *now);
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn set_rag_config(
        &self,
        user: UserId,
        id: WorkspaceId,
        config: RagConfig,
        now: Timestamp,
    ) -> Result<Workspace, StoreError> {
        let written = self
            .writer()
            .write_for(user, "set rag config", (user, id, config, now), |tx, (user, id, config, now)| {
                Box::pin(async move {
                    let found = workspaces::load_locked(tx, *id).await?.filter(|w| w.user_id == *user);
                    let mut workspace = found.ok_or(StoreError::NotFound)?;
                    if let Some(refusal) = workspace.status.refuses(WorkspaceAction::Edit) {
                        return Err(StoreError::from(refusal).into());
                    }
                    if workspaces::config(tx, *id).await? == *config {
                        return Ok(workspace);
                    }
                    sqlx::query("UPDATE workspaces SET rag_config = $1, config_untold = 1 WHERE id = $2")
                        .bind(serde_json::to_string(config)?)
                        .bind(id.to_string())
                        .execute(&mut tx.conn)
                        .await?;
                    workspace.updated_at = *now;
                    workspaces::update(tx, &workspace, *now).await?;
                    Ok(workspace)
                })
            })
            .await?;
        Ok(workspaces::with_rev(written.rev(&EntityKey::Workspace(id)), written.value))
    }

    async fn untold(&self, limit: u32) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query("SELECT id FROM workspaces WHERE config_untold = 1 ORDER BY id LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(rows.iter().map(|row| jobs::parsed(row, "id")).collect::<Result<_, _>>()?)
    }

    async fn stale_documents(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        wanted: &RagConfig,
    ) -> Result<Vec<StaleDocument>, StoreError> {
        Ok(jobs::stale_documents(self, user, workspace, wanted).await?)
    }

    async fn note_dim(&self, model: &str, dim: u32) -> Result<(), StoreError> {
        dims::note(self, model, dim).await
    }

    async fn mark_other_lengths(&self, limit: u32) -> Result<bool, StoreError> {
        dims::mark(self, limit).await
    }
}
