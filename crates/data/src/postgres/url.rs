//! Where a PostgreSQL store is: a URL that is checked once, and that never prints its password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::postgres::tls::Proof;

/// Where a PostgreSQL store is. It prints as user, host, port and database, never with the password.
#[derive(Clone)]
pub struct StoreUrl {
    config: Config,
    proof: Option<Proof>,
    place: String,
    with_password: bool,
}

/// A URL that names no PostgreSQL database. It does not repeat the URL: there may be a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store's URL cannot be used ({0}): write postgres://USER:PASSWORD@HOST:PORT/DATABASE, and in USER and PASSWORD \
     every character that is neither a letter nor a digit as %XX"
)]
pub struct StoreUrlError(&'static str);

impl StoreUrl {
    /// Whether the URL holds a password.
    pub fn has_password(&self) -> bool {
        self.with_password
    }

    /// How the server proves who it is, where the line is encrypted.
    pub(super) fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(StoreUrlError("it does not begin with postgres://"));
        }
        let (text, proof) = encrypted(text)?;
        let config: Config = text.parse().map_err(|_| StoreUrlError("it has a part or a setting that is not known"))?;
        if config.get_hosts().is_empty() {
            return Err(StoreUrlError("it names no host"));
        }
        if config.get_dbname().is_none() {
            return Err(StoreUrlError("it names no database"));
        }
        if proof.is_some() && config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_))) {
            return Err(StoreUrlError("a Unix socket is not encrypted: leave sslmode out"));
        }
        Ok(StoreUrl { place: place(&config), with_password: config.get_password().is_some(), config, proof })
    }
}

/// Takes out of a URL what the driver does not know: how the server proves who it is.
fn encrypted(text: &str) -> Result<(String, Option<Proof>), StoreUrlError> {
    let (address, settings) = text.split_once('?').unwrap_or((text, ""));
    let (mut kept, mut mode, mut roots) = (Vec::new(), None, None);
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        match setting.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => roots = Some(unescaped(value)?),
            Some(_) | None => kept.push(setting),
        }
    }
    let (word, proof) = match (mode, roots) {
        (Some("require"), None) => ("require", Some(Proof::None)),
        (Some("require" | "verify-full"), roots) => ("require", Some(Proof::Certificate { roots })),
        (_, Some(_)) => return Err(StoreUrlError("sslrootcert needs sslmode=verify-full")),
        (Some("verify-ca"), None) => {
            return Err(StoreUrlError("sslmode=verify-ca does not look at the server's name: write verify-full"));
        }
        // What is encrypted only if the server likes keeps nobody out who can say that it does not.
        (None | Some("disable" | "prefer" | "allow"), None) => ("disable", None),
        (Some(_), None) => return Err(StoreUrlError("its sslmode is not disable, require or verify-full")),
    };
    let word = format!("sslmode={word}");
    kept.push(&word);
    Ok((format!("{address}?{}", kept.join("&")), proof))
}

/// With each `%XX` as the byte that it stands for.
fn unescaped(text: &str) -> Result<PathBuf, StoreUrlError> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err(StoreUrlError("its sslrootcert holds a % that is not followed by two digits"));
        };
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map(PathBuf::from).map_err(|_| StoreUrlError("its sslrootcert is not UTF-8"))
}

fn place(config: &Config) -> String {
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let hosts = config.get_hosts().iter().enumerate().map(|(n, host)| {
        let ports = config.get_ports();
        let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    let hosts: Vec<_> = hosts.collect();
    format!("postgres://{user}{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({})", self.place)
    }
}

impl PartialEq for StoreUrl {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config && self.proof == other.proof
    }
}

#[cfg(test)]
mod tests {
    use super::{Proof, StoreUrl, StoreUrlError};

    #[test]
    fn a_url_prints_without_its_password() {
        let url: StoreUrl = "postgres://ana:s3cr%2Ft@db.example:6432/ostler?connect_timeout=3".parse().unwrap();
        assert!(url.has_password());
        assert_eq!(url.config().get_password(), Some(b"s3cr/t".as_slice()));
        assert_eq!(url.to_string(), "postgres://ana@db.example:6432/ostler");
        assert_eq!(format!("{url:?}"), "StoreUrl(postgres://ana@db.example:6432/ostler)");
        let socket: StoreUrl = "postgres://ana@%2Frun%2Fpostgresql/ostler".parse().unwrap();
        assert_eq!(socket.to_string(), "postgres://ana@/run/postgresql:5432/ostler");
    }

    #[test]
    fn a_url_says_whether_the_line_is_encrypted_and_how_the_server_proves_who_it_is() {
        let proof = |settings: &str| {
            let url: StoreUrl = format!("postgres://ana@db/ostler{settings}").parse().unwrap();
            url.proof().cloned()
        };
        for plain in ["", "?sslmode=disable", "?connect_timeout=3&sslmode=prefer"] {
            assert_eq!(proof(plain), None, "{plain}");
        }
        assert_eq!(proof("?sslmode=require&connect_timeout=3"), Some(Proof::None));
        assert_eq!(proof("?sslmode=verify-full"), Some(Proof::Certificate { roots: None }));
        let roots = Some("/etc/a b.pem".into());
        assert_eq!(proof("?sslrootcert=%2Fetc/a%20b.pem&sslmode=verify-full"), Some(Proof::Certificate { roots }));
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_being_repeated() {
        let refused = |text: &str| -> StoreUrlError { text.parse::<StoreUrl>().unwrap_err() };
        for text in [
            "mysql://ana:s3cret@db/ostler",
            "postgres://ana:s3cret@db",
            "postgres:///ostler?s3cret=1",
            "postgres://ana:s3cret@db/ostler?sslmode=verify-ca",
            "postgres://ana:s3cret@db/ostler?sslmode=sometimes",
            "postgres://ana:s3cret@db/ostler?sslrootcert=s3cret.pem",
            "postgres://ana:s3cret@%2Frun/ostler?sslmode=require",
        ] {
            let error = refused(text).to_string();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("postgres://USER:PASSWORD@HOST:PORT/DATABASE"), "{error}");
        }
    }
}
