//! Seals what a refused form left behind on its way through the browser: what was typed, and a new API key, are nobody
//! else's business, and nobody else may put words into a page. Authenticated encryption with a key that all servers of
//! one database share.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use services::ports::Secrets;
use std::sync::Arc;

pub struct FormSeal {
    key: LessSafeKey,
    secrets: Arc<dyn Secrets>,
}

impl FormSeal {
    /// `None` only for a key of another length than the cipher's, which cannot be.
    pub fn new(key: &[u8; 32], secrets: Arc<dyn Secrets>) -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).ok()?;
        Some(Self { key: LessSafeKey::new(key), secrets })
    }

    pub fn seal(&self, text: &str) -> Option<String> {
        // Drawn anew for each text; of 96 bits, so that two never meet within the life of a key.
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&self.secrets.bytes32()[..NONCE_LEN]);
        let mut sealed = text.as_bytes().to_vec();
        let aad = Aad::empty();
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    pub fn open(&self, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let text = self.key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::OsSecrets;

    fn seal(key: u8) -> FormSeal {
        FormSeal::new(&[key; 32], Arc::new(OsSecrets)).expect("a key")
    }

    #[test]
    fn what_was_sealed_comes_back_and_cannot_be_read_meanwhile() {
        let seal = seal(1);
        for text in ["", "ihk_secret", &"日".repeat(500)] {
            let sealed = seal.seal(text).expect("sealed");
            assert_eq!(seal.open(&sealed).as_deref(), Some(text));
            assert!(text.is_empty() || !sealed.contains(text));
            assert!(sealed.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{sealed}");
        }
        assert_ne!(seal.seal("twice"), seal.seal("twice"));
    }

    #[test]
    fn nobody_else_can_make_one_up_or_change_one() {
        let sealed = seal(1).seal("The key is made.").expect("sealed");
        assert_eq!(seal(2).open(&sealed), None);
        for at in 0..sealed.len() {
            let mut other = sealed.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'Q' } else { b'A' };
            assert_eq!(seal(1).open(&String::from_utf8(other).expect("text")), None, "{at}");
        }
        for bad in ["", "A", "é", "%7B%7D", &"A".repeat(16)] {
            assert_eq!(seal(1).open(bad), None, "{bad}");
        }
    }
}
