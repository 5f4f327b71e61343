//! The resources as every interface shows them: REST, the stream, the pages. Some carry a second name for a field,
//! for clients of older status APIs; it is written beside the first, never read.

mod account;
mod document;
mod job;
mod passage;
mod version;
mod workspace;

pub use account::{Density, Language, Notifications, Session, Theme, User};
pub use document::{
    CANCELLED, Document, DocumentRef, EMBEDDING_SKIPPED, INTERRUPTED, PAUSED, RETRYING, STALLED, STOPPING,
    WAITING, Warning,
};
pub use job::{Attempt, DocumentError, Job, Metrics, PhaseDetail};
pub use passage::{Chunk, Scored, Scores, SearchHit};
pub use version::{Version, VersionState};
pub use workspace::{Counts, Workspace, no_metadata};

use serde::{Deserialize, Serialize};

/// One page of a list: `next`, when there is more, goes into `after`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// Serialises a resource and writes second names beside it.
macro_rules! with_aliases {
    ($name:ident, { $($alias:ident: $ty:ty = |$r:ident| $value:expr),+ $(,)? }) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                struct Plain<'a>(&'a $name);
                impl Serialize for Plain<'_> {
                    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                        $name::serialize(self.0, serializer)
                    }
                }
                #[derive(Serialize)]
                struct Both<'a> {
                    #[serde(flatten)]
                    plain: Plain<'a>,
                    $($alias: $ty),+
                }
                Both { plain: Plain(self), $($alias: { let $r = self; $value }),+ }.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $name::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use with_aliases;
