//! The live stream: from committed events to the frames of each open connection. Transports (WebSocket, SSE, long
//! polling) only carry what this module hands them.

mod connection;
mod hub;
mod opening;
mod places;
mod queue;
mod room;
mod watch;

pub use connection::{Connection, Outgoing};
pub use hub::{Hub, MAX_CONNECTIONS, RENEWAL_TAKES};
pub use opening::{ConnectError, Opener, Resume};
pub use places::Place;
pub use queue::BOUND;
