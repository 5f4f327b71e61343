//! P6: how many jobs with nothing to do go through the queue in a second, and how soon a job that was added begins. P7: how
//! long a job stands still when its worker is killed. Against BullMQ and Celery on Redis, which has everything on the disk
//! before it answers, as our database does.
//!
//!     cargo bench -p server --bench queue -- p6|p7|p7-several [--smoke]

#[path = "../r1/embedder.rs"]
mod embedder;
mod ours;
mod p6;
mod p7;
mod peers;
#[path = "../../../crates/storage/benches/p5/people.rs"]
mod people;
#[path = "../live/redis.rs"]
mod redis;
#[allow(dead_code, reason = "each program uses its own part")]
#[path = "../several/mod.rs"]
mod several;

use measure::{Asked, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(run(asked)))
}

async fn run(asked: &Asked) -> Result<String, Failure> {
    let smoke = asked.has("--smoke");
    let measured = match ["p6", "p7", "p7-several"].into_iter().find(|name| asked.has(name)) {
        Some("p6") => p6::measure(smoke).await,
        Some("p7") => p7::measure(smoke).await,
        Some("p7-several") => p7::measure_several(smoke).await,
        _ => Err("say which: p6, p7 or p7-several".into()),
    };
    match measured {
        // A machine without the peers' registries is no fault of ours; a real run needs them.
        Err(missing) if smoke && missing.is::<peers::NoPeer>() => {
            let name = if asked.has("p6") { "P6" } else { "P7" };
            Ok(format!("{name}: skipped, since {missing}"))
        }
        other => other,
    }
}
