//! The data folder: it is made for its owner alone, and locked for one server where only one may run.

use crate::{config::Config, lifecycle::StartError};
use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    time::{Duration, Instant},
};
use storage::Engine;

/// How long somebody else may have the lock of the data folder: a program that a killed server was just starting has it for a
/// moment longer.
const LET_GO: Duration = Duration::from_secs(3);
/// How often is looked meanwhile.
const LOOK_AT_LOCK: Duration = Duration::from_millis(20);

/// Other people's documents: for the owner's eyes only.
pub(crate) fn make_data_dir(config: &Config) -> Result<(), StartError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir);
    made.map_err(|cause| StartError::DataDir { path: config.data_dir.clone(), cause })
}

/// With SQLite and an in-process bus a second server would show stale pages and take leases that are held: it is
/// refused. The lock goes with the process, however that ends, and with what it was just starting.
pub(crate) fn lock(config: &Config) -> Result<Option<File>, StartError> {
    if Engine::of_url(&config.database_url) != Some(Engine::Sqlite) {
        return Ok(None);
    }
    let path = config.data_dir.join("lock");
    let data = |cause| StartError::DataDir { path: config.data_dir.clone(), cause };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(data)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            // Nothing else is to be done yet, by anybody.
            Err(TryLockError::WouldBlock) if begun.elapsed() < LET_GO => std::thread::sleep(LOOK_AT_LOCK),
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse { path: config.data_dir.clone() }),
            Err(TryLockError::Error(cause)) => return Err(data(cause)),
        }
    }
}
