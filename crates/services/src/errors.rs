//! Failures by what they have in common: told, tried again, and resolved.

use crate::{
    Result, Services,
    bulk::{BulkForm, MOST},
    ports::ErrorFilter,
};
use domain::{
    DocumentId, UserId, WorkspaceId,
    bulk::{Bulk, BulkAction},
    errors::{ErrorGroup, LeftOver},
};
use std::collections::BTreeMap;

/// Groups that are told at once.
const GROUPS: u32 = 200;

impl Services {
    /// # Errors
    /// 404 when the workspace that is named is somebody else's.
    pub async fn errors(&self, user: UserId, filter: &ErrorFilter) -> Result<Vec<ErrorGroup>> {
        self.must_own(user, filter).await?;
        Ok(self.errors.error_groups(user, filter, GROUPS).await?)
    }

    /// What went wrong and is no document that failed. It has neither a code, a phase nor a type, and nobody can put it
    /// aside; so it stands beside the failures that were not narrowed down by these.
    ///
    /// # Errors
    /// As for reading them.
    pub async fn left_over(&self, user: UserId, filter: &ErrorFilter) -> Result<Vec<LeftOver>> {
        self.must_own(user, filter).await?;
        let ErrorFilter { workspace, code, phase, mime_type, since, resolved } = filter;
        if *resolved || code.is_some() || phase.is_some() || mime_type.is_some() {
            return Ok(vec![]);
        }
        Ok(self.errors.left_over(user, *workspace, *since, GROUPS).await?)
    }

    /// Tries all of these documents again, at most ten thousand: an action in each workspace. Asked twice, the second has
    /// nothing to do where the first has been.
    ///
    /// # Errors
    /// As for reading them.
    pub async fn retry_errors(&self, user: UserId, filter: &ErrorFilter) -> Result<Vec<Bulk>> {
        self.must_own(user, filter).await?;
        let mut ids: BTreeMap<WorkspaceId, Vec<DocumentId>> = BTreeMap::new();
        for (workspace, document) in self.errors.failed_documents(user, filter, MOST as u32).await? {
            ids.entry(workspace).or_default().push(document);
        }
        let mut begun = vec![];
        for (workspace, ids) in ids {
            let form = BulkForm { action: BulkAction::Retry, ids: Some(ids), matching: None, tag: None };
            match self.begin_bulk(user, workspace, form, None).await {
                Ok(bulk) => begun.push(bulk),
                // What was begun goes on and has to be told. The rest stays among the failures.
                Err(error) if !begun.is_empty() => {
                    tracing::warn!(user_id = %user, workspace_id = %workspace, %error, "failures of a workspace were not tried again");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(begun)
    }

    /// Puts these failures aside, and tells every open page; answers how many there were.
    ///
    /// # Errors
    /// As for reading them.
    pub async fn resolve_errors(&self, user: UserId, filter: &ErrorFilter) -> Result<u64> {
        self.must_own(user, filter).await?;
        Ok(self.errors.resolve_errors(user, filter, self.clock.now()).await?)
    }

    async fn must_own(&self, user: UserId, filter: &ErrorFilter) -> Result<()> {
        if let Some(id) = filter.workspace {
            self.workspace(user, id).await?;
        }
        Ok(())
    }
}
