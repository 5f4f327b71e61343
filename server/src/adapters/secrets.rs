//! The operating system's randomness.

use services::ports::Secrets;

pub struct OsSecrets;

impl Secrets for OsSecrets {
    /// # Panics
    /// When the system has no randomness: a guessable token would be worse than a dead process.
    fn bytes32(&self) -> [u8; 32] {
        random()
    }
}

/// # Panics
/// Like [`OsSecrets::bytes32`].
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(e) = getrandom::fill(&mut bytes) {
        panic!("the system gives no randomness: {e}");
    }
    bytes
}
