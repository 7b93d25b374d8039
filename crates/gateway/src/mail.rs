//! The way out to people's mailboxes: one mail at a time, to a relay that whoever runs the server named, over TLS unless
//! the relay is on this machine. It must not know what is told, or whether it is told again.

mod message;

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::clock::Timestamp;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use reqwest::Url;

/// How long a relay may take over one mail.
const WITHIN: Duration = Duration::from_secs(15);

/// Replies by which a relay says that it wants to know who we are: ours to mend, and no word on the mail (RFC 4954).
const ABOUT_US: [u16; 4] = [530, 534, 535, 538];

/// Where mail is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    host: String,
    port: u16,
    user: Option<String>,
    cover: Cover,
}

/// How what is said to a relay is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, and nothing without it.
    StartTls,
    /// It does not leave this machine.
    Loopback,
}

impl FromStr for Relay {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why}: write smtp://USER@HOST:PORT, or smtps://USER@HOST:PORT");
        let url = Url::parse(text).map_err(|_| wrong("this is no address of a relay"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
        if url.password().is_some() {
            return Err(wrong("a password has no place in it (SMTP_PASSWORD is the secret that holds it)"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it names more than a relay"));
        }
        let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let here = literal.map_or(host == "localhost", |ip| ip.is_loopback());
        let (cover, port) = match url.scheme() {
            "smtps" => (Cover::Tls, 465),
            "smtp" if here => (Cover::Loopback, 25),
            "smtp" => (Cover::StartTls, 587),
            _ => return Err(wrong("it is neither smtp nor smtps")),
        };
        let user = Some(url.username().replace("%40", "@")).filter(|user| !user.is_empty());
        Ok(Relay { host: host.to_owned(), port: url.port().unwrap_or(port), user, cover })
    }
}

/// One mail. The same id each time it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Letters, digits, `_`, `-` and dots: the left half of its Message-ID.
    pub id: String,
    /// To whom.
    pub to: String,
    /// Printable ASCII, one line.
    pub subject: String,
    /// As plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// What one try came to, if not that the relay has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// It may be taken later: what went wrong.
    Later(String),
    /// The relay will never take it: what it said.
    Never(String),
}

/// Hands mail in. It never prints its password.
#[derive(Clone)]
pub struct Mailer {
    transport: Arc<AsyncSmtpTransport<Tokio1Executor>>,
    from: Address,
}

impl Mailer {
    /// One that hands mail in at a relay, as from this address; or why that cannot be.
    ///
    /// # Errors
    /// In one sentence: the address is none, a password is missing, or the machine's certificates cannot be read.
    pub fn at(relay: &Relay, from: &str, password: Option<&str>) -> Result<Mailer, String> {
        // Whoever was first has installed the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let from = parse(from)?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(relay.host.clone())
            .port(relay.port)
            .timeout(Some(WITHIN))
            .tls(relay.tls()?);
        if let Some(user) = &relay.user {
            let missing =
                || format!("the relay is to be told who {user} is, and there is no secret SMTP_PASSWORD here");
            let password = password.ok_or_else(missing)?;
            builder = builder.credentials(Credentials::new(user.clone(), password.to_owned()));
        }
        Ok(Mailer { transport: Arc::new(builder.build()), from })
    }

    /// Hands one mail in, once.
    ///
    /// # Errors
    /// If the relay does not have it.
    pub async fn send(&self, mail: &Mail, now: Timestamp) -> Result<(), Unsent> {
        let to = parse(&mail.to).map_err(Unsent::Never)?;
        let bytes = message::write(mail, (&self.from, &to), now);
        let envelope = Envelope::new(Some(self.from.clone()), vec![to]).map_err(|e| Unsent::Never(e.to_string()))?;
        match self.transport.send_raw(&envelope, &bytes).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let about_us = error.status().is_some_and(|code| ABOUT_US.contains(&u16::from(code)));
                let why = words(&error);
                Err(if error.is_permanent() && !about_us { Unsent::Never(why) } else { Unsent::Later(why) })
            }
        }
    }
}

impl Relay {
    fn tls(&self) -> Result<Tls, String> {
        let parameters = || {
            TlsParameters::new(self.host.clone())
                .map_err(|error| format!("TLS to {} cannot be set up: {error}", self.host))
        };
        Ok(match self.cover {
            Cover::Tls => Tls::Wrapper(parameters()?),
            Cover::StartTls => Tls::Required(parameters()?),
            Cover::Loopback => Tls::None,
        })
    }
}

/// Whether this is an address that mail can be sent to.
///
/// # Errors
/// In one sentence, if it is none.
pub fn address(text: &str) -> Result<(), String> {
    parse(text).map(|_| ())
}

fn parse(text: &str) -> Result<Address, String> {
    let plain = text.is_ascii()
        && !text.contains(|c: char| c.is_ascii_control() || c.is_ascii_whitespace() || "<>\"".contains(c));
    let address = text.parse().ok().filter(|_| plain && text.len() <= 254);
    address.ok_or_else(|| format!("{text:?} is no address of a mailbox: write one like ana@example.com"))
}

/// The error with everything behind it.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Cover, Mailer, Relay, address};

    #[test]
    fn a_relay_elsewhere_is_spoken_to_under_cover_only() {
        for (text, cover, port) in [
            ("smtp://desk@mail.example.com", Cover::StartTls, 587),
            ("smtp://mail.example.com:25", Cover::StartTls, 25),
            ("smtp://10.0.0.7:2525", Cover::StartTls, 2525),
            ("smtps://mail.example.com", Cover::Tls, 465),
            ("smtps://127.0.0.1:4650", Cover::Tls, 4650),
            ("smtp://127.0.0.1:2525", Cover::Loopback, 2525),
            ("smtp://localhost", Cover::Loopback, 25),
            ("smtp://[::1]:2525", Cover::Loopback, 2525),
            ("smtp://localhost.example.com", Cover::StartTls, 587),
        ] {
            let relay: Relay = text.parse().unwrap();
            assert_eq!((relay.cover, relay.port), (cover, port), "{text}");
        }
        for text in
            ["mail.example.com:25", "http://mail.example.com", "smtp://u:p@mail.example.com", "smtp://a/b", "smtp:"]
        {
            assert!(text.parse::<Relay>().is_err(), "{text}");
        }
    }

    #[test]
    fn who_logs_in_needs_a_password_and_every_mail_a_sender() {
        let relay: Relay = "smtp://desk@mail.example.com".parse().unwrap();
        assert!(Mailer::at(&relay, "ostler@example.com", None).err().unwrap().contains("SMTP_PASSWORD"));
        assert!(Mailer::at(&relay, "ostler@example.com", Some("word")).is_ok());
        assert!(Mailer::at(&relay, "ostler", Some("word")).is_err());
    }

    #[test]
    fn an_address_is_one_plain_mailbox() {
        assert!(address("ana.li+ostler@example.com").is_ok());
        for wrong in [
            "ana",
            "ana@",
            "@example.com",
            "ana@example.com\r\nBcc: x@y.example",
            "<ana@example.com>",
            "a b@c.d",
            "ä@c.d",
        ] {
            assert!(address(wrong).is_err(), "{wrong:?}");
        }
    }
}
