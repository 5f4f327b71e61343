//! The statuses and the moves between them. Each table stands here once; whoever changes a status asks it.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A move that the table does not have. It tells what would have been possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {from}; it cannot become {to}")]
pub struct IllegalMove {
    pub what: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    pub allowed: Vec<&'static str>,
}

/// The text names no member of the enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown {0}")]
pub struct Unknown(pub &'static str);

/// An enum whose members have one fixed name each, used in JSON, in the database and in URLs alike.
macro_rules! named {
    // `tt` and not `literal`: the schema of OpenAPI does not see a name through the wrapping of the latter.
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $text:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = $crate::status::Unknown;

            fn from_str(s: &str) -> Result<Self, $crate::status::Unknown> {
                match s { $($text => Ok($name::$variant),)+ _ => Err($crate::status::Unknown($what)) }
            }
        }
    };
}
pub(crate) use named;

/// Adds the transition table of an enum made by [`named!`].
macro_rules! moves {
    ($name:ident, $what:literal { $($from:ident => [$($to:ident),*]),+ $(,)? }) => {
        impl $name {
            /// The statuses that may follow this one.
            pub const fn allowed(self) -> &'static [$name] {
                match self { $($name::$from => &[$($name::$to),*]),+ }
            }

            pub fn may_become(self, to: $name) -> bool {
                self.allowed().contains(&to)
            }

            /// `to`, when the table has the move.
            pub fn go(self, to: $name) -> Result<$name, $crate::status::IllegalMove> {
                if self.may_become(to) {
                    Ok(to)
                } else {
                    Err($crate::status::IllegalMove {
                        what: $what,
                        from: self.as_str(),
                        to: to.as_str(),
                        allowed: self.allowed().iter().map(|s| s.as_str()).collect(),
                    })
                }
            }
        }
    };
}
pub(crate) use moves;

named!(
    /// What a document is; what its job does with it is shown beside it.
    DocumentStatus, "document status" {
        Pending = "pending",
        Processing = "processing",
        Ready = "ready",
        Failed = "failed",
    }
);
moves!(DocumentStatus, "The document" {
    Pending => [Processing, Failed],
    Processing => [Ready, Failed, Pending],
    Ready => [Pending],
    Failed => [Pending],
});

named!(
    /// What a workspace is.
    WorkspaceStatus, "workspace status" {
        Provisioning = "provisioning",
        Ready = "ready",
        Error = "error",
        Deleting = "deleting",
    }
);
moves!(WorkspaceStatus, "The workspace" {
    Provisioning => [Ready, Error, Deleting],
    Ready => [Error, Deleting],
    Error => [Provisioning, Deleting],
    Deleting => [],
});

named!(
    /// What a job is, within its current attempt.
    JobStatus, "job status" {
        Pending = "pending",
        Running = "running",
        Paused = "paused",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
    }
);
moves!(JobStatus, "The job" {
    Pending => [Running, Paused, Cancelled],
    Running => [Paused, Completed, Failed, Cancelled],
    Paused => [Running, Cancelled],
    Completed => [],
    Failed => [],
    Cancelled => [],
});

impl JobStatus {
    /// Final within the attempt; only a retry, which makes the next attempt, goes on from here.
    pub const fn is_final(self) -> bool {
        matches!(self, JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled)
    }
}

named!(
    /// What a phase of a job is.
    PhaseStatus, "phase status" {
        Pending = "pending",
        Running = "running",
        Paused = "paused",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
        Skipped = "skipped",
    }
);
moves!(PhaseStatus, "The phase" {
    Pending => [Running, Cancelled, Skipped],
    Running => [Paused, Completed, Failed, Cancelled, Skipped],
    Paused => [Running, Cancelled, Skipped],
    Completed => [],
    Failed => [],
    Cancelled => [],
    Skipped => [],
});

named!(
    /// The four phases that every job has, in order; they may overlap.
    PhaseName, "phase" {
        Loading = "loading",
        Chunking = "chunking",
        Embedding = "embedding",
        Indexing = "indexing",
    }
);

impl PhaseName {
    /// Place in the order, from 0.
    pub const fn index(self) -> usize {
        match self {
            PhaseName::Loading => 0,
            PhaseName::Chunking => 1,
            PhaseName::Embedding => 2,
            PhaseName::Indexing => 3,
        }
    }

    /// The word on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            PhaseName::Loading => "Loading",
            PhaseName::Chunking => "Chunking",
            PhaseName::Embedding => "Embedding",
            PhaseName::Indexing => "Indexing",
        }
    }

    /// What the phase counts.
    pub const fn unit(self) -> &'static str {
        match self {
            PhaseName::Loading | PhaseName::Chunking => "documents",
            PhaseName::Embedding | PhaseName::Indexing => "chunks",
        }
    }
}

named!(
    /// What a job is for.
    JobKind, "job kind" {
        Upload = "upload",
        Crawl = "crawl",
        Reindex = "reindex",
        Delete = "delete",
    }
);

named!(
    /// Why nothing of a running job moves.
    Halt, "halt" {
        /// What a worker holds gets nowhere.
        Stalled = "stalled",
        /// What was begun is in nobody's hands.
        Interrupted = "interrupted",
        /// The server of its embedding model cannot be had.
        Waiting = "waiting",
    }
);
named!(
    /// Where a job stands among those of its person.
    #[derive(Default)]
    Priority, "priority" {
        /// Somebody put it before the others.
        First = "first",
        #[default]
        Normal = "normal",
        /// Nobody waits for it: what is asked for meanwhile goes first, for some minutes.
        Background = "background",
    }
);
named!(
    /// What somebody asked of a running job; the worker honours it at its next gate.
    JobRequest, "request" {
        Pause = "pause",
        Cancel = "cancel",
    }
);

named!(
    /// Who works on a workspace's documents: the built-in workers, or somebody's own.
    Processor, "processor" {
        Builtin = "builtin",
        External = "external",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of a table: the listed ones succeed, all others are refused and name what is allowed.
    macro_rules! check_pairs {
        ($name:ident, [$(($from:ident, $to:ident)),* $(,)?]) => {{
            let listed: &[($name, $name)] = &[$(($name::$from, $name::$to)),*];
            for &from in $name::ALL {
                for &to in $name::ALL {
                    match from.go(to) {
                        Ok(now) => {
                            assert!(listed.contains(&(from, to)), "{from} → {to} must be refused");
                            assert_eq!(now, to);
                        }
                        Err(e) => {
                            assert!(!listed.contains(&(from, to)), "{from} → {to} must be possible");
                            assert_eq!((e.from, e.to), (from.as_str(), to.as_str()));
                            let allowed: Vec<_> =
                                listed.iter().filter(|(f, _)| *f == from).map(|(_, t)| t.as_str()).collect();
                            let mut told = e.allowed.clone();
                            let mut want = allowed.clone();
                            told.sort_unstable();
                            want.sort_unstable();
                            assert_eq!(told, want);
                        }
                    }
                }
            }
        }};
    }

    #[test]
    fn a_job_makes_exactly_the_moves_of_its_table() {
        check_pairs!(
            JobStatus,
            [
                (Pending, Running),
                (Pending, Paused),
                (Pending, Cancelled),
                (Running, Paused),
                (Running, Completed),
                (Running, Failed),
                (Running, Cancelled),
                (Paused, Running),
                (Paused, Cancelled),
            ]
        );
    }

    #[test]
    fn a_document_makes_exactly_the_moves_of_its_table() {
        check_pairs!(
            DocumentStatus,
            [
                (Pending, Processing),
                (Pending, Failed),
                (Processing, Ready),
                (Processing, Failed),
                (Processing, Pending),
                (Ready, Pending),
                (Failed, Pending),
            ]
        );
    }

    #[test]
    fn a_workspace_makes_exactly_the_moves_of_its_table() {
        check_pairs!(
            WorkspaceStatus,
            [
                (Provisioning, Ready),
                (Provisioning, Error),
                (Provisioning, Deleting),
                (Ready, Error),
                (Ready, Deleting),
                (Error, Provisioning),
                (Error, Deleting),
            ]
        );
    }

    #[test]
    fn a_phase_makes_exactly_the_moves_of_its_table() {
        check_pairs!(
            PhaseStatus,
            [
                (Pending, Running),
                (Pending, Cancelled),
                (Pending, Skipped),
                (Running, Paused),
                (Running, Completed),
                (Running, Failed),
                (Running, Cancelled),
                (Running, Skipped),
                (Paused, Running),
                (Paused, Cancelled),
                (Paused, Skipped),
            ]
        );
    }

    #[test]
    fn nothing_follows_a_final_status() {
        for &s in JobStatus::ALL {
            assert_eq!(s.is_final(), s.allowed().is_empty());
        }
    }

    #[test]
    fn names_read_back_and_are_spelt_the_agreed_way() {
        for &s in JobStatus::ALL {
            assert_eq!(s.as_str().parse::<JobStatus>(), Ok(s));
            assert_eq!(serde_json::to_value(s).ok(), Some(serde_json::Value::from(s.as_str())));
        }
        assert_eq!("canceled".parse::<JobStatus>(), Err(Unknown("job status")));
        assert_eq!("crawling".parse::<PhaseName>(), Err(Unknown("phase")));
    }
}
