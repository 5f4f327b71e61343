//! `insighthub backup`, `restore` and `restored`: a copy of an installation on SQLite, the way back, and what has to happen
//! after a database was put back by tools of its own.
//!
//! **No row of a copy names a file that is not in it.** Files go first, then the database as of one moment, then whatever
//! came or grew since the first look. What was there when the first look came by is in the copy even if somebody deletes it
//! meanwhile; where something came and went between the two looks, the database is copied once more.

mod copying;
mod placing;

use crate::{
    adapters::{FilePlace, SystemClock, lies_below, sync_dir},
    config::{BrokerServer, Config},
    data_dir::{lock, make_data_dir},
    lifecycle::{Built, StartError, build},
};
use copying::{copy_file, copy_folder, counted, moment, sha256_of};
use domain::message::count;
use messaging::{InProcessBus, rabbit};
use percent_encoding::percent_decode_str;
use placing::put_in_place;
use serde::{Deserialize, Serialize};
use services::{
    check::Finding,
    ports::{Clock, StoreError},
};
use std::{
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use storage::{Begun, Engine, copy_database, newest_schema, sqlite_url};

/// What a copy consists of.
const DATABASE: &str = "insighthub.db";
const FILES: &str = "files";
/// Written last: a copy without it is not whole.
const MANIFEST: &str = "backup.json";
/// How all of that lies there.
const FORMAT: u32 = 1;
/// In the data folder: what is being put back, as long as it is only prepared.
const STAGED: &str = "restoring";
/// In the data folder, while what was prepared takes the place of what is there. It has the moment by which that is
/// named where it lies aside.
const UNDER_WAY: &str = "restore-under-way";
/// How often the database is copied until it agrees with the files. More than once is needed where somebody deleted in that
/// very moment what came in the moment before.
const TRIES: usize = 3;
/// Names that are told of what is not there.
const NAMED: usize = 20;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    made_at: String,
    /// The version that made it.
    insighthub: String,
    schema: i64,
    epoch: String,
    events: u64,
    database_sha256: String,
    files: u64,
    bytes: u64,
}

impl Manifest {
    /// Of a copy that can be put back by this version.
    fn read(from: &Path) -> Result<Self, StartError> {
        let none = |why: String| refused(format!("{} is no backup of InsightHub: {why}", from.display()));
        let text = fs::read(from.join(MANIFEST)).map_err(|e| none(format!("{MANIFEST}: {e}")))?;
        let found: Self = serde_json::from_slice(&text).map_err(|e| none(format!("{MANIFEST}: {e}")))?;
        if found.format != FORMAT || found.schema > newest_schema() {
            return Err(refused(format!(
                "the backup was made by InsightHub {}, which is newer than this one: put it back with that",
                found.insighthub
            )));
        }
        Ok(found)
    }

    fn write(&self, to: &Path) -> io::Result<()> {
        let mut file = File::create_new(to.join(MANIFEST))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        sync_dir(to)
    }
}

/// `insighthub backup`. The server may be running.
pub async fn backup(config: Config, to: PathBuf) -> Result<(), StartError> {
    let files = files_of(&config)?;
    only_sqlite(&config, "copy the folder of the files, PostgreSQL with pg_dump, and the folder once more")?;
    refuse_half_restored(&config)?;
    let to = new_folder(&to, &files)?;
    let told = |e: io::Error| refused(format!("the backup in {} is not whole: {e}", to.display()));
    let (database, copies) = (to.join(DATABASE), to.join(FILES));
    let made_at = SystemClock.now();
    let began = moment(made_at.micros());
    copy_folder(&files, &copies, None).map_err(told)?;
    let mut tries = 1;
    let (copied, missing) = loop {
        let copied = copy_database(&config.database_url, &database).await.map_err(refused)?;
        copy_folder(&files, &copies, Some(began)).map_err(told)?;
        let missing: Vec<String> =
            copied.files.iter().filter(|key| !lies_below(&copies, key)).cloned().collect();
        if missing.is_empty() || tries == TRIES {
            break (copied, missing);
        }
        fs::remove_file(&database).map_err(told)?;
        tries += 1;
    };
    File::open(&database).and_then(|file| file.sync_all()).map_err(told)?;
    let (files, bytes) = counted(&copies).map_err(told)?;
    let manifest = Manifest {
        format: FORMAT,
        made_at: made_at.to_string(),
        insighthub: env!("CARGO_PKG_VERSION").to_owned(),
        schema: newest_schema(),
        epoch: copied.epoch.0,
        events: copied.events,
        database_sha256: sha256_of(&database).map_err(told)?,
        files,
        bytes,
    };
    manifest.write(&to).map_err(told)?;
    println!("copied to {}: the database, and {}", to.display(), count(files, "file", "files"));
    if !missing.is_empty() {
        let them = count(missing.len() as u64, "file that a row names is", "files that rows name are");
        println!("{them} not there, in the installation itself; `insighthub check` tells of what:");
        missing.iter().take(NAMED).for_each(|key| println!("  {key}"));
    }
    Ok(())
}

/// What somebody wants of a restore besides.
#[derive(Clone, Copy)]
pub struct Wishes {
    /// All API keys end.
    pub revoke_keys: bool,
    /// Also a backup whose originals are not all what was uploaded is put back.
    pub even_damaged: bool,
}

/// `insighthub restore`. Until everything is prepared, nothing of what is there is touched; and then it is moved aside.
pub async fn restore(config: Config, from: PathBuf, wishes: Wishes) -> Result<(), StartError> {
    let files = files_of(&config)?;
    let advice = "put PostgreSQL back with pg_restore into an empty database, and the files by hand; then run `insighthub restored`";
    only_sqlite(&config, advice)?;
    let manifest = Manifest::read(&from)?;
    make_data_dir(&config)?;
    let _lock = lock(&config)?;
    let database = database_file(&config.database_url)
        .ok_or_else(|| refused("DATABASE_URL does not name a file that could be put back"))?;
    if place_of(&files) != place_of(&config.data_dir.join(FILES)) {
        return Err(refused(format!(
            "the files lie outside of the data folder, in {}: put them and the database back by hand, and then run \
             `insighthub restored`",
            files.display()
        )));
    }
    // A name that holds whatever the folder is that SQLite goes by.
    let data_dir = config.data_dir.canonicalize()?;
    let config = Config { files: FilePlace::Folder(data_dir.join(FILES)), data_dir, ..config };
    let staged = config.data_dir.join(STAGED);
    let done = match prepare(&config, &from, &manifest, &staged, wishes).await {
        Ok(done) => done,
        Err(e) => {
            // What cannot be removed now goes at the next restore.
            let _ = fs::remove_dir_all(&staged);
            return Err(e);
        }
    };
    let aside = match put_in_place(&config.data_dir, &staged, &database) {
        Ok(aside) => aside,
        Err(e) if config.data_dir.join(UNDER_WAY).exists() => {
            let what = "what was prepared could not be put into its place, run the command again";
            return Err(refused(format!("{what}: {e}")));
        }
        Err(e) => {
            let _ = fs::remove_dir_all(&staged);
            return Err(refused(format!("nothing was put back, and all is as it was: {e}")));
        }
    };
    println!(
        "put back: the database of {}, and {}",
        manifest.made_at,
        count(manifest.files, "file", "files")
    );
    print!("{done}");
    if !aside.is_empty() {
        println!("what was there before is kept; remove it when nobody needs it any more:");
        aside.iter().for_each(|path| println!("  {}", path.display()));
    }
    forget_reports(config.broker).await
}

/// `insighthub restored`, for a database that was put back by tools of its own.
pub async fn restored(config: Config, revoke_keys: bool) -> Result<(), StartError> {
    make_data_dir(&config)?;
    let _lock = lock(&config)?;
    print!("{}", begin_anew(&config, revoke_keys).await?);
    if let FilePlace::Bucket(_) = &config.files {
        println!(
            "the bucket of the files is not taken for this installation's own, since the one that it is a copy of may still \
             use it: copy the files to another bucket or prefix and name that in INSIGHTHUB_BLOB_URL, or remove the object \
             `.insighthub` there when this one takes its place"
        );
    }
    forget_reports(config.broker).await
}

/// Reports of outside workers that wait at the broker are about what they were told in the life that is over.
async fn forget_reports(broker: Option<BrokerServer>) -> Result<(), StartError> {
    let Some(broker) = broker else { return Ok(()) };
    match rabbit::forget_reports(broker.url, &broker.exchange).await {
        Ok(0) => {}
        Ok(reports) => println!(
            "{} of outside workers taken from the broker: they hear again of all that waits",
            count(u64::from(reports), "report", "reports")
        ),
        Err(why) => {
            let again =
                "all else is done, but reports of outside workers are still there; run `insighthub restored`";
            return Err(refused(format!("{again}: {why}")));
        }
    }
    Ok(())
}

/// A data folder in which a restore was cut off has neither the old state nor the new one.
pub(crate) fn refuse_half_restored(config: &Config) -> Result<(), StartError> {
    if config.data_dir.join(UNDER_WAY).exists() {
        return Err(refused(format!(
            "a restore was cut off in {}: run `insighthub restore` again",
            config.data_dir.display()
        )));
    }
    Ok(())
}

/// The file of an SQLite database.
pub(crate) fn database_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path).split('?').next()?;
    Some(percent_decode_str(path).decode_utf8().ok()?.into_owned().into())
}

/// Makes the database and files that are to be put back, beside those that are there.
async fn prepare(
    config: &Config,
    from: &Path,
    manifest: &Manifest,
    staged: &Path,
    wishes: Wishes,
) -> Result<Done, StartError> {
    let told =
        |e: io::Error| refused(format!("the backup could not be read, or there is no room for it: {e}"));
    match fs::remove_dir_all(staged) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(told(e)),
        _ => {}
    }
    fs::DirBuilder::new().mode(0o700).create(staged).map_err(told)?;
    let (database, files) = (staged.join(DATABASE), staged.join(FILES));
    copy_file(&from.join(DATABASE), &database).map_err(told)?;
    copy_folder(&from.join(FILES), &files, None).map_err(told)?;
    let is_whole = database.is_file()
        && sha256_of(&database).map_err(told)? == manifest.database_sha256
        && counted(&files).map_err(told)? == (manifest.files, manifest.bytes);
    if !is_whole {
        let what = format!("the backup in {} is damaged: it is not what was copied", from.display());
        return Err(refused(what));
    }
    let staged = Config {
        data_dir: staged.to_owned(),
        files: FilePlace::Folder(files),
        database_url: sqlite_url(&database),
        broker: None,
        ..config.clone()
    };
    let built = build(&staged, InProcessBus::new()).await?;
    let done = match damage(&built, from, wishes.even_damaged).await {
        Ok(damage) => begin_anew_in(&built, wishes.revoke_keys).await.map(|done| Done { damage, ..done }),
        Err(e) => Err(e),
    };
    built.store.close().await;
    done
}

/// Originals of the backup that are not what was uploaded. They may have been so already when it was made, and then there may be
/// no better one; so whoever says that they are accepted gets them.
async fn damage(built: &Built, from: &Path, is_accepted: bool) -> Result<Vec<Finding>, StartError> {
    let found = built.services.check_originals(&built.store).await;
    let found = found.map_err(|e| refused(e.to_problem().detail))?;
    if found.is_empty() || is_accepted {
        return Ok(found);
    }
    let mut why = format!(
        "the backup in {} is damaged: take another one, or put it back as it is with --even-damaged",
        from.display()
    );
    for finding in &found {
        why += &format!("\n{finding}");
    }
    Err(refused(why))
}

/// What was done to a database that was put back.
struct Done {
    begun: Begun,
    revoked_keys: bool,
    /// Work that somebody had in hand.
    in_hand: u64,
    /// Answers that nobody goes on with.
    turns: u64,
    /// Originals that are not what was uploaded.
    damage: Vec<Finding>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "the event log has the new epoch {}: pages and scripts fetch all anew",
            self.begun.epoch
        )?;
        let sessions = count(self.begun.sessions, "sign-in session", "sign-in sessions");
        writeln!(f, "{sessions} ended: everybody has to sign in again, with the password of then")?;
        let keys = count(self.begun.keys, "API key", "API keys");
        match (self.begun.keys, self.revoked_keys) {
            (0, _) => {}
            (_, true) => writeln!(f, "{keys} ended")?,
            (_, false) => writeln!(
                f,
                "{keys} of the backup may be used again, also what was revoked since; \
                 `insighthub restored --revoke-keys` ends them all"
            )?,
        }
        if self.in_hand > 0 {
            let work = count(self.in_hand, "piece", "pieces");
            writeln!(f, "{work} of work that somebody had in hand will go on")?;
        }
        if self.turns > 0 {
            writeln!(
                f,
                "{} ended as interrupted",
                count(self.turns, "unfinished answer", "unfinished answers")
            )?;
        }
        for finding in &self.damage {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}

async fn begin_anew(config: &Config, revoke_keys: bool) -> Result<Done, StartError> {
    let built = build(config, InProcessBus::new()).await?;
    let done = begin_anew_in(&built, revoke_keys).await;
    built.store.close().await;
    done
}

async fn begin_anew_in(built: &Built, revoke_keys: bool) -> Result<Done, StartError> {
    let told = |e: StoreError| refused(format!("the database cannot be written: {e}"));
    let services = &built.services;
    let begun = built.store.begin_anew(services.secrets.bytes32(), revoke_keys).await.map_err(told)?;
    let begun =
        begun.ok_or_else(|| refused("servers or commands are running on this database; stop them first"))?;
    // Whoever held a lease, or made an answer, did so in the life that is over.
    let jobs = services.jobs.void_leases().await.map_err(told)?;
    let exports = services.exports.void_export_leases().await.map_err(told)?;
    let turns = services.end_turns_of_before().await.map_err(|e| refused(e.to_problem().detail))?;
    Ok(Done { begun, revoked_keys: revoke_keys, in_hand: jobs + exports, turns, damage: vec![] })
}

/// Where the files lie. The one place to say so for whoever copies them or puts them back.
fn files_of(config: &Config) -> Result<PathBuf, StartError> {
    match &config.files {
        FilePlace::Folder(folder) => Ok(folder.clone()),
        FilePlace::Bucket(_) => Err(refused(
            "the files lie in an object store, which has tools of its own: with those copy the bucket, the database, and the \
             bucket once more; when they were put back, say `insighthub restored`"
                .to_owned(),
        )),
    }
}

/// One name for a place, by whichever way it is reached. The last part is not followed: where it is a link, that is moved
/// aside, and not what it leads to.
fn place_of(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

fn only_sqlite(config: &Config, advice: &str) -> Result<(), StartError> {
    if Engine::of_url(&config.database_url) == Some(Engine::Sqlite) {
        return Ok(());
    }
    Err(refused(format!("this command is for SQLite; {advice}")))
}

/// Makes the folder of a copy; other people's documents are for the owner's eyes only.
fn new_folder(to: &Path, files: &Path) -> Result<PathBuf, StartError> {
    let told = |e: io::Error| refused(format!("{}: {e}", to.display()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).map_err(told)?;
    if fs::read_dir(to).map_err(told)?.next().is_some() {
        return Err(refused(format!("{} has something in it; name a new folder", to.display())));
    }
    let to = to.canonicalize().map_err(told)?;
    if files.canonicalize().is_ok_and(|files| to.starts_with(files)) {
        return Err(refused("a backup cannot lie in the folder that it is to copy"));
    }
    Ok(to)
}

fn refused(why: impl fmt::Display) -> StartError {
    StartError::Refused(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_database_is_told_from_its_url() {
        for (url, file) in [
            ("sqlite:./data/x.db", Some("./data/x.db")),
            ("sqlite:///var/x.db?mode=rwc", Some("/var/x.db")),
            ("sqlite:///50%25%20a.db", Some("/50% a.db")),
            ("postgres://db/x", None),
        ] {
            assert_eq!(database_file(url), file.map(PathBuf::from), "{url}");
        }
        let odd = Path::new("/50% a?b#c & ü.db");
        assert_eq!(database_file(&sqlite_url(odd)).as_deref(), Some(odd));
    }
}
