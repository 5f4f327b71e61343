//! Reading the address of an embedding server, and showing it without what it may hold.

use crate::adapters::openai;
use reqwest::Url;
use std::{fmt, str::FromStr};

/// Where the server is, as the operator wrote it.
#[derive(Clone)]
pub struct EmbeddingServer {
    /// Ends with `/v1/`.
    pub(super) base: Url,
    pub key: Option<String>,
    /// Names that the operator offers; empty: those of the server's list that look like it.
    pub models: Vec<String>,
}

impl FromStr for EmbeddingServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let base = openai::base(text, "/embeddings")?;
        Ok(Self { base, key: None, models: vec![] })
    }
}

impl fmt::Debug for EmbeddingServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingServer").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_written_in_several_ways() {
        for text in [
            "http://localhost:11434",
            "http://localhost:11434/",
            " http://localhost:11434/v1 ",
            "http://localhost:11434/v1/embeddings?x=1#y",
        ] {
            let server: EmbeddingServer = text.parse().expect(text);
            assert_eq!(server.base.as_str(), "http://localhost:11434/v1/");
        }
        let server: EmbeddingServer = "https://api.example.org/team/v1/".parse().expect("an address");
        assert_eq!(server.base.as_str(), "https://api.example.org/team/v1/");
        for bad in ["", "localhost:11434", "ftp://example.org", "http://", "/v1"] {
            assert!(bad.parse::<EmbeddingServer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn neither_key_nor_password_shows() {
        let mut server: EmbeddingServer = "https://ada:secret@api.example.org".parse().expect("an address");
        server.key = Some("sk-secret".to_owned());
        assert!(!format!("{server:?}").contains("secret"));
    }
}
