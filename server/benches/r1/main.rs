//! R1: kills. A job of a few files is begun, paused, resumed, cancelled, retried and robbed of its embeddings at random,
//! while the server is killed as by a power cut and started again, also in the middle of an upload and of a command. Then
//! it has to come to an end by itself, and is audited: every passage once and as in an undisturbed run, with its vector;
//! every turn of a status one that the tables have; no bar fell; what was asked for and taken was done; nothing stuck,
//! nothing lost, nothing left over.
//!
//!     cargo bench -p server --bench r1 [-- --count N --seed N | --smoke] [--several]
//!
//! With `--several` it is two servers that serve people and two that work, on one PostgreSQL and one RabbitMQ; any of them is
//! killed, and requests go to those that serve in turn.
//!
//! Each course has a seed, by which its files, commands and moments can be had again; how threads and processes take
//! turns, nobody decides. The model is a server of this program's, which answers late, and now and then not at all.

mod audit;
mod course;
mod embedder;
mod files;
mod place;
#[allow(dead_code, reason = "each program uses its own part")]
#[path = "../several/mod.rs"]
mod several;

use audit::{Calm, Upload};
use course::Tally;
use embedder::Embedder;
use measure::{Asked, Failure, dice::Dice};
use place::Place;
use several::Services;
use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

/// An undisturbed job takes no longer.
const UNDISTURBED: Duration = Duration::from_secs(120);
/// Courses on one server: a folder of thousands of documents would make the later ones slower.
const AT_ONE_PLACE: u64 = 100;
/// A short run checks that everything comes, and never when: it waits so many times as long as a whole one.
const SLACK: u32 = 6;
/// What has to have been tried in every run.
const COMMANDS: [&str; 5] = ["pause", "resume", "cancel", "retry", "skip-embedding"];

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(run(asked)))
}

async fn run(asked: &Asked) -> Result<String, Failure> {
    let (smoke, several) = (asked.has("--smoke"), asked.has("--several"));
    // Where there are others, what a dead one had in hand waits for its lease: a course takes ten times as long.
    let few = if several { 3 } else { 25 };
    let count: u64 = asked.number("--count", if smoke { few } else { 1_000 })?;
    let first: u64 = asked.number("--seed", 1)?;
    let slack = if smoke { SLACK } else { 1 };
    let files = files::all();
    let embedder = Embedder::start(Dice::new(first)).await?;
    let services = if several { Some(Services::start().await?) } else { None };
    let (mut tally, mut kills, began) = (Tally::new(), 0, Instant::now());
    let mut broken = vec![];
    let mut here: Option<(Place, Calm)> = None;
    for seed in first..first + count {
        if (seed - first).is_multiple_of(AT_ONE_PLACE) {
            kills += here.take().map_or(0, |(place, _)| place.kills);
        }
        let (place, calm) = match &mut here {
            Some(here) => here,
            None => here.insert(open(&embedder.url, &files, services.as_ref(), slack).await?),
        };
        if let Err(why) = course::go(place, seed, &files, calm, &mut tally).await {
            eprintln!("seed {seed}: {why}\n{}", place.log());
            broken.push(seed);
            // Whatever it left behind is not to be held against the next one.
            kills += here.take().map_or(0, |(place, _)| place.kills);
        }
        if (seed - first) % 20 == 19 {
            eprintln!("{} courses, {} broken, {:.0?}", seed - first + 1, broken.len(), began.elapsed());
        }
    }
    kills += here.map_or(0, |(place, _)| place.kills);
    let commands: Vec<String> = tally.iter().map(|(what, n)| format!("{what} {n}")).collect();
    // What never happened was not tried.
    let untried = COMMANDS.into_iter().filter(|what| !(tally.contains_key(what) || smoke && several));
    let untried: Vec<&str> = untried.collect();
    let good = broken.is_empty() && untried.is_empty() && kills > 0;
    let line = format!(
        "{}: seeds={count} kills={kills} ({}, {} texts embedded) broken={} seed={first} goal=0 {}",
        if several { "R1-several" } else { "R1" },
        commands.join(", "),
        embedder.texts(),
        broken.len(),
        if good { "pass" } else { "fail" }
    );
    match (good, untried.is_empty()) {
        (true, _) => Ok(line),
        (false, true) => Err(format!("{line}; seeds: {broken:?}").into()),
        (false, false) => Err(format!("{line}; never taken: {}", untried.join(", ")).into()),
    }
}

/// A server, or several, with what an undisturbed run makes of all files.
async fn open(
    embedder: &str,
    files: &[(String, Vec<u8>)],
    services: Option<&Arc<Services>>,
    slack: u32,
) -> Result<(Place, Calm), Failure> {
    let installation = match services {
        Some(services) => Some(services.installation().await?),
        None => None,
    };
    let mut place = Place::open(embedder.to_owned(), installation, slack).await?;
    place.new_workspace("calm").await?;
    // The model may refuse, so that a document is put off; that is no disturbance, but it takes its time.
    let taken = place.upload("calm", files, None).await?.ok_or("the upload came to nothing")?;
    let upload = Upload::of(&taken)?;
    place
        .until("an undisturbed job ends", UNDISTURBED, async |place| {
            let job = place.read(&upload.path()).await?;
            Ok(matches!(job["status"].as_str(), Some("completed" | "failed")).then_some(()))
        })
        .await?;
    let calm = audit::calm(&place, &upload).await?;
    Ok((place, calm))
}
