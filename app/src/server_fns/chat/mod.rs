//! Questions and answers: a conversation with its turns, asking, stopping, asking again, and the list of conversations.

mod again;
mod ask;
mod delete;
mod read;
mod rename;
mod restore;
mod stop;
mod turn;

pub use again::*;
pub use ask::*;
pub use delete::*;
pub use read::*;
pub use rename::*;
pub use restore::*;
pub use stop::*;
pub use turn::*;
