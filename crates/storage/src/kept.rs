//! What all servers of one database share beside its data, and that outlives each of them: secrets, and by what they hear of
//! each other.

use crate::{fault::Fault, open::Store};
use services::{
    hex::{hex, unhex_all},
    ports::StoreError,
};

/// Names the secret by which an installation marks the place of its files as its own. A database that begins anew gets
/// another one: it may be a copy, and the installation that it is a copy of may live on beside it, with those files.
pub const FILES_KEY: &str = "files_key";
/// Names the mark of the folder in which the servers of a database have their files. A database that begins anew keeps none: whoever
/// put it back may have put the files elsewhere.
pub const FOLDER_MARK: &str = "folder_mark";

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
                    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
                    sqlx::query(sql).bind(*name).bind(hex(drawn)).execute(&mut tx.conn).await?;
                    let kept: String = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
                        .bind(*name)
                        .fetch_one(&mut tx.conn)
                        .await?;
                    unhex_all::<32>(&kept).ok_or_else(|| Fault::corrupt(format!("the secret {name}")))
                })
            })
            .await?;
        Ok(written.value)
    }

    /// The secret of that name, where there is one: none is drawn.
    ///
    /// # Errors
    /// When the database cannot be read or what it keeps is no such secret.
    pub async fn known_secret(&self, name: &'static str) -> Result<Option<[u8; 32]>, StoreError> {
        let kept: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
            .bind(name)
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        let no_secret = || Fault::corrupt(format!("the secret {name}"));
        Ok(kept.map(|text| unhex_all::<32>(&text).ok_or_else(no_secret)).transpose()?)
    }

    /// Says by what this process hears of others.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note_carrier(&self, carrier: String) -> Result<(), StoreError> {
        let noted = self.writer().write("note the carrier", carrier, |tx, carrier| {
            Box::pin(async move {
                let sql = "INSERT INTO meta (name, value) VALUES ('carrier', $1) \
                           ON CONFLICT (name) DO UPDATE SET value = excluded.value";
                sqlx::query(sql).bind(carrier.clone()).execute(&mut tx.conn).await?;
                Ok(())
            })
        });
        noted.await.map(drop)
    }

    /// What the process said that was the last to say so.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn carrier(&self) -> Result<Option<String>, StoreError> {
        let said = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'carrier'");
        Ok(said.fetch_optional(self.readers()).await.map_err(Fault::from)?)
    }
}
