//! The error of every use case, and how it looks to the one who asked.
//!
//! Use a named variant for what the person can do something about; everything else is `Internal`: logged here with its
//! cause, shown as one sentence.

use crate::ports::{BlobError, CutError, EmbedError, StoreError};
use domain::{FieldErrors, Problem, provision::Refusal, status::IllegalMove};

/// Seconds after which a database that was away may be back.
const RETRY_AFTER: u64 = 2;
/// Code of a database that cannot be reached.
const AWAY: &str = "unavailable";
/// Code of a disk, or of a place for files, that is full.
const NO_ROOM: &str = "storage_full";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("nobody is signed in")]
    Unauthorized,
    /// Not there, or not yours: the two look the same.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("fields are not valid")]
    Invalid(FieldErrors),
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    /// Anything else that has a status, a code and a sentence of its own.
    #[error("{0}")]
    Problem(Box<Problem>),
    #[error("{what}: {cause}")]
    Internal { what: &'static str, cause: Box<dyn std::error::Error + Send + Sync> },
}

impl Error {
    pub fn problem(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self::Problem(Box::new(Problem::new(status, code, detail)))
    }

    /// Whether the store can do nothing just now, whatever is asked of it: what was asked is not to blame, and helps when it
    /// is asked again.
    pub fn takes_nothing(&self) -> bool {
        matches!(self, Self::Problem(problem) if [AWAY, NO_ROOM].contains(&problem.code.as_str()))
    }

    /// What the client is told. An internal error is logged on the way.
    pub fn to_problem(&self) -> Problem {
        match self {
            Error::Unauthorized => Problem::unauthorized(),
            Error::NotFound(what) => Problem::not_found(what),
            Error::Invalid(errors) => Problem::invalid(errors.clone()),
            Error::Illegal(e) => Problem::from(e.clone()),
            Error::Problem(p) => (**p).clone(),
            Error::Internal { what, cause } => {
                tracing::error!(what, error = format!("{cause:?}"), "a use case failed");
                Problem::internal()
            }
        }
    }
}

impl From<FieldErrors> for Error {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Problem(Box::new(refusal.into()))
    }
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::NotFound => Self::NotFound("thing"),
            StoreError::Illegal(e) => Self::Illegal(e),
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::OtherCommand => Self::Problem(Box::new(Problem {
                errors: FieldErrors::one("Idempotency-Key", "Use a new key for another request."),
                ..Problem::new(
                    422,
                    "idempotency_key_reused",
                    "The same key was sent before, with something else. Nothing was made.",
                )
            })),
            StoreError::BadCursor => {
                Self::Invalid(FieldErrors::one("after", "This is no place in the list."))
            }
            StoreError::Full(e) => no_room(&*e),
            StoreError::Away(e) => away(&*e),
            other => Self::Internal { what: "store", cause: Box::new(other) },
        }
    }
}

impl From<BlobError> for Error {
    fn from(e: BlobError) -> Self {
        match e {
            BlobError::NotFound => Self::NotFound("file"),
            BlobError::Full(e) => no_room(&e),
            // What keeps the files is another program: whoever asks is told, and may ask again.
            BlobError::Away(cause) => {
                tracing::warn!(
                    error = format!("{cause:?}"),
                    "the store of the files does not answer, or fails"
                );
                Self::problem(
                    503,
                    "files_away",
                    "The store of the files does not answer just now. Nothing is lost; try again in a moment.",
                )
            }
            other => Self::Internal { what: "file store", cause: Box::new(other) },
        }
    }
}

/// 507, logged here with its cause.
fn no_room(cause: &(dyn std::error::Error + 'static)) -> Error {
    tracing::error!(error = format!("{cause:?}"), "the disk is full");
    Error::problem(
        507,
        NO_ROOM,
        "The server has no room left to keep this. Tell its operator, or try again later.",
    )
}

/// 503, logged here with its cause: no fault of this server's, and over as soon as the database is back.
fn away(cause: &(dyn std::error::Error + 'static)) -> Error {
    tracing::warn!(error = format!("{cause:?}"), "the database cannot be reached");
    let detail = "The server cannot reach its database now. Try again in a moment.";
    Error::Problem(Box::new(Problem { retry_after: Some(RETRY_AFTER), ..Problem::new(503, AWAY, detail) }))
}

impl From<CutError> for Error {
    fn from(e: CutError) -> Self {
        match e {
            CutError::Embed(e) => e.into(),
            failed => Self::Internal { what: "cutting", cause: Box::new(failed) },
        }
    }
}

impl From<EmbedError> for Error {
    fn from(e: EmbedError) -> Self {
        match e {
            EmbedError::Failed(_) => Self::Internal { what: "embedding", cause: Box::new(e) },
            told => Self::problem(503, told.code(), told.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_told_as_something_that_passes_and_a_broken_one_is_not() {
        let told = |e: StoreError| {
            let problem = Error::from(e).to_problem();
            (problem.status, problem.code, problem.retry_after.is_some())
        };
        assert_eq!(told(StoreError::Away("refused".into())), (503, "unavailable".to_owned(), true));
        assert_eq!(told(StoreError::backend("damaged")), (500, "internal".to_owned(), false));
    }

    #[test]
    fn nothing_that_is_asked_is_to_blame_for_a_store_that_takes_nothing() {
        for error in [StoreError::Away("it only reads".into()), StoreError::Full("no room".into())] {
            assert!(Error::from(error).takes_nothing());
        }
        for error in [StoreError::backend("the row is damaged"), StoreError::NotFound, StoreError::BadCursor]
        {
            let error = Error::from(error);
            assert!(!error.takes_nothing(), "{error}");
        }
    }
}
