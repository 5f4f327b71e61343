//! Which addresses of the network are everybody's. What is not public is somebody's own: this machine, the network that
//! it stands in, the services of a cloud that only its own machines are to ask.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network as CIDR, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no network, such as 10.1.0.0/16");
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|&bits| bits <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Self { base, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// The networks that an operator allows besides the public addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(Vec<Network>);

impl Allowed {
    /// Whether that address may be asked.
    pub fn may_reach(&self, address: IpAddr) -> bool {
        is_public(address) || self.names(address)
    }

    /// Whether the operator named it.
    pub fn names(&self, address: IpAddr) -> bool {
        let plain = address.to_canonical();
        self.0.iter().any(|network| network.contains(plain))
    }
}

/// Networks, parted by commas.
impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Whether an address is one that everybody may ask. An IPv4 address that is written as an IPv6 one counts as what it is.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// As the registry of special addresses has it (RFC 6890 and what came after).
const fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 31, 196, _]
            | [192, 52, 193, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [192, 175, 48, _]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..]
    )
}

/// Of IPv6 only the part that is handed out to the world, without what in it stands for something else.
const fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Behind a translator stands an IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Teredo, benchmarks, ORCHID and the like; documentation; 6to4; documentation once more.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // The network by which name servers are anycast.
        [0x2620, 0x4f, 0x8000, ..] => false,
        [first, _, _, _, _, middle, ..] => {
            // An interface that carries an IPv4 address in its name (ISATAP) may be a way around.
            first & 0xe000 == 0x2000 && middle != 0x5efe
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_begins_as_it_does() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "::1", true),
            ("::/0", "127.0.0.1", false),
        ] {
            let network: Network = network.parse().expect("a network");
            assert_eq!(network.contains(address.parse().expect("an address")), inside, "{network} {address}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "host/8", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_operator_names_networks_beside_the_public_ones() {
        let allowed: Allowed = "127.0.0.0/8, fd00::/8".parse().expect("networks");
        for reached in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "8.8.8.8"] {
            assert!(allowed.may_reach(reached.parse().expect("an address")), "{reached}");
        }
        for refused in ["10.0.0.1", "::1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1"] {
            assert!(!allowed.may_reach(refused.parse().expect("an address")), "{refused}");
        }
        assert_eq!("".parse::<Allowed>(), Ok(Allowed::default()));
        assert!("127.0.0.0/8,here".parse::<Allowed>().is_err());
    }
}
