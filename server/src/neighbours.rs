//! What servers of one database are to have in common beside it: the folder of the files, and by what they hear of each other.
//! Whoever differs says so.

use crate::{
    adapters::{FilePlace, SharedFolder, mark_of},
    config::Config,
    lifecycle::{StartError, kept_secret},
};
use std::time::Duration;
use storage::{Engine, FOLDER_MARK, Store};

/// How often is looked by what other servers hear of changes.
const CARRIER: Duration = Duration::from_secs(5);

/// The folder of the files, where other servers may have the same database: they are to have the same folder, and the first of
/// them says which that is. One that differs is told of here and where it is asked whether the server is ready.
pub(crate) async fn shared_folder(
    config: &Config,
    store: &Store,
    drawn: [u8; 32],
) -> Result<Option<SharedFolder>, StartError> {
    let FilePlace::Folder(folder) = &config.files else { return Ok(None) };
    if store.engine() == Engine::Sqlite {
        return Ok(None);
    }
    let marked = match mark_of(folder, drawn) {
        Ok(marked) => marked,
        Err(error) => {
            tracing::warn!(%error, "whether the servers have one folder for the files cannot be told");
            return Ok(None);
        }
    };
    let kept = kept_secret(store, FOLDER_MARK, marked).await?;
    if kept != marked {
        tracing::warn!(
            folder = %folder.display(),
            "the folder of the files is not that of the other servers: each has only what it stored itself"
        );
    }
    Ok(Some(SharedFolder::new(folder.clone(), kept)))
}

/// Waits for the folder that all servers have. Whoever does not see what the others stored would only fail their documents.
pub(crate) async fn common(folder: Option<SharedFolder>) {
    if let Some(folder) = folder {
        folder.found().await;
    }
}

/// Begins with that when it is there: what is exported, deleted and swept are files of all.
pub(crate) async fn with_files(folder: Option<SharedFolder>, work: impl Future<Output = ()>) {
    common(folder).await;
    work.await;
}

/// By what a server hears of the others: the place at the broker, whichever of its machines is asked for it.
pub(crate) fn carrier_of(config: &Config) -> String {
    match &config.broker {
        Some(broker) => format!("the exchange {} in {}", broker.exchange, broker.url.vhost),
        None => "the database alone".to_owned(),
    }
}

/// Tells when another server of this database, started later, hears of changes by something else. Nothing is lost by that, and
/// nothing else would tell why each of them is seconds behind the other.
pub(crate) async fn look_for_other_carriers(store: Store, own: String) {
    while let Err(error) = store.note_carrier(own.clone()).await {
        tracing::debug!(%error, "by what this server hears of others will be noted later");
        tokio::time::sleep(CARRIER).await;
    }
    let mut is_told = false;
    loop {
        tokio::time::sleep(CARRIER).await;
        let Ok(Some(theirs)) = store.carrier().await else { continue };
        let differs = theirs != own;
        if differs && !is_told {
            tracing::warn!(
                own,
                theirs,
                "another server hears of changes by something else, so each is seconds behind the other"
            );
        }
        is_told = differs;
    }
}
