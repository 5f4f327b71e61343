//! A workspace of 50,000 passages on PostgreSQL that does not fit into the memory of the server that is asked, in a database
//! with 10,000 of another one (the passages and the questions of P15): how long a question for the ten nearest takes where
//! PostgreSQL has pgvector (`pgvector`), where it has not and all vectors are read for each question (`pgvector-anew`), and,
//! for comparison, where the workspace does fit (`pgvector-memory`). Milliseconds, the median and the 99th percentile of a round.
//! All three find exactly the right ones, in their order, or there is no figure.
//!
//!     cargo bench -p server --bench pgvector [-- --rounds N | --smoke]

mod nearest;

use chat::Retrieval;
use domain::rag::BUILTIN_MODEL;
use measure::{Asked, Failure, report, stats};
use nearest::{Data, Known, Library, NEAREST, Size, WHOLE};
use services::ports::Index;
use sqlx::{AnyConnection, Connection, Executor, raw_sql};
use std::{fmt::Write, process::ExitCode, sync::Arc};

const SMOKE: Size = Size { here: 2_000, elsewhere: 400, questions: 10, rounds: 1 };

/// Bytes that vectors may take in memory: none of them fits, and all of them do.
const NONE: usize = 0;
const ENOUGH: usize = 512 << 20;

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(run(asked)))
}

async fn run(asked: &Asked) -> Result<String, Failure> {
    let is_smoke = asked.has("--smoke");
    let size = if is_smoke { SMOKE } else { WHOLE };
    let rounds = asked.number("--rounds", size.rounds)?;
    let database = std::env::var("INSIGHTHUB_BENCH_POSTGRES_URL")
        .map_err(|_| "INSIGHTHUB_BENCH_POSTGRES_URL is not set; run it with `cargo xtask bench pgvector`")?;
    let store = nearest::open(database.clone(), true).await?;
    if !store.searches_vectors() {
        let missing = "this PostgreSQL has no pgvector";
        // A machine where none can be had is no fault of ours; a real run needs it.
        return if is_smoke {
            Ok(format!("pgvector: skipped, since {missing}"))
        } else {
            Err(missing.into())
        };
    }
    let without = nearest::open(database.clone(), false).await?;
    let data = Data::new(size.here, size.elsewhere, size.questions);
    let library = Library::fill(&store, &data).await?;
    look_after(&database).await?;
    // A search to which pgvector cannot tell the nearest reads all vectors and finds the same, so nobody would notice.
    let (workspace, question) = (library.workspace, &data.questions[0]);
    let told = store.candidates(workspace, BUILTIN_MODEL, question, NEAREST as u32).await?;
    let sent = told.ok_or("pgvector cannot tell the nearest vectors")?.len();
    eprintln!("  pgvector tells {sent} vectors of {}", size.here);
    let known = Arc::new(Known(data.questions.clone()));
    let ways = [
        ("pgvector", Retrieval::new(Arc::new(store.clone()), known.clone(), None, NONE)),
        ("pgvector-anew", Retrieval::new(Arc::new(without.clone()), known.clone(), None, NONE)),
        ("pgvector-memory", Retrieval::new(Arc::new(without.clone()), known, None, ENOUGH)),
    ];
    let mut found: [(Vec<f64>, Vec<f64>); 3] = Default::default();
    // The first round warms up.
    for round in 0..=rounds {
        for turn in 0..ways.len() {
            let way = (round + turn) % ways.len();
            let took = library.ask(&ways[way].1, &data).await?;
            if round > 0 {
                let (p50, p99) = (stats::median(&took), p99(&took));
                eprintln!("  {}: p50 {p50:.2} ms, p99 {p99:.2} ms", ways[way].0);
                found[way].0.push(p50);
                found[way].1.push(p99);
            }
        }
    }
    let note = if is_smoke { report::SMOKE } else { "" };
    let mut lines = String::new();
    for ((name, _), (p50, p99)) in ways.iter().zip(&found) {
        for (which, of_rounds) in [("p50", p50), ("p99", p99)] {
            let of_rounds = stats::of_ratios(of_rounds);
            let name = format!("{name}-{which}");
            let line = report::figure_line(&name, "ms", of_rounds.median, Some(of_rounds.ci95));
            writeln!(lines, "{line}{note}")?;
        }
    }
    store.close().await;
    without.close().await;
    Ok(lines.trim_end().to_owned())
}

/// What PostgreSQL does by itself some minutes after so much has come: until then it plans as if there were little.
async fn look_after(database: &str) -> Result<(), Failure> {
    let mut conn = AnyConnection::connect(database).await?;
    conn.execute(raw_sql("VACUUM ANALYZE")).await?;
    Ok(conn.close().await?)
}

fn p99(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}
