//! Where webhooks may be sent: to public addresses, unless an administrator said otherwise. Names are judged by what
//! they resolve to, at the moment of each connection, so that a name cannot change its mind afterwards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long one try may take, answer included (Standard Webhooks: 15 to 30 seconds).
const WITHIN: Duration = Duration::from_secs(15);

/// An address of a receiver, or why it is none.
pub(super) fn address(text: &str, allow_private: bool) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{text:?} is no address ({error})"))?;
    let plain_http = url.scheme() == "http" && allow_private;
    if url.scheme() != "https" && !plain_http {
        return Err("a webhook is called over https; over http only with --allow-private".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("an address with a name, a password or a fragment in it is not taken".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    match literal {
        Some(ip) if !allow_private && !is_public(ip) => Err(format!("{ip} is a private address")),
        Some(_) | None if host.is_empty() => Err("the address names no host".to_owned()),
        Some(_) | None => Ok(url),
    }
}

/// The client that calls: it follows no redirect, uses no proxy of the environment, and does not wait for ever.
///
/// # Errors
/// When the machine's certificates cannot be read.
pub(super) fn client(allow_private: bool) -> Result<Client, String> {
    // Whoever was first has installed the same one.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut client = Client::builder()
        .connect_timeout(CONNECT)
        .timeout(WITHIN)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("ostler/", env!("CARGO_PKG_VERSION")));
    if !allow_private {
        client = client.dns_resolver(std::sync::Arc::new(Public));
    }
    client.build().map_err(|error| format!("no HTTPS client can be made: {error}"))
}

/// Resolves names to their public addresses only.
struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                let why = format!("{} has no public address; allow a private one with --allow-private", name.as_str());
                return Err(why.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the whole internet (IANA special-purpose address registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    let benchmarks = a == 198 && (b == 18 || b == 19);
    !(a == 0
        || a >= 224
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        || shared
        || protocols
        || benchmarks)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // What carries an IPv4 address is judged by it: mapped, 6to4, and the well-known prefix of NAT64.
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let v4_of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0x2002, high, low, ..] => is_public_v4(v4_of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4_of(high, low)),
        // Teredo, benchmarks and other protocols of 2001::/23; documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        // Global unicast is 2000::/3; all else is local, multicast or nobody's.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::{address, is_public};

    #[test]
    fn private_and_special_addresses_are_not_public() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "::7f00:1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn an_address_is_https_and_public_unless_it_may_be_private() {
        for (text, allow_private) in [
            ("https://office.example/hook?x=1", false),
            ("https://1.1.1.1/", false),
            ("https://10.0.0.1/", true),
            ("http://127.0.0.1:8080/hook", true),
        ] {
            assert!(address(text, allow_private).is_ok(), "{text}");
        }
        for (text, allow_private) in [
            ("http://office.example/", false),
            ("https://127.0.0.1/", false),
            ("https://[::1]/", false),
            ("https://2130706433/", false),
            ("https://0x7f.1/", false),
            ("https://ana:secret@office.example/", false),
            ("https://office.example/#part", false),
            ("ftp://office.example/", true),
            ("office.example", true),
        ] {
            assert!(address(text, allow_private).is_err(), "{text}");
        }
    }
}
