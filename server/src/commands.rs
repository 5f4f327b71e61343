//! The commands beside `serve`: each does one thing to an installation, and stops.

use crate::{
    adapters::{FilePlace, MARK, SharedFolder},
    backup::{database_file, refuse_half_restored},
    config::{BrokerServer, Config},
    data_dir::{lock, make_data_dir},
    lifecycle::{SHARED_ORPHAN_AGE, StartError, build},
};
use messaging::{InProcessBus, rabbit};
use services::{
    Client, Error, SignUp,
    check::{Asked, Done, Finding, Look},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use storage::{FOLDER_MARK, Store};

/// `insighthub migrate`.
pub async fn migrate(config: Config) -> Result<(), StartError> {
    let built = build(&config, InProcessBus::new()).await?;
    built.store.close().await;
    println!("the database is up to date");
    Ok(())
}

/// `insighthub migrate --from sqlite:… --to postgres://…`. The files stay where they are.
pub async fn move_installation(config: Config, from: String, to: String) -> Result<(), StartError> {
    // A server that still runs on the old database holds the lock of its data folder: that is the one beside the database,
    // whatever is set here, or the one that is set here, where the database lies elsewhere.
    let folders = [folder_of(&from), config.data_dir.canonicalize().ok()];
    let folders: BTreeSet<PathBuf> = folders.into_iter().flatten().collect();
    let old = Config { database_url: from, ..config };
    let mut locks = vec![];
    for data_dir in folders {
        let old = Config { data_dir, ..old.clone() };
        locks.push(lock(&old)?);
        // A restore leaves its mark in the folder of the data, and the database may lie in another one.
        refuse_half_restored(&old)?;
    }
    let moved = storage::move_installation(&old.database_url, &to).await;
    drop(locks);
    let moved = moved.map_err(|e| StartError::Refused(e.to_string()))?;
    for (table, rows) in &moved.0 {
        println!("{rows:>10}  {table}");
    }
    println!("everything is on the other side and was compared row by row");
    println!("set DATABASE_URL to it and start again; the files stay where they are");
    Ok(())
}

/// Where the file of an SQLite database lies that is there.
fn folder_of(url: &str) -> Option<PathBuf> {
    let file = database_file(url)?.canonicalize().ok()?;
    file.parent().map(Path::to_owned)
}

/// `insighthub check`. An error when something is left that is not as it should be.
pub async fn check(config: Config, repair: bool, quick: bool) -> Result<(), StartError> {
    make_data_dir(&config)?;
    let lock = lock(&config)?;
    let built = build(&config, InProcessBus::new()).await?;
    // Without the lock servers may be running, and what they are just being sent has a file and no row yet.
    let age = if lock.is_some() { Duration::ZERO } else { SHARED_ORPHAN_AGE };
    let look = if quick { Look::Sizes } else { Look::Bytes };
    let checked = built.services.check(&built.store, Asked { age, look, repair }).await;
    let apart = apart(&config, &built.store).await;
    built.store.close().await;
    let mut report = checked.map_err(|e| StartError::Refused(e.to_problem().detail))?;
    report.findings.extend(apart?);
    if let Some(broker) = config.broker {
        report.findings.extend(at_broker(broker).await);
    }
    println!("{report}");
    if report.is_good() { Ok(()) } else { Err(StartError::Unsound) }
}

/// Whether the files are looked for in another folder than that of the servers.
async fn apart(config: &Config, store: &Store) -> Result<Option<Finding>, StartError> {
    let FilePlace::Folder(folder) = &config.files else { return Ok(None) };
    let kept = store.known_secret(FOLDER_MARK).await;
    let kept = kept.map_err(|e| StartError::Refused(format!("the database cannot be read: {e}")))?;
    let Some(kept) = kept else { return Ok(None) };
    let shared = SharedFolder::new(folder.clone(), kept);
    let is_the_one =
        shared.is_the_one().map_err(|cause| StartError::Files { path: folder.clone(), cause })?;
    Ok((!is_the_one).then(|| Finding {
        what: "folders of files that are not that of the servers",
        of: vec![format!("{}: its file {MARK} would have to say {}", folder.display(), shared.expected())],
        more: 0,
        done: Done::Advice("give all of them the same one; where this is the right one, write that into it"),
    }))
}

/// What an operator has to know of the broker.
async fn at_broker(broker: BrokerServer) -> Option<Finding> {
    let standing = match rabbit::standing(broker.url, &broker.exchange).await {
        Ok(standing) => standing,
        Err(why) => {
            let done = Done::Advice("see to it, and to RABBITMQ_URL");
            return Some(Finding { what: "brokers that cannot be asked", of: vec![why], more: 0, done });
        }
    };
    if standing.dead == 0 {
        return None;
    }
    let queue = standing.dead_queue;
    let of: Vec<String> = standing.reasons.iter().map(|reason| format!("in {queue}, {reason}")).collect();
    let more = (standing.dead as usize).saturating_sub(of.len());
    let done = Done::Advice("mend who sent them, and empty that queue");
    Some(Finding { what: "messages to the broker that nobody could use", of, more, done })
}

/// `insighthub user add`.
pub async fn add_user(
    config: Config,
    username: String,
    email: String,
    full_name: Option<String>,
    password: String,
) -> Result<(), StartError> {
    let built = build(&config, InProcessBus::new()).await?;
    let form = SignUp { username, email, password, full_name };
    let added = built.services.sign_up(form, Client::default()).await;
    let done = match added {
        Ok(new) => {
            // Signing up signs in; nobody holds that session.
            let now = built.services.clock.now();
            let ended = built.services.sessions.end_session(new.user.id, new.session_id, now).await;
            ended.map(|_| new.user).map_err(Error::from)
        }
        Err(e) => Err(e),
    };
    built.store.close().await;
    match done {
        Ok(user) => {
            println!("added {} ({})", user.username, user.id);
            Ok(())
        }
        Err(e) => {
            let problem = e.to_problem();
            let fields = problem
                .errors
                .iter()
                .flat_map(|(field, all)| all.iter().map(move |m| format!("\n  {field}: {m}")));
            Err(StartError::Refused(fields.fold(problem.detail.clone(), |text, line| text + &line)))
        }
    }
}
