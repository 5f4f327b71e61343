//! Questions that workspaces are tried with.

use crate::{
    commands,
    fault::Fault,
    jobs::{clean, parsed},
    open::Store,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    CaseId, Timestamp, UserId, WorkspaceId,
    provision::Refusal,
    retrieval::{CasePassage, RetrievalCase},
};
use services::ports::{Command, RetrievalCases, StoreError};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

/// Cases of one workspace: each is a search when all of them are tried.
const MOST: i64 = 200;
const TOO_MANY: Refusal = Refusal::new(
    "too_many_cases",
    "A workspace has at most 200 test cases. Delete one that you do not need any more.",
);

const CASE: &str =
    "id, workspace_id, question, document_id, filename, char_start, char_end, excerpt, created_at";

fn case(row: &AnyRow) -> Result<RetrievalCase, Fault> {
    let place = |column: &str| -> Result<Option<u64>, Fault> {
        let number: Option<i64> = row.try_get(column)?;
        number.map(|n| u64::try_from(n).map_err(|_| Fault::corrupt(column))).transpose()
    };
    let passage = place("char_start")?.zip(place("char_end")?);
    let excerpt: Option<String> = row.try_get("excerpt")?;
    Ok(RetrievalCase {
        id: parsed(row, "id")?,
        workspace_id: parsed(row, "workspace_id")?,
        question: row.try_get("question")?,
        document_id: parsed(row, "document_id")?,
        filename: row.try_get("filename")?,
        passage: passage.map(|(char_start, char_end)| CasePassage {
            char_start,
            char_end,
            excerpt: excerpt.unwrap_or_default(),
        }),
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
    })
}

/// Answers the id of the case that is there now.
async fn add(
    tx: &mut Tx,
    user: UserId,
    new: &RetrievalCase,
    command: Option<&Command>,
) -> Result<CaseId, Fault> {
    let of_user: Option<i64> = sqlx::query_scalar(
        "SELECT (SELECT COUNT(*) FROM retrieval_cases WHERE workspace_id = workspaces.id) FROM workspaces \
         WHERE id = $1 AND user_id = $2 AND status <> 'deleting'",
    )
    .bind(new.workspace_id.to_string())
    .bind(user.to_string())
    .fetch_optional(&mut tx.conn)
    .await?;
    let there = of_user.ok_or(StoreError::NotFound)?;
    if let Some(command) = command {
        commands::note(tx, user, Some(&command.id), Some(&command.print)).await?;
        let made = sqlx::query("SELECT id FROM retrieval_cases WHERE user_id = $1 AND command_id = $2")
            .bind(user.to_string())
            .bind(command.id.as_str())
            .fetch_optional(&mut tx.conn)
            .await?;
        if let Some(row) = made {
            return parsed(&row, "id");
        }
    }
    if there >= MOST {
        return Err(StoreError::Refused(TOO_MANY).into());
    }
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO retrieval_cases (id, user_id, workspace_id, question, document_id, filename, char_start, \
         char_end, excerpt, command_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(new.id.to_string())
    .bind(user.to_string())
    .bind(new.workspace_id.to_string())
    .bind(new.question.as_str())
    .bind(new.document_id.to_string())
    .bind(new.filename.as_str())
    .bind(new.passage.as_ref().map(|p| int(p.char_start)))
    .bind(new.passage.as_ref().map(|p| int(p.char_end)))
    .bind(new.passage.as_ref().map(|p| p.excerpt.clone()))
    .bind(command.map(|command| command.id.as_str()))
    .bind(new.created_at.micros())
    .execute(&mut tx.conn)
    .await?;
    Ok(new.id)
}

impl Store {
    async fn read_cases(&self, user: UserId, workspace: WorkspaceId) -> Result<Vec<RetrievalCase>, Fault> {
        let sql = format!(
            "SELECT {CASE} FROM retrieval_cases WHERE workspace_id = $1 AND user_id = $2 ORDER BY created_at, id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(workspace.to_string())
            .bind(user.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(case).collect()
    }
}

#[async_trait]
impl RetrievalCases for Store {
    async fn add_case(
        &self,
        user: UserId,
        mut case: RetrievalCase,
        mut command: Option<Command>,
    ) -> Result<RetrievalCase, StoreError> {
        clean(&mut case.question);
        if let Some(command) = &mut command {
            clean(&mut command.id);
        }
        if let Some(passage) = &mut case.passage {
            clean(&mut passage.excerpt);
        }
        let workspace = case.workspace_id;
        let written = self
            .writer()
            .write_for(user, "add a case", (user, case, command), |tx, (user, case, command)| {
                Box::pin(add(tx, *user, case, command.as_ref()))
            })
            .await?;
        let all = self.read_cases(user, workspace).await?;
        all.into_iter().find(|case| case.id == written.value).ok_or(StoreError::NotFound)
    }

    async fn cases(&self, user: UserId, workspace: WorkspaceId) -> Result<Vec<RetrievalCase>, StoreError> {
        Ok(self.read_cases(user, workspace).await?)
    }

    async fn remove_case(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        id: CaseId,
    ) -> Result<bool, StoreError> {
        let argument = (user, workspace, id);
        let written = self
            .writer()
            .write_for(user, "remove a case", argument, |tx, (user, workspace, id)| {
                Box::pin(async move {
                    let gone = sqlx::query(
                        "DELETE FROM retrieval_cases WHERE id = $1 AND workspace_id = $2 AND user_id = $3",
                    )
                    .bind(id.to_string())
                    .bind(workspace.to_string())
                    .bind(user.to_string())
                    .execute(&mut tx.conn)
                    .await?;
                    Ok(gone.rows_affected() > 0)
                })
            })
            .await?;
        Ok(written.value)
    }
}
