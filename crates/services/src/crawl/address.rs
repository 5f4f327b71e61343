//! Addresses of pages: brought into one form, held against what may be asked, and against the part of the site that a
//! crawl reads. What a name leads to is not known here; whoever connects looks at that.

use domain::{
    crawl::{Allowed, LONGEST_URL},
    files::{FileKind, extension},
    validate::turns_text,
};
use std::net::IpAddr;
use url::{Host, Url};

/// Why an address is none that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("Enter the whole address of a page, such as https://example.org/docs/.")]
    NoAddress,
    #[error("Enter an address that begins with https:// or http://.")]
    Scheme,
    #[error("Leave the name and the password out of the address.")]
    User,
    #[error("No web site is asked at this port.")]
    Port,
    #[error("This address belongs to a network that is not public. The operator can allow it.")]
    NotPublic,
    #[error("The address is too long.")]
    TooLong,
}

/// Ports of other services, which a web site does not stand at and which may take a request for something else.
const OTHER_SERVICES: &[u16] = &[
    1080, 1433, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190,
    5060, 5061, 5432, 5672, 5900, 5901, 5985, 5986, 6000, 6379, 6443, 6566, 6665, 6666, 6667, 6668, 6669,
    6679, 6697, 9042, 9092, 9200, 9300, 10080, 10250, 10255, 11211, 15672, 25565, 27017, 27018, 50070,
];

/// Reads an address and brings it into the form by which pages are told apart: no fragment, no empty query.
///
/// # Errors
/// `NoAddress`, `Scheme`, `TooLong`.
pub fn parse(text: &str) -> Result<Url, AddressError> {
    normal(Url::parse(text.trim()).map_err(|_| AddressError::NoAddress)?)
}

/// The address that a link on a page leads to.
///
/// # Errors
/// As those of [`parse`].
pub fn join(base: &Url, link: &str) -> Result<Url, AddressError> {
    normal(base.join(link.trim()).map_err(|_| AddressError::NoAddress)?)
}

fn normal(mut url: Url) -> Result<Url, AddressError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressError::Scheme);
    }
    url.set_fragment(None);
    if url.query() == Some("") {
        url.set_query(None);
    }
    if url.as_str().len() > LONGEST_URL {
        return Err(AddressError::TooLong);
    }
    Ok(url)
}

/// Whether an address may be asked, as far as it tells by itself. Whatever notation an IP address was written in, it was
/// read as what it is.
///
/// # Errors
/// Why not.
pub fn check(url: &Url, allowed: &Allowed) -> Result<(), AddressError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::User);
    }
    match url.port_or_known_default() {
        Some(80 | 443) => {}
        Some(1024..) if url.port().is_none_or(|port| !OTHER_SERVICES.contains(&port)) => {}
        _ => return Err(AddressError::Port),
    }
    let reached = match url.host() {
        None => return Err(AddressError::NoAddress),
        Some(Host::Ipv4(address)) => allowed.may_reach(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => allowed.may_reach(IpAddr::V6(address)),
        Some(Host::Domain(name)) => !is_this_machine(name) || allowed.names(IpAddr::from([127, 0, 0, 1])),
    };
    if reached { Ok(()) } else { Err(AddressError::NotPublic) }
}

/// Names that stand for this machine, or for the services of a cloud, wherever they are asked.
fn is_this_machine(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let own = ["localhost", "localdomain"]
        .iter()
        .any(|own| name == *own || name.strip_suffix(*own).is_some_and(|before| before.ends_with('.')));
    own || matches!(
        name.as_str(),
        "" | "ip6-localhost" | "ip6-loopback" | "metadata" | "metadata.google.internal" | "instance-data"
    )
}

/// The part of a site that is read when nobody says more: what lies beside the page that it begins with, and below.
pub fn folder(url: &Url) -> String {
    let mut folder = url.clone();
    folder.set_query(None);
    let path = folder.path();
    let end = path.rfind('/').map_or(0, |at| at + 1);
    let path = path[..end].to_owned();
    folder.set_path(&path);
    folder.into()
}

/// Whether an address lies in the part of the site that begins with `prefix`. A site that is there with and without TLS is
/// one site.
pub fn lies_in(url: &Url, prefix: &str) -> bool {
    fn rest(text: &str) -> &str {
        text.split_once("://").map_or(text, |(_, rest)| rest)
    }
    rest(url.as_str()).starts_with(rest(prefix))
}

/// Whether two addresses are of one site: the same host, at the same port or at the usual ones.
pub fn same_site(a: &Url, b: &Url) -> bool {
    a.host() == b.host() && a.port() == b.port()
}

/// A name for the file of a page: host and path, with the ending of a web page where it is one and says so nowhere. The ending
/// of any other file stays the end of its name, since it tells between kinds of text.
pub fn filename(url: &Url, is_page: bool) -> String {
    let host = url.host_str().unwrap_or_default();
    let path = percent_decoded(url.path().trim_matches('/'));
    let mut name = if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") };
    if let Some(query) = url.query() {
        name = format!("{name}?{}", percent_decoded(query));
    }
    let name = crate::composed(name);
    let name: String = name.chars().filter(|c| !c.is_control() && !turns_text(*c)).take(190).collect();
    let ends = name.to_ascii_lowercase();
    if is_page && ![".html", ".htm", ".xhtml"].iter().any(|ending| ends.ends_with(ending)) {
        return format!("{name}.html");
    }
    // A query may stand behind it, and of a long address the end is cut off.
    let kind = FileKind::of_name(url.path()).filter(|_| !is_page);
    if kind.is_some() && FileKind::of_name(&name) != kind {
        return format!("{name}.{}", extension(url.path()));
    }
    name
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    // What is no text stays as it was written.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests;
