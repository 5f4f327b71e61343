//! The parts of the binary `insighthub`: configuration, command line, HTTP, roles and lifecycle. This is the only crate
//! where a concrete type is chosen for a port; what may be done is decided in `services`.

pub mod adapters;
pub mod backup;
pub mod cli;
pub mod commands;
pub mod config;
mod connections;
mod data_dir;
pub mod demo;
pub mod http;
pub mod lifecycle;
pub mod logging;
mod neighbours;
pub mod pages;
pub mod traces;

/// A page is some ten thousand small allocations, and a server lives for months: this allocator makes a page a seventh
/// cheaper than the system's, and gives back what a busy hour took. SQLite, which is C, uses it as well.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Chooses the cryptography of TLS connections that this program opens. Called first thing: a client that is made before
/// would have none.
pub fn install_cryptography() {
    // When it was chosen before, that one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
