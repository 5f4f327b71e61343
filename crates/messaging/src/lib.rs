//! Implementations of the `Bus` port: within one process, and over RabbitMQ. A bus may lose, double or reorder; who
//! listens checks the seq and reads the log.

mod in_process;
pub mod rabbit;

pub use in_process::InProcessBus;
