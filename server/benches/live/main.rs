//! P1 to P4: the live stream under load, against Socket.IO doing the same work. P9: a page as the server renders it, against
//! Next.js.
//!
//!     cargo bench -p server --bench live -- p1|p1-rooms|p2|p3|p4|p9|p9-memory [--smoke]
//!
//! Server and load generator are processes of their own, on a core each where there are two. Both sides are asked by the
//! same client over real sockets (`wire`), and changes come on a schedule that does not wait for anybody (`plan`); a
//! delivery is as late as it is behind the moment at which its change was due.

mod p1;
mod p2;
mod p3;
mod p4;
mod p9;
mod people;
mod plan;
mod redis;
mod rest;
mod search;
mod servers;
mod step;
mod turns;
mod twin;
mod wire;

use measure::{Asked, Failure};
use std::process::ExitCode;

const NAMES: [&str; 7] = ["p1", "p1-rooms", "p2", "p3", "p4", "p9", "p9-memory"];

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(run)
}

fn run(asked: &Asked) -> Result<String, Failure> {
    if asked.has("--serve") {
        return people::serve(asked.number("--people", 1)?);
    }
    // One thread: the generator has one core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let smoke = asked.has("--smoke");
    let measured = async {
        match NAMES.into_iter().find(|name| asked.has(name)) {
            Some("p1") => p1::compare(&p1::ONE_ROOM, smoke).await,
            Some("p1-rooms") => p1::compare(&p1::ROOMS, smoke).await,
            Some("p2") => p2::measure(smoke).await,
            Some("p3") => p3::measure(smoke).await,
            Some("p4") => p4::measure(smoke).await,
            Some("p9") => p9::measure(smoke).await,
            Some("p9-memory") => p9::memory(smoke).await,
            _ => Err(format!("say which: {}", NAMES.join(", ")).into()),
        }
    };
    match tokio::task::LocalSet::new().block_on(&runtime, measured) {
        // A machine without the peer's registry is no fault of ours; a real run needs the peer.
        Err(missing) if smoke && missing.is::<servers::NoPeer>() => {
            let name = NAMES.into_iter().find(|name| asked.has(name)).unwrap_or_default();
            Ok(format!("{}: skipped, since {missing}", name.to_uppercase()))
        }
        other => other,
    }
}
