//! What can go wrong, in sentences that a person can act on. No logging and no recovery here.

use std::path::PathBuf;

/// Why the model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("The model file {} is missing. Run `cargo xtask setup` to put it there.", file.display())]
    Missing { file: PathBuf },
    #[error("The model file {} is damaged: {reason}. Delete it and run `cargo xtask setup`.", file.display())]
    Damaged { file: PathBuf, reason: String },
}

/// Why texts could not be turned into vectors.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// Only weights that are damaged in value, not in form, can cause this.
    #[error("The model gave text number {} a vector that is not made of finite numbers: its files are damaged.", index + 1)]
    NotFinite { index: usize },
}
