//! What a server is told at start. Read once, at the edge; nothing deeper reads the environment.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use data::postgres::{StoreUrl, StoreUrlError};
pub use gateway::mail::Relay;

/// Where a server listens unless it is told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7070";

/// What a server is told at start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory: the store unless it is elsewhere, its keys and `context.json`.
    pub data: PathBuf,
    /// Where the store is; `None`: embedded, in the data directory.
    pub store: Option<StoreUrl>,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The address that clients and people are told, where it is not the one that it listens at.
    pub public_url: Option<PublicUrl>,
    /// Secrets by name, for upstreams and providers.
    pub secrets: Secrets,
    /// Where mail for people is handed in, and as from which address.
    pub mail: Option<(Relay, String)>,
    /// What stdio servers are started with.
    pub host: gateway::Host,
    /// How long a scripted provider takes over a word, so that people can watch.
    pub scripted_pace: Duration,
    /// How long calls in flight may take to end once asked to stop.
    pub drain: Duration,
}

/// An address as others reach this server: `http` or `https`, a name, and no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl std::str::FromStr for PublicUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address of a server: write one like https://ostler.example.com");
        let plain = text.trim_end_matches('/');
        let name = plain.strip_prefix("https://").or_else(|| plain.strip_prefix("http://")).ok_or_else(wrong)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return Err(wrong());
        }
        Ok(PublicUrl(plain.to_owned()))
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stdio servers are started with: this very binary where a descriptor says `ostler`, and of the environment
/// only where programs are found and which language is spoken.
pub fn host() -> gateway::Host {
    let executable = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("ostler"));
    gateway::Host::new(executable, std::env::vars())
}

/// Secrets by name. They never print.
#[derive(Clone, Default)]
pub struct Secrets(pub BTreeMap<String, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} names)", self.0.len())
    }
}

/// The data directory unless another is named: `ostler` in the user's data directory (XDG Base Directory
/// Specification), or in the working directory where there is no home.
#[expect(clippy::disallowed_methods, reason = "configuration is read here")]
pub fn default_data_dir() -> PathBuf {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    base.map_or_else(|| PathBuf::from("ostler-data"), |base| base.join("ostler"))
}

/// The endings of names that the environment's secrets have. Others go into `secrets.env`: everything here is also
/// looked for in what upstreams answer, and taken out, which must not happen to a PATH or a HOME.
const SECRET_ENDINGS: [&str; 4] = ["_KEY", "_TOKEN", "_SECRET", "_PASSWORD"];

impl Secrets {
    /// The environment's secrets, by the endings of their names, and over them the lines `NAME=value` of `secrets.env`
    /// in the data directory.
    ///
    /// # Errors
    /// If that file can be read by others, not by us, or holds a line that is none.
    pub fn read(data: &Path) -> std::io::Result<Secrets> {
        let named = |name: &str| name != "OSTLER_KEY" && SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending));
        let mut secrets: BTreeMap<String, String> = std::env::vars().filter(|(name, _)| named(name)).collect();
        let file = data.join("secrets.env");
        match std::fs::metadata(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Secrets(secrets)),
            Err(error) => return Err(error),
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
                let reason = format!("{} can be read by others: run `chmod 600` on it", file.display());
                return Err(std::io::Error::new(ErrorKind::PermissionDenied, reason));
            }
            Ok(_) => {}
        }
        let lines = gateway::Secrets::parse_env(&std::fs::read_to_string(&file)?);
        let wrong = |error| std::io::Error::new(ErrorKind::InvalidData, format!("{}: {error}", file.display()));
        secrets.extend(lines.map_err(wrong)?);
        Ok(Secrets(secrets))
    }
}

#[cfg(test)]
mod tests {
    use super::PublicUrl;

    #[test]
    fn a_public_address_is_a_name_without_a_path() {
        for (text, kept) in [
            ("https://ostler.example.com/", "https://ostler.example.com"),
            ("http://10.0.0.7:7070", "http://10.0.0.7:7070"),
            ("https://[::1]:7070", "https://[::1]:7070"),
        ] {
            assert_eq!(text.parse::<PublicUrl>().unwrap().to_string(), kept);
        }
        for text in ["ostler.example.com", "https://", "https://a/b", "https://a b", "ftp://a", "https://u:p@a"] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
