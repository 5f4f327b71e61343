//! What a model said of the steps that the catalogue does not know, and when it is asked again.

use crate::{
    fault::Fault,
    jobs::{self, number},
    open::Store,
    writer::Tx,
};
use async_trait::async_trait;
use domain::Timestamp;
use services::ports::{Asked, Sentences, StoreError};
use sqlx::{AssertSqlSafe, Row};

/// The sentence of a step, where there is one.
pub(crate) async fn kept(tx: &mut Tx, step: &str) -> Result<Option<String>, Fault> {
    let sql = "SELECT sentence FROM step_sentences WHERE step = $1 AND sentence IS NOT NULL";
    Ok(sqlx::query_scalar(sql).bind(step).fetch_optional(&mut tx.conn).await?)
}

async fn want(tx: &mut Tx, step: &str, most: u32, now: Timestamp) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO step_sentences (step, tries, next_try) SELECT $1, 0, $2 \
         WHERE (SELECT COUNT(*) FROM step_sentences) < $3 ON CONFLICT (step) DO NOTHING",
    )
    .bind(step)
    .bind(now.micros())
    .bind(i64::from(most))
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Whoever reads the row first changes it before anybody else reads it.
async fn take(tx: &mut Tx, now: Timestamp, pause: fn(u32) -> u32) -> Result<Option<Asked>, Fault> {
    let sql = format!(
        "SELECT step, tries FROM step_sentences WHERE sentence IS NULL AND next_try <= $1 \
         ORDER BY next_try, step LIMIT 1{}",
        if tx.engine.for_update().is_empty() { "" } else { " FOR UPDATE SKIP LOCKED" }
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(now.micros()).fetch_optional(&mut tx.conn).await?;
    let Some(row) = row else { return Ok(None) };
    let (step, tries): (String, u32) = (row.try_get("step")?, number(&row, "tries")?);
    sqlx::query("UPDATE step_sentences SET tries = tries + 1, next_try = $2 WHERE step = $1")
        .bind(step.as_str())
        .bind(now.plus_seconds(i64::from(pause(tries))).micros())
        .execute(&mut tx.conn)
        .await?;
    Ok(Some(Asked { step, tries }))
}

#[async_trait]
impl Sentences for Store {
    async fn want_sentence(&self, step: &str, most: u32, now: Timestamp) -> Result<(), StoreError> {
        let argument = (step.to_owned(), most, now);
        self.writer()
            .write("want a sentence", argument, |tx, (step, most, now)| Box::pin(want(tx, step, *most, *now)))
            .await?;
        Ok(())
    }

    async fn take_wordless(
        &self,
        now: Timestamp,
        pause: fn(u32) -> u32,
    ) -> Result<Option<Asked>, StoreError> {
        // Read first: nearly always there is nothing to take, which is no reason to write.
        let waits = sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM step_sentences WHERE sentence IS NULL AND next_try <= $1",
        )
        .bind(now.micros())
        .fetch_one(self.readers())
        .await
        .map_err(Fault::from)?;
        if waits == 0 {
            return Ok(None);
        }
        let taken = self
            .writer()
            .write("take a step without a sentence", (now, pause), |tx, (now, pause)| {
                Box::pin(take(tx, *now, *pause))
            })
            .await?;
        Ok(taken.value)
    }

    async fn keep_sentence(&self, step: &str, sentence: &str) -> Result<(), StoreError> {
        self.writer()
            .write("keep a sentence", (step.to_owned(), sentence.to_owned()), |tx, (step, sentence)| {
                Box::pin(async move {
                    sqlx::query("UPDATE step_sentences SET sentence = $2 WHERE step = $1")
                        .bind(step.as_str())
                        .bind(sentence.as_str())
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn reword_step(
        &self,
        step: &str,
        sentence: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        jobs::reword(self, step, sentence, limit, now).await
    }

    async fn file_in_step(&self, step: &str) -> Result<Option<String>, StoreError> {
        let found = sqlx::query_scalar(
            "SELECT filename FROM documents WHERE status = 'processing' AND step = $1 ORDER BY updated_at DESC LIMIT 1",
        )
        .bind(step)
        .fetch_optional(self.readers())
        .await
        .map_err(Fault::from)?;
        Ok(found)
    }
}
