//! Where files lie, as the operator says it: `file:///…` or `s3://bucket/prefix`.

use reqwest::Url;
use std::{fmt, path::PathBuf, str::FromStr};

/// What holds where no region is named: AWS takes it for the default, most others do not look at it.
const REGION: &str = "us-east-1";

#[derive(Clone, Debug)]
pub enum FilePlace {
    Folder(PathBuf),
    Bucket(BucketServer),
}

/// A bucket, and how it is reached.
#[derive(Clone, Debug)]
pub struct BucketServer {
    pub bucket: String,
    /// Before every key, without a slash at its ends; empty: the bucket is ours alone.
    pub prefix: String,
    /// AWS where there is none.
    pub endpoint: Option<Endpoint>,
    pub region: String,
    /// Where there are none, what the machine or the container says of itself to AWS.
    pub keys: Option<Keys>,
}

/// Where a server that speaks S3 is: `http` or `https`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(pub(super) String);

#[derive(Clone)]
pub struct Keys {
    pub id: String,
    pub secret: String,
    /// Beside keys that are lent for a while.
    pub token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

impl FromStr for FilePlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("file://") {
            // A name of a machine would stand before the path.
            return match path.starts_with('/') {
                true => Ok(Self::Folder(path.into())),
                false => Err("use file:///path/of/a/folder"),
            };
        }
        let rest = text.strip_prefix("s3://").ok_or("use file:///path/of/a/folder or s3://bucket/prefix")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if bucket.len() > 63 || !plain(bucket) {
            return Err("name a bucket by up to 63 letters, digits, `-`, `_`, `.`, such as s3://insighthub");
        }
        if prefix.len() > 200 || !(prefix.is_empty() || prefix.split('/').all(plain)) {
            return Err(
                "a prefix has parts of letters, digits, `-`, `_`, `.`, such as s3://bucket/insighthub",
            );
        }
        Ok(Self::Bucket(BucketServer {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: REGION.to_owned(),
            keys: None,
        }))
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "give an address such as https://s3.example.org or http://127.0.0.1:9000";
        let url = Url::parse(text.trim()).map_err(|_| WRONG)?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !is_plain {
            return Err(WRONG);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(text: &str) -> Option<(String, String)> {
        match text.parse() {
            Ok(FilePlace::Bucket(server)) => Some((server.bucket, server.prefix)),
            _ => None,
        }
    }

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let folder = "file:///var/lib/files".parse::<FilePlace>();
        assert!(matches!(folder, Ok(FilePlace::Folder(path)) if path.as_os_str() == "/var/lib/files"));
        let named = |bucket: &str, prefix: &str| Some((bucket.to_owned(), prefix.to_owned()));
        assert_eq!(bucket("s3://files"), named("files", ""));
        assert_eq!(bucket("s3://files/"), named("files", ""));
        assert_eq!(bucket("s3://files/a/b-1/"), named("files", "a/b-1"));
        for wrong in [
            "",
            "files",
            "/var/lib",
            "file://host/path",
            "s3:/files",
            "s3://",
            "s3:///a",
            "s3://a b",
            "s3://files/a//b",
            "s3://files/..",
            "s3://files/.a",
            "https://files",
        ] {
            assert!(wrong.parse::<FilePlace>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_endpoint_is_a_plain_address() {
        let parse = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.0);
        assert_eq!(parse("http://127.0.0.1:9000/"), Ok("http://127.0.0.1:9000".to_owned()));
        assert_eq!(parse("https://s3.example.org/s3/"), Ok("https://s3.example.org/s3".to_owned()));
        for wrong in
            ["", "localhost:9000", "ftp://a", "https://a:b@host", "https://host?x=1", "https://host#x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let keys = Keys { id: "AKIA1".into(), secret: "hush".into(), token: Some("hush".into()) };
        let shown = format!("{keys:?}");
        assert!(shown.contains("AKIA1") && !shown.contains("hush"), "{shown}");
    }
}
