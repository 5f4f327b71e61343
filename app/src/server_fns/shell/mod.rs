//! What every page of a signed-in person shows.

mod read;
mod tell_away;
mod tell_end;

pub use read::{ReadShell, read_shell};
pub use tell_away::{AwayNote, TellAway, tell_away};
pub use tell_end::{TellEnd, tell_end};
