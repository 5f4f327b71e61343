//! What goes wrong in a developer command: one sentence, and what to do about it. There is no type per cause here,
//! since a command never decides anything by the cause; it only tells a person.

use std::fmt;

/// The result of a step.
pub type Done<T = ()> = Result<T, Problem>;

/// A sentence for the person at the keyboard, with the next thing to try when there is one.
#[derive(Debug)]
pub struct Problem {
    said: String,
    hint: Option<String>,
}

impl Problem {
    pub fn new(said: impl Into<String>) -> Self {
        Self { said: said.into(), hint: None }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  what to do: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<lexopt::Error> for Problem {
    fn from(error: lexopt::Error) -> Self {
        Self::new(error.to_string()).hint("`cargo xtask help` lists the commands and their options")
    }
}

/// Says what was being done when an error of the standard library (or of a parser) came up.
pub trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Done<T>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Done<T> {
        self.map_err(|error| Problem::new(format!("{}: {error}", what())))
    }
}
