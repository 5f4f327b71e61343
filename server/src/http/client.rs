//! Where a request comes from. Behind a proxy every connection has the proxy's address; the client's own stands in a
//! header, which anybody can write, so it is believed from the named proxies only.

use http::{HeaderMap, header};
use services::Client;
use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// Networks whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    /// Leading bits that have to be equal.
    bits: u32,
}

impl FromStr for Proxies {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        s.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Network::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no address and no network such as 10.0.0.0/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        if bits > all { Err(wrong()) } else { Ok(Self { address, bits }) }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.bits,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.bits,
            _ => false,
        }
    }
}

impl Proxies {
    fn trusts(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }

    /// The address of the client: the last one of the chain that is not one of ours.
    pub fn client_ip(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer.to_canonical();
        let chain: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .collect();
        for hop in chain.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            // What a proxy of ours did not understand says nothing about whoever stands before it.
            let Ok(ip) = hop.parse::<IpAddr>() else { break };
            client = ip.to_canonical();
        }
        client
    }

    /// Where a sign-in comes from.
    pub fn client(&self, headers: &HeaderMap, peer: Option<SocketAddr>) -> Client {
        let user_agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Client {
            user_agent: user_agent.to_owned(),
            ip: peer.map(|p| self.client_ip(headers, p.ip()).to_string()).unwrap_or_default(),
            ..Client::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn seen(proxies: &str, peer: &str, chain: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in chain {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        let proxies: Proxies = proxies.parse().expect("networks");
        proxies.client_ip(&headers, peer.parse().expect("an address")).to_string()
    }

    #[test]
    fn the_header_of_a_stranger_is_not_believed() {
        assert_eq!(seen("", "203.0.113.9", &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.0/8", "203.0.113.9", &["10.0.0.1"]), "203.0.113.9");
    }

    #[test]
    fn the_last_address_before_our_proxies_is_the_client() {
        assert_eq!(seen("10.0.0.0/8", "10.0.0.2", &["1.1.1.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.0/8, ::1", "::1", &["1.1.1.1, 203.0.113.9", "10.3.0.1"]), "203.0.113.9");
        assert_eq!(seen("127.0.0.1", "::ffff:127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(seen("127.0.0.1", "127.0.0.1", &["nonsense"]), "127.0.0.1");
        assert_eq!(seen("127.0.0.1", "127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in ["here", "10.0.0.0/33", "10.0.0/8", "::/129", "1.1.1.1/x"] {
            assert!(wrong.parse::<Proxies>().is_err(), "{wrong}");
        }
    }
}
