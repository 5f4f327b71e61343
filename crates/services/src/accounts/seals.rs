//! What the server signs, so that a browser can hold it and nobody can make it up.

use crate::hex::{hex, unhex};
use hmac::{Hmac, KeyInit, Mac, digest::common::Key};
use sha2::Sha256;

/// Characters of the drawn part of a device's mark, and of its signature.
const DRAWN: usize = 32;
const SIGNED: usize = 64;

/// The keys. The first one outlives the process and is the same on all servers; the second one neither.
pub struct Seals {
    device: [u8; 32],
    renewal: [u8; 32],
}

impl Seals {
    pub fn new(device: [u8; 32], renewal: [u8; 32]) -> Self {
        Self { device, renewal }
    }

    /// The mark of a browser in which somebody signed in to that account: at its next sign-in its tries are counted by
    /// themselves, so that guesses of others do not keep the owner out. It opens nothing.
    pub(super) fn device(&self, account: &str, drawn: &[u8; 32]) -> String {
        let drawn = hex(&drawn[..DRAWN / 2]);
        let signature = hex(&device_mac(&self.device, account, &drawn).finalize().into_bytes());
        format!("{drawn}.{signature}")
    }

    /// The drawn part of a mark that was given out for that account.
    pub(super) fn known_device<'a>(&self, account: &str, mark: &'a str) -> Option<&'a str> {
        let (drawn, signature) = mark.split_once('.')?;
        if drawn.len() != DRAWN || signature.len() != SIGNED {
            return None;
        }
        // Compared in constant time.
        let mac = device_mac(&self.device, account, drawn);
        mac.verify_slice(&unhex(signature)?).is_ok().then_some(drawn)
    }

    /// The token that comes after `token`. Two requests that renew one session at the same moment give it the same one,
    /// so it does not matter which of the two answers comes to the browser last.
    pub(super) fn renewed(&self, token: &str) -> String {
        hex(&keyed(&self.renewal, b"renewed session").chain_update(token).finalize().into_bytes())
    }
}

fn keyed(key: &[u8; 32], purpose: &[u8]) -> Hmac<Sha256> {
    // 32 bytes are half a block of the hash, so they are the whole key as they are.
    let mut block = Key::<Hmac<Sha256>>::default();
    block[..key.len()].copy_from_slice(key);
    Hmac::<Sha256>::new(&block).chain_update(purpose).chain_update([0])
}

fn device_mac(key: &[u8; 32], account: &str, drawn: &str) -> Hmac<Sha256> {
    keyed(key, b"device").chain_update(drawn).chain_update([0]).chain_update(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals() -> Seals {
        Seals::new([1; 32], [2; 32])
    }

    #[test]
    fn a_mark_is_good_for_its_account_only_and_nobody_can_change_it() {
        let mark = seals().device("ada@example.org", &[7; 32]);
        assert_eq!(seals().known_device("ada@example.org", &mark), Some("07".repeat(16).as_str()));
        assert_eq!(seals().known_device("eve@example.org", &mark), None);
        assert_eq!(Seals::new([9; 32], [2; 32]).known_device("ada@example.org", &mark), None);
        for at in 0..mark.len() {
            let mut other: Vec<u8> = mark.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            let other = String::from_utf8(other).expect("text");
            assert_eq!(seals().known_device("ada@example.org", &other), None, "{other}");
        }
        for bad in ["", ".", "é.é", &format!("{}.{}", "0".repeat(32), "z".repeat(64))] {
            assert_eq!(seals().known_device("ada@example.org", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_renewed_token_is_a_token_that_only_this_process_can_tell() {
        let token = "ab".repeat(32);
        let next = seals().renewed(&token);
        assert_eq!((next.len(), next.clone()), (64, seals().renewed(&token)));
        assert!(next.bytes().all(|b| b.is_ascii_hexdigit()) && next != token);
        assert_ne!(next, Seals::new([1; 32], [3; 32]).renewed(&token));
        assert_ne!(next, seals().renewed(&next));
    }
}
