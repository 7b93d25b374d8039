//! From where a request may come. A page that a browser was lured to may know our address and not our name: what is
//! meant for this machine is asked for by an address or as `localhost`, and never by another page (MCP, streamable
//! HTTP, "Security").

use axum::http::{HeaderMap, HeaderName, header};

use crate::error::ApiError;

/// Refuses what comes by a name that is neither an address nor the one that people are told, or from another page. Where the server listens for other machines,
/// it does not know its names.
pub(super) fn check((listens, url): (&str, &str), headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let ours = listens.strip_prefix("http://").is_some_and(|address| is_local(name_of(address)));
    let host = text(header::HOST).unwrap_or_default();
    let known = url.split_once("://").map(|(_, name)| name_of(name));
    let named = |name: &str| is_local(name) || address(name).is_some() || known == Some(name);
    let mut hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    if ours && (host.is_empty() || !hosts.all(|host| named(name_of(host)))) {
        let reason = "this server listens for this machine only, and was asked for by another name";
        return Err(ApiError::forbidden(reason, format!("ask it at {url}/mcp")));
    }
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let from = origin.strip_prefix("http://").or(origin.strip_prefix("https://")).unwrap_or_default();
    let may = !from.is_empty() && (from == host || (is_local(name_of(host)) && is_local(name_of(from))));
    if may { Ok(()) } else { Err(ApiError::forbidden("this came from another page", "ask from a program of your own")) }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

fn address(name: &str) -> Option<std::net::IpAddr> {
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse().ok()
}

fn is_local(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || address(name).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::check;

    fn may(url: &str, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        check((url, "https://ostler.example"), &headers).is_ok()
    }

    #[test]
    fn by_the_name_that_people_are_told_it_is_asked_for_too() {
        let here = "http://127.0.0.1:7070";
        assert!(may(here, "ostler.example", None) && may(here, "ostler.example", Some("https://ostler.example")));
        assert!(!may(here, "other.example", None) && !may(here, "ostler.example", Some("https://other.example")));
    }

    #[test]
    fn what_is_meant_for_this_machine_is_asked_for_by_no_other_name() {
        let here = "http://127.0.0.1:7070";
        for host in ["127.0.0.1:7070", "localhost:7070", "LOCALHOST", "[::1]:7070", "10.0.0.7:7070"] {
            assert!(may(here, host, None), "{host}");
        }
        for host in ["evil.example", "evil.example:7070", "127.0.0.1.evil.example", "", "localhost.evil.example:80"] {
            assert!(!may(here, host, None), "{host}");
            assert!(may("http://0.0.0.0:7070", host, None), "{host}");
        }
    }

    #[test]
    fn no_other_page_asks() {
        for url in ["http://127.0.0.1:7070", "http://0.0.0.0:7070"] {
            for origin in ["http://evil.example", "null", "", "127.0.0.1:7070", "file://"] {
                assert!(!may(url, "127.0.0.1:7070", Some(origin)), "{origin}");
            }
            for origin in ["http://127.0.0.1:7070", "http://localhost:6274", "https://[::1]"] {
                assert!(may(url, "127.0.0.1:7070", Some(origin)), "{origin}");
            }
        }
        assert!(may("http://0.0.0.0:7070", "ostler.example", Some("https://ostler.example")));
        assert!(!may("http://0.0.0.0:7070", "ostler.example", Some("http://localhost")));
    }
}
