//! Values that are more than a number or a text, and what they may be.

use messaging::rabbit;
use std::str::FromStr;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("use text or json"),
        }
    }
}

/// The origin under which browsers reach the server, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    pub https: bool,
    /// `https://example.org[:port]`, in lower case.
    pub origin: String,
}

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let text = s.trim_end_matches('/').to_ascii_lowercase();
        let (https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("begin with http:// or https://"),
        };
        if rest.is_empty() || rest.contains(['/', '?', '#', '@', ' ']) {
            return Err("give scheme, host and port only, such as https://insight.example.org");
        }
        // A browser leaves the scheme's own port out of the Origin header.
        let own_port = if https { ":443" } else { ":80" };
        let origin = text.strip_suffix(own_port).unwrap_or(&text).to_owned();
        Ok(Self { https, origin })
    }
}

/// The broker by which servers hear of each other.
#[derive(Clone, Debug)]
pub struct BrokerServer {
    pub url: rabbit::Url,
    pub exchange: String,
}

pub(super) struct BrokerUrl(pub(super) rabbit::Url);

impl FromStr for BrokerUrl {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        // What the parser says may hold the password.
        s.parse().map(Self).map_err(|_| "use amqp://user:password@host:port/vhost, or amqps")
    }
}

pub(super) struct Exchange(pub(super) String);

impl FromStr for Exchange {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        // Names that begin with `amq.` are the broker's own.
        if s.is_empty() || s.len() > 100 || !s.chars().all(allowed) || s.starts_with("amq.") {
            return Err("use 1 to 100 letters, digits, `-`, `_`, `.`, `:`");
        }
        Ok(Self(s.to_owned()))
    }
}
