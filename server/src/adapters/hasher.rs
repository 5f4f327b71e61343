//! Passwords: argon2id, on threads of its own, as many at a time as there are cores.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use async_trait::async_trait;
use services::ports::{PasswordHasher, StoreError};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// OWASP's least for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

pub struct Argon2Hasher {
    /// Each hash takes 19 MiB and a core: a crowd at the door waits instead of exhausting both.
    turns: Arc<Semaphore>,
}

impl Argon2Hasher {
    pub fn new(cores: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(cores.max(1))) }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The permit goes with the work: a caller who leaves does not free a turn that is still in use.
        let turn = self.turns.clone().acquire_owned().await.map_err(StoreError::backend)?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(StoreError::backend)?.map_err(StoreError::backend)
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(argon2()?.hash_password(password.as_bytes())?.to_string())
}

/// Hash of nobody's password, with the cost of all others. It is written down, not computed, so that even the first
/// stranger who is unknown waits no longer than one who is known.
fn dummy() -> String {
    let (salt, hash) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}")
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: String) -> Result<String, StoreError> {
        self.run(move || hash(&password)).await
    }

    async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, StoreError> {
        self.run(move || {
            let known = stored.is_some();
            let stored = stored.unwrap_or_else(dummy);
            let parsed = PasswordHash::new(&stored)?;
            let right = argon2()?.verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(right && known)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    };

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let hasher = Argon2Hasher::new(2);
        let stored = hasher.hash("Correct1horse".into()).await.expect("hashed");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(hasher.verify("Correct1horse".into(), Some(stored.clone())).await.expect("verified"));
        assert!(!hasher.verify("correct1horse".into(), Some(stored)).await.expect("verified"));
    }

    #[tokio::test]
    async fn a_crowd_waits_until_there_is_a_turn() {
        let hasher = Arc::new(Argon2Hasher::new(2));
        let (most, now) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (first, rest) = (Arc::new(Barrier::new(2)), 12);
        let crowd = (0..rest).map(|n| {
            let (hasher, most, now, first) = (hasher.clone(), most.clone(), now.clone(), first.clone());
            async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if n < 2 {
                        // The first two are at it together; that there is no third is what is counted.
                        first.wait();
                    }
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                hasher.run(work).await.expect("done");
            }
        });
        futures::future::join_all(crowd).await;
        assert_eq!((most.load(Ordering::SeqCst), now.load(Ordering::SeqCst)), (2, 0));
    }

    #[tokio::test]
    async fn whoever_leaves_does_not_free_a_turn_that_is_in_use() {
        let hasher = Arc::new(Argon2Hasher::new(1));
        let (held, free) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let working = tokio::spawn({
            let (hasher, held, free) = (hasher.clone(), held.clone(), free.clone());
            async move {
                let work = move || {
                    held.wait();
                    free.wait();
                    Ok(())
                };
                hasher.run(work).await
            }
        });
        tokio::task::spawn_blocking(move || held.wait()).await.expect("it works");
        working.abort();
        assert!(working.await.is_err_and(|e| e.is_cancelled()));
        assert_eq!(hasher.turns.available_permits(), 0);
        tokio::task::spawn_blocking(move || free.wait()).await.expect("it ends");
        hasher.run(|| Ok(())).await.expect("the turn is free");
    }

    #[tokio::test]
    async fn nobody_signs_in_to_the_dummy() {
        let hasher = Argon2Hasher::new(1);
        for password in ["", "Correct1horse"] {
            assert!(!hasher.verify(password.into(), None).await.expect("verified"));
        }
    }

    #[tokio::test]
    async fn the_dummy_has_the_form_and_the_cost_of_a_real_hash() {
        let real = Argon2Hasher::new(1).hash("Correct1horse".into()).await.expect("hashed");
        let dummy = dummy();
        let (real, dummy) =
            (PasswordHash::new(&real).expect("a hash"), PasswordHash::new(&dummy).expect("a hash"));
        assert_eq!(
            (real.algorithm, real.version, &real.params),
            (dummy.algorithm, dummy.version, &dummy.params)
        );
        let sizes = |h: &PasswordHash| (h.salt.map(|s| s.len()), h.hash.map(|h| h.len()));
        assert_eq!(sizes(&real), sizes(&dummy));
    }
}
