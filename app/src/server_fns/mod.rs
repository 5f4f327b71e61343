//! Server functions: what the pages ask of the server. Each takes the context, calls a use case and maps the error; what
//! is done stands in `services`. One function a file, under `/_fn/<area>/<verb>`.

pub mod auth;
pub mod chat;
pub mod documents;
pub mod errors;
pub mod history;
pub mod jobs;
pub mod rag;
pub mod retrieval;
pub mod settings;
pub mod shell;
pub mod workspaces;
