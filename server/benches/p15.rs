//! P15: a question for the ten nearest of 50,000 passages of a workspace, in a database that has those of another one too:
//! the whole way of a search but for the model, on one core, against sqlite-vec with the workspace as its partition
//! (p15_peer.py). Both find exactly the right ones, in their order, or there is no figure.
//!
//!     cargo bench -p server --bench p15 [-- --rounds N | --smoke]

mod nearest;

use chat::Retrieval;
use measure::{
    Asked, Failure, peer,
    report::{self, Goal},
    stats,
};
use nearest::{Data, Known, Library, Size, WHOLE, check};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
};

const SMOKE: Size = Size { here: 1_000, elsewhere: 200, questions: 10, rounds: 1 };

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(run(asked)))
}

async fn run(asked: &Asked) -> Result<String, Failure> {
    let is_smoke = asked.has("--smoke");
    let size = if is_smoke { SMOKE } else { WHOLE };
    let rounds = asked.number("--rounds", size.rounds)?;
    let data = Data::new(size.here, size.elsewhere, size.questions);
    // On a disk: a folder for temporary files may lie in memory.
    let home = peer::cache().join("bench");
    fs::create_dir_all(&home)?;
    let folder = tempfile::tempdir_in(home)?;
    let peer = match Peer::prepare(folder.path(), &data) {
        // A machine without the peer's registry is no fault of ours; a real run needs it.
        Err(missing) if is_smoke => return Ok(format!("P15: skipped, since {missing}")),
        other => other?,
    };
    let store = nearest::open(format!("sqlite://{}", folder.path().join("ours.db").display()), true).await?;
    let library = Library::fill(&store, &data).await?;
    let known = Arc::new(Known(data.questions.clone()));
    let retrieval = Retrieval::new(Arc::new(store), known, None, 256 << 20);
    let (mut ours, mut theirs) = (vec![], vec![]);
    for round in 0..rounds {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                ours.push(stats::median(&library.ask(&retrieval, &data).await?));
            } else {
                theirs.push(peer.round(&data.right)?);
            }
        }
        eprintln!("  ours {:.2} ms, sqlite-vec {:.2} ms", ours[round], theirs[round]);
    }
    let line = report::compared("P15", "ms", &ours, &theirs, Goal::AtMost(0.2));
    Ok(line + if is_smoke { report::SMOKE } else { "" })
}

/// sqlite-vec with the same vectors.
struct Peer {
    python: std::path::PathBuf,
    folder: std::path::PathBuf,
}

impl Peer {
    fn prepare(folder: &Path, data: &Data) -> Result<Self, Failure> {
        let python = peer::python(&peer::cache().join("bench/p15"), &["sqlite-vec", "apsw"])?;
        let bytes =
            |all: &[Vec<f32>]| all.iter().flatten().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        fs::write(folder.join("vectors"), bytes(&data.vectors))?;
        fs::write(folder.join("questions"), bytes(&data.questions))?;
        let peer = Self { python, folder: folder.to_owned() };
        peer::ask(peer.command().args(["fill", &data.here.to_string()]))?;
        Ok(peer)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(measure::package(env!("CARGO_MANIFEST_DIR")).join("benches/p15_peer.py"))
            .arg(&self.folder);
        command
    }

    fn round(&self, right: &[Vec<usize>]) -> Result<f64, Failure> {
        let answer: Value = serde_json::from_str(&peer::ask(self.command().arg("ask"))?)?;
        let found: Vec<Vec<usize>> = serde_json::from_value(answer["found"].clone())?;
        for (found, right) in found.iter().zip(right) {
            check(found, right)?;
        }
        answer["median"].as_f64().ok_or_else(|| "the peer told no time".into())
    }
}
