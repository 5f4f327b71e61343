//! What a place for files has to do: one suite over a folder and over a bucket, and what is a matter of one of them alone.

/// Each test is written once and run over both places.
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod in_a_folder {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&super::super::folder::house()).await;
                }
            )*
        }
        mod in_a_bucket {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&super::super::bucket::house().await).await;
                }
            )*
        }
    };
}

mod bucket;
mod conformance;
mod folder;
mod overtaken;
#[allow(dead_code, reason = "it is a part of tests, of which each uses its own part")]
#[path = "../../../../tests/support/s3.rs"]
mod s3;

use crate::adapters::{SystemClock, TimeOrderedIds};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use services::ports::{BlobError, Blobs, Clock, Ids};
use std::{any::Any, sync::Arc, time::Duration};

/// A place for files, as the tests see it.
struct House {
    blobs: Arc<dyn Blobs>,
    /// Whether something of a transfer has come there.
    is_under_way: Box<dyn Fn() -> bool + Send + Sync>,
    /// How much lies there that is half-written.
    half_written: Box<dyn Fn() -> usize + Send + Sync>,
    /// Leaves something half-written, as a process that is killed does.
    leave_half: Box<dyn Fn() + Send + Sync>,
    /// What has to live as long.
    _held: Box<dyn Any + Send + Sync>,
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn ids() -> Arc<dyn Ids> {
    Arc::new(TimeOrderedIds::new(clock()))
}

fn body(chunks: Vec<Result<Bytes, BlobError>>) -> BoxStream<'static, Result<Bytes, BlobError>> {
    stream::iter(chunks).boxed()
}

async fn told(blobs: &dyn Blobs, age: Duration) -> Vec<String> {
    let parts: Vec<_> = blobs.older_than(age).collect().await;
    let mut all: Vec<String> = parts.into_iter().flat_map(|part| part.expect("told")).collect();
    all.sort_unstable();
    all
}

/// Asks again and again, since what is given up is removed in the background.
async fn eventually(what: &str, ask: impl Fn() -> bool) {
    let asking = async {
        while !ask() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}
