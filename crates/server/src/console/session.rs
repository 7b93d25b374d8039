//! A person's way into the console: a one-time code from `POST /api/logins` becomes a cookie. GET never signs anybody
//! in; every form carries a token, and its origin is checked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::{self, HeaderName};
use domain::clock::{Clock, Timestamp};
use domain::id::{Digest, Name};
use domain::principal::Caller;

use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// How long a one-time code is good for.
const CODE_MS: i64 = 60 * 60_000;
/// How long a session of the console is good for.
const SESSION_MS: i64 = 12 * 60 * 60_000;
/// How many sessions and codes are kept; the oldest go first.
const KEPT: usize = 1_000;
/// How the cookie's name begins.
const COOKIE: &str = "ostler_session";

/// Who is signed in. In memory: a restart signs everybody out.
pub(crate) struct Logins {
    /// The cookie's name, with the port: browsers do not keep two servers of one machine apart.
    cookie: String,
    offered: Mutex<Kept>,
    sessions: Mutex<Kept>,
}

/// Whose, and until when, by the hash of a secret: looking one up takes as long for a near miss as for a far one.
type Kept = BTreeMap<Digest, (Name, Timestamp)>;

impl Logins {
    /// Of the server at this address.
    pub(crate) fn at(url: &str) -> Logins {
        let port: String = url.rsplit(':').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        Logins { cookie: format!("{COOKIE}_{port}"), offered: Mutex::default(), sessions: Mutex::default() }
    }

    /// A code that signs a person in, once.
    pub(crate) fn offer(&self, person: Name, clock: &dyn Clock) -> String {
        keep(&self.offered, person, clock, CODE_MS)
    }

    /// Turns a code into the value of a cookie. A code works once.
    pub(crate) fn take(&self, code: &str, clock: &dyn Clock) -> Option<String> {
        let taken = held(&self.offered).remove(&Digest::of(code.as_bytes()));
        let (person, until) = taken?;
        (until > clock.now()).then(|| keep(&self.sessions, person, clock, SESSION_MS))
    }

    /// Who is signed in under this cookie.
    fn person(&self, cookie: &str, clock: &dyn Clock) -> Option<Name> {
        let sessions = held(&self.sessions);
        let (person, until) = sessions.get(&Digest::of(cookie.as_bytes()))?;
        (*until > clock.now()).then(|| person.clone())
    }

    /// Signs out.
    pub(crate) fn end(&self, headers: &HeaderMap) {
        if let Some(cookie) = self.cookie(headers) {
            held(&self.sessions).remove(&Digest::of(cookie.as_bytes()));
        }
    }

    /// Signs a person out everywhere; codes that were offered to them are void.
    pub(crate) fn forget(&self, person: &Name) {
        held(&self.offered).retain(|_, (of, _)| of != person);
        held(&self.sessions).retain(|_, (of, _)| of != person);
    }

    fn cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';'));
        pairs.find_map(|pair| pair.trim().strip_prefix(self.cookie.as_str())?.strip_prefix('='))
    }

    /// The header that has a browser keep the cookie: not readable by scripts, never sent across sites.
    pub(crate) fn set_cookie(&self, value: &str) -> String {
        let age_s = if value.is_empty() { 0 } else { SESSION_MS / 1000 };
        format!("{}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age_s}", self.cookie)
    }
}

/// Nothing that holds these locks can leave the map half changed.
fn held(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(kept: &Mutex<Kept>, person: Name, clock: &dyn Clock, ms: i64) -> String {
    let secret = format!("{:032x}{:032x}", clock.random_u128(), clock.random_u128());
    let mut kept = held(kept);
    let now = clock.now();
    kept.retain(|_, (_, until)| *until > now);
    if kept.len() >= KEPT {
        let oldest = kept.iter().min_by_key(|(_, (_, until))| *until).map(|(hash, _)| *hash);
        oldest.and_then(|hash| kept.remove(&hash));
    }
    kept.insert(Digest::of(secret.as_bytes()), (person, now.plus_ms(ms)));
    secret
}

/// The token that every form of this session carries: derived from the cookie, so that nobody else can make it.
#[derive(Debug, Clone)]
pub(crate) struct Csrf(pub String);

impl Csrf {
    fn of(cookie: &str) -> Csrf {
        Csrf(Digest::of(format!("ostler/csrf/{cookie}").as_bytes()).to_string())
    }

    /// Whether a form carries this token. Hashes are compared, so the time taken says nothing about the token.
    fn is(&self, given: &str) -> bool {
        Digest::of(self.0.as_bytes()) == Digest::of(given.as_bytes())
    }
}

/// A form is our own if it carries the token of the session that it came with.
pub(crate) fn own_form(token: Option<&Csrf>, given: &str) -> ApiResult<()> {
    if token.is_some_and(|token| token.is(given)) {
        return Ok(());
    }
    Err(ApiError::forbidden("this form is not from your own session", "open the page again and decide there"))
}

/// Who a request comes from on the strength of the console's cookie, with the token of their forms. A person who is
/// no longer known is not signed in.
pub(crate) fn signed_in(app: &App, headers: &HeaderMap) -> Option<(Who, Csrf)> {
    let cookie = app.logins.cookie(headers)?;
    let person = app.logins.person(cookie, &*app.clock)?;
    let groups = app.gate.registry().person(&person)?.groups.clone();
    Some((Who(Caller::Person { name: person, groups }), Csrf::of(cookie)))
}

/// Whether a request that changes something comes from our own page.
pub(crate) fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(header::HOST) else { return false };
    match text(header::ORIGIN) {
        Some(origin) => origin.strip_prefix("http://").or(origin.strip_prefix("https://")) == Some(host),
        None => text(HeaderName::from_static("sec-fetch-site")) == Some("same-origin"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::{CODE_MS, Clock, HeaderMap, KEPT, Logins, Name, SESSION_MS, Timestamp, header, same_origin};

    /// A clock that is moved by hand.
    #[derive(Default)]
    struct Hand {
        now: AtomicI64,
        random: AtomicI64,
    }

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp(self.now.load(Ordering::SeqCst))
        }
        fn monotonic_ms(&self) -> i64 {
            self.now.load(Ordering::SeqCst)
        }
        fn fill_random(&self, bytes: &mut [u8]) {
            let next = self.random.fetch_add(1, Ordering::SeqCst).to_be_bytes();
            bytes[..8].copy_from_slice(&next);
        }
    }

    impl Hand {
        fn moves(&self, ms: i64) {
            self.now.fetch_add(ms, Ordering::SeqCst);
        }
    }

    fn ana() -> Name {
        "ana".parse().unwrap()
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_code_signs_in_once_and_until_it_expires() {
        let (logins, clock) = (Logins::at("http://127.0.0.1:7070"), Hand::default());
        let code = logins.offer(ana(), &clock);
        let cookie = logins.take(&code, &clock).unwrap();
        assert_eq!(logins.take(&code, &clock), None);
        assert_eq!(logins.person(&cookie, &clock), Some(ana()));
        let late = logins.offer(ana(), &clock);
        clock.moves(CODE_MS);
        assert_eq!(logins.take(&late, &clock), None);
    }

    #[test]
    fn a_console_session_ends_by_itself_when_signed_out_and_when_its_person_is_forgotten() {
        let (logins, clock) = (Logins::at("http://127.0.0.1:7070"), Hand::default());
        let sign_in = || logins.take(&logins.offer(ana(), &clock), &clock).unwrap();
        let (left, forgotten) = (sign_in(), sign_in());
        logins.end(&headers(&[(header::COOKIE, &format!("other=1; ostler_session_7070={left}"))]));
        assert_eq!(logins.person(&left, &clock), None);
        logins.forget(&ana());
        assert_eq!(logins.person(&forgotten, &clock), None);
        let old = sign_in();
        clock.moves(SESSION_MS);
        assert_eq!(logins.person(&old, &clock), None);
    }

    #[test]
    fn the_oldest_code_goes_when_too_many_are_offered() {
        let (logins, clock) = (Logins::at("http://127.0.0.1:7070"), Hand::default());
        let first = logins.offer(ana(), &clock);
        clock.moves(1);
        let second = logins.offer(ana(), &clock);
        for _ in 2..=KEPT {
            logins.offer(ana(), &clock);
        }
        assert_eq!(logins.take(&first, &clock), None);
        assert!(logins.take(&second, &clock).is_some());
    }

    #[test]
    fn a_form_of_another_origin_is_not_our_own() {
        let fetched = header::HeaderName::from_static("sec-fetch-site");
        let host = (header::HOST, "127.0.0.1:7070");
        assert!(same_origin(&headers(&[host.clone(), (header::ORIGIN, "http://127.0.0.1:7070")])));
        assert!(same_origin(&headers(&[host.clone(), (fetched.clone(), "same-origin")])));
        for wrong in ["http://evil.example", "http://127.0.0.1:7071", "null", "127.0.0.1:7070", ""] {
            assert!(!same_origin(&headers(&[host.clone(), (header::ORIGIN, wrong)])), "{wrong}");
        }
        assert!(!same_origin(&headers(&[host.clone(), (fetched, "cross-site")])));
        assert!(!same_origin(&headers(&[host])));
    }
}
