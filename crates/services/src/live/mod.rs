//! The live stream: from committed events to the frames of each open connection. Transports (WebSocket, SSE, long
//! polling) only carry what this module hands them.

mod hub;
mod places;
mod queue;
mod watch;

pub use hub::{ConnectError, Connection, Hub, MAX_CONNECTIONS, Opener, Outgoing, Resume};
pub use places::Place;
pub use queue::BOUND;
