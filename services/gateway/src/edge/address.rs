//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, header};
use ipnet::IpNet;

use crate::config::{AddressHeader, Config};

/// Finds the client's address behind the proxies that we trust.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    trusted: Vec<IpNet>,
    header: AddressHeader,
}

impl Addresses {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            trusted: config.trusted_proxies.clone(),
            header: config.address_header,
        }
    }

    /// The nearest address that is not one of our proxies. What stands further left was written by strangers.
    pub(crate) fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> IpAddr {
        let peer = canonical(peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip()));
        if self.trusted.is_empty() || !self.is_trusted(peer) {
            return peer;
        }
        let mut nearest = peer;
        for hop in self.hops(headers).into_iter().rev() {
            // An unreadable hop hides whoever stands behind it.
            let Some(hop) = hop else { return nearest };
            nearest = hop;
            if !self.is_trusted(hop) {
                return hop;
            }
        }
        nearest
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// The hops as the headers name them, from the client on.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let list = |name: header::HeaderName, read: fn(&str) -> Option<IpAddr>| -> Vec<_> {
            let values = headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap_or_default());
            values
                .flat_map(|value| value.split(','))
                .map(|hop| read(hop.trim()))
                .collect()
        };
        let x_forwarded_for = || list(header::HeaderName::from_static("x-forwarded-for"), address);
        let forwarded = || list(header::FORWARDED, forwarded_for);
        match self.header {
            AddressHeader::Forwarded => forwarded(),
            AddressHeader::XForwardedFor => x_forwarded_for(),
            AddressHeader::Either if headers.contains_key("x-forwarded-for") => x_forwarded_for(),
            AddressHeader::Either => forwarded(),
        }
    }
}

/// `for=192.0.2.43;proto=https`, `for="[2001:db8::1]:4711"` (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let node = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| value.trim())
    })?;
    address(node.trim_matches('"'))
}

/// An address with or without port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next())
        .unwrap_or(text);
    let parsed = bare
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    parsed.ok().map(canonical)
}

/// An IPv4 address in an IPv6 coat is the IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, headers: &[(&'static str, &str)]) -> String {
        let config = Config {
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            ..Config::default()
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Addresses::new(&config)
            .client(Some(peer.parse().unwrap()), &map)
            .to_string()
    }

    #[test]
    fn strangers_are_not_believed() {
        let spoofed = [
            ("x-forwarded-for", "192.0.2.9"),
            ("forwarded", "for=192.0.2.9"),
        ];
        assert_eq!(client(&[], "198.51.100.1:1", &spoofed), "198.51.100.1");
        assert_eq!(
            client(&["10.0.0.0/8"], "198.51.100.1:1", &spoofed),
            "198.51.100.1"
        );
    }

    #[test]
    fn behind_our_proxies_the_nearest_stranger_is_the_client() {
        let ours = &["10.0.0.0/8", "fd00::/8"][..];
        let chain = [
            ("x-forwarded-for", "1.1.1.1, 192.0.2.9"),
            ("x-forwarded-for", "10.0.0.2"),
        ];
        assert_eq!(client(ours, "10.0.0.1:1", &chain), "192.0.2.9");
        assert_eq!(client(ours, "[::ffff:10.0.0.1]:1", &chain), "192.0.2.9");
        assert_eq!(
            client(
                ours,
                "10.0.0.1:1",
                &[("forwarded", "for=\"[2001:db8::1]:4711\";proto=https")]
            ),
            "2001:db8::1"
        );
        assert_eq!(
            client(ours, "10.0.0.1:1", &[("x-forwarded-for", "192.0.2.9:1234")]),
            "192.0.2.9"
        );
        assert_eq!(client(ours, "10.0.0.1:1", &[]), "10.0.0.1");
        assert_eq!(
            client(
                ours,
                "10.0.0.1:1",
                &[("x-forwarded-for", "192.0.2.9, unknown, 10.0.0.3")]
            ),
            "10.0.0.3"
        );
    }
}
