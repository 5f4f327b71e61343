//! Clients of HTTP that trust whom the system trusts.

use reqwest::{Client, ClientBuilder};

/// Makes the client that is described, and says whether it trusts anybody. A system may have no certificate of an authority, as
/// a bare image of a container has none: a client is made there, too, and asks with `http` alone, since whoever answers with
/// `https` is a stranger.
///
/// # Errors
/// When the client cannot be made for another reason.
pub(crate) fn client(describe: impl Fn() -> ClientBuilder) -> reqwest::Result<(Client, bool)> {
    match describe().build() {
        Ok(client) => Ok((client, true)),
        // Whatever else is wrong with it is wrong again.
        Err(_) => Ok((describe().tls_certs_only([]).build()?, false)),
    }
}
