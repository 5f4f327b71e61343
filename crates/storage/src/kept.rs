//! Secrets that all servers of one database share, and that outlive each of them.

use crate::{fault::Fault, open::Store};
use services::ports::StoreError;

/// Names the secret by which an installation marks the place of its files as its own. A database that begins anew gets
/// another one: it may be a copy, and the installation that it is a copy of may live on beside it, with those files.
pub const FILES_KEY: &str = "files_key";

impl Store {
    /// The secret of that name; `drawn`, when there was none yet.
    ///
    /// # Errors
    /// When the database cannot be written or what it keeps is no such secret.
    pub async fn kept_secret(&self, name: &'static str, drawn: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let written = self
            .writer()
            .write("keep a secret", (name, drawn), |tx, (name, drawn)| {
                Box::pin(async move {
                    let text: String = drawn.iter().map(|b| format!("{b:02x}")).collect();
                    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
                    sqlx::query(sql).bind(*name).bind(text).execute(&mut tx.conn).await?;
                    let kept: String = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
                        .bind(*name)
                        .fetch_one(&mut tx.conn)
                        .await?;
                    bytes(&kept).ok_or_else(|| Fault::corrupt(format!("the secret {name}")))
                })
            })
            .await?;
        Ok(written.value)
    }
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != bytes.len() * 2 {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}
