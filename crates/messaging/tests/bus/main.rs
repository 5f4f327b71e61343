//! The buses: what holds for both, and what the one over RabbitMQ does with a real broker that is cut off, killed and
//! wiped.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod both;
mod broken;
mod cut;
mod held_up;
mod node;
mod outside;
mod relay;

use std::time::Duration;

/// A test that waits longer than this for something has failed.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The broker that the test run started.
pub fn broker() -> String {
    std::env::var("INSIGHTHUB_TEST_RABBITMQ_URL").expect(
        "INSIGHTHUB_TEST_RABBITMQ_URL is not set; run the tests with `cargo xtask test`, which starts a RabbitMQ for them",
    )
}

/// What a future answers, in time.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}
