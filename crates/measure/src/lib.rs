//! What the programs of the benches have in common: a command line of a few words, one line in which they answer, a
//! server to measure, dice, and the arithmetic of a comparison.

pub mod broker;
pub mod change;
pub mod dice;
pub mod peer;
pub mod postgres;
mod process;
pub mod report;
pub mod room;
pub mod server;
pub mod stats;

use std::{fmt::Display, path::PathBuf, process::ExitCode, str::FromStr};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a program was asked to do: `--name value`, and words that stand for themselves.
pub struct Asked(Vec<String>);

impl Asked {
    pub fn new(arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(arguments.into_iter().map(Into::into).collect())
    }

    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|argument| argument == word)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        let place = self.0.iter().position(|argument| argument == name)?;
        self.0.get(place + 1).map(String::as_str)
    }

    /// # Errors
    /// When there is something that is no number.
    pub fn number<T>(&self, name: &str, otherwise: T) -> Result<T, Failure>
    where
        T: FromStr<Err: Display>,
    {
        let Some(text) = self.text(name) else { return Ok(otherwise) };
        text.parse().map_err(|why| format!("{name} {text}: {why}").into())
    }

    /// How long a round may take.
    ///
    /// # Errors
    /// As [`number`](Self::number).
    pub fn seconds(&self) -> Result<f64, Failure> {
        self.number("--seconds", 5.0)
    }

    /// Whose round it is: ours, unless it was said.
    pub fn round(&self) -> &str {
        self.text("--round").unwrap_or("ours")
    }

    /// What to say of a round that a program does not have.
    pub fn no_such_round(&self, rounds: &str) -> Failure {
        format!("--round takes {rounds}, not `{}`", self.round()).into()
    }
}

/// The folder of the package that a program belongs to, where its other files are: where it runs, since clones of the
/// project may share what is compiled, and `compiled` is the folder of one of them.
pub fn package(compiled: &str) -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| compiled.into(), PathBuf::from)
}

/// The main function of a program: what `run` answers is its last line.
pub fn answer<T: Display>(run: impl FnOnce(&Asked) -> Result<T, Failure>) -> ExitCode {
    match run(&Asked::new(std::env::args().skip(1))) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_are_told_apart() {
        let asked = Asked::new(["--round", "peer", "--seconds", "0.5", "--check"]);
        assert_eq!((asked.round(), asked.seconds().unwrap()), ("peer", 0.5));
        assert!(asked.has("--check") && !asked.has("--smoke"));
        assert_eq!(asked.number("--callers", 64).unwrap(), 64);
        let nothing = Asked::new([""; 0]);
        assert_eq!((nothing.round(), nothing.seconds().unwrap()), ("ours", 5.0));
    }

    #[test]
    fn what_is_no_number_is_named() {
        let asked = Asked::new(["--seconds", "soon", "--round", "theirs"]);
        assert!(asked.seconds().unwrap_err().to_string().starts_with("--seconds soon: "));
        assert_eq!(
            asked.no_such_round("ours or peer").to_string(),
            "--round takes ours or peer, not `theirs`"
        );
    }
}
