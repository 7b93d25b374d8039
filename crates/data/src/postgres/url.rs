//! Where a PostgreSQL store is: a URL that is checked once, and that never prints its password.

use std::fmt;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Where a PostgreSQL store is. It prints as user, host, port and database, never with the password.
#[derive(Clone)]
pub struct StoreUrl {
    config: Config,
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
        let config: Config = text.parse().map_err(|_| StoreUrlError("it has a part or a setting that is not known"))?;
        if config.get_hosts().is_empty() {
            return Err(StoreUrlError("it names no host"));
        }
        if config.get_dbname().is_none() {
            return Err(StoreUrlError("it names no database"));
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(StoreUrlError(
                "sslmode=require: this Ostler speaks to PostgreSQL without TLS; use a Unix socket, the same machine or a tunnel, with sslmode=disable",
            ));
        }
        Ok(StoreUrl { place: place(&config), with_password: config.get_password().is_some(), config })
    }
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
        self.config == other.config
    }
}

#[cfg(test)]
mod tests {
    use super::{StoreUrl, StoreUrlError};

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
    fn a_url_that_cannot_be_used_is_refused_without_being_repeated() {
        let refused = |text: &str| -> StoreUrlError { text.parse::<StoreUrl>().unwrap_err() };
        for text in [
            "mysql://ana:s3cret@db/ostler",
            "postgres://ana:s3cret@db",
            "postgres:///ostler?s3cret=1",
            "postgres://ana:s3cret@db/ostler?sslmode=require",
        ] {
            let error = refused(text).to_string();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("postgres://USER:PASSWORD@HOST:PORT/DATABASE"), "{error}");
        }
    }
}
