//! Trying the retrieval of a workspace: a question with what it finds and how, and the test cases.

mod add_case;
mod read;
mod remove_case;

pub use add_case::*;
pub use read::*;
pub use remove_case::*;
