//! What every page of a signed-in person shows.

mod read;

pub use read::{ReadShell, read_shell};
