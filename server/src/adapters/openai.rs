//! Where servers with the interface of OpenAI are, as operators write it.

use super::tls;
use reqwest::{Client, Response, Url, header::RETRY_AFTER, redirect};
use std::time::Duration;

/// What is said of what is no address.
pub(super) const WRONG: &str = "give an address such as http://127.0.0.1:11434 or https://api.example.org/v1";

/// The address of the interface, which ends with `/v1/`; with or without that, and with the path of one of its `calls`
/// behind it.
pub(super) fn base(text: &str, call: &str) -> Result<Url, &'static str> {
    let mut base = Url::parse(text.trim()).map_err(|_| WRONG)?;
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        return Err(WRONG);
    }
    base.set_query(None);
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/').trim_end_matches(call).trim_end_matches('/').to_owned();
    let path = if path.ends_with("/v1") { format!("{path}/") } else { format!("{path}/v1/") };
    base.set_path(&path);
    Ok(base)
}

/// A server on another network is there within this time, or it is not there.
const CONNECT: Duration = Duration::from_secs(3);

/// Asks the server that the setting names. Without redirects: the key is for that server alone. Unpacked: a compressor
/// would gather words.
pub(super) fn client(setting: &str) -> Result<Client, String> {
    let made = tls::client(|| {
        Client::builder()
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .no_gzip()
            .no_brotli()
            .user_agent(concat!("insighthub/", env!("CARGO_PKG_VERSION")))
    });
    made.map(|(client, _)| client).map_err(|e| format!("the client for {setting} could not be made: {e}"))
}

/// For how long a server asks to be left alone; a date it may name instead is not read.
pub(super) fn wish(response: &Response) -> Option<Duration> {
    let wait = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok());
    wait.and_then(|v| v.parse().ok()).map(Duration::from_secs)
}
