//! One file per group of commands. Each decodes what was typed, asks, and prints.

pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod budget;
pub(crate) mod changes;
pub(crate) mod channel;
pub(crate) mod cost;
pub(crate) mod demo;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod grant;
pub(crate) mod heavy;
pub(crate) mod inbox;
pub(crate) mod init;
pub(crate) mod onboard;
pub(crate) mod people;
pub(crate) mod policy;
pub(crate) mod ps;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod shadow;
pub(crate) mod stop;
pub(crate) mod store;
pub(crate) mod together;
pub(crate) mod top;
pub(crate) mod trace;
pub(crate) mod undo;
pub(crate) mod up;
pub(crate) mod webhook;

use std::str::FromStr;

use domain::id::{CallId, SessionId};

use crate::client::{Client, Failure, Outcome};
use crate::output::{items, text};

/// The full id of a session, from itself or from an unmistakable ending of it.
pub(crate) async fn session_id(client: &Client, given: &str) -> Outcome<SessionId> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let sessions = client.get("/api/sessions").await?;
    one_ending(given, items(&sessions).iter().map(|row| text(row, "session")), ("session", "ostler ps"))
}

/// The full id of a call, from itself or from its number behind an unmistakable ending of its session's.
pub(crate) async fn call_id(client: &Client, given: &str) -> Outcome<CallId> {
    let wrong = || Failure::Usage(format!("{given} is no call: write SESSION.NUMBER, as `ostler trace` prints it"));
    let (session, ordinal) = given.rsplit_once('.').ok_or_else(wrong)?;
    let ordinal = ordinal.parse().map_err(|_| wrong())?;
    Ok(CallId { session: session_id(client, session).await?, ordinal })
}

/// The full id of something in the inbox, from itself or from an unmistakable ending of it.
pub(crate) async fn inbox_id<T: FromStr>(client: &Client, given: &str) -> Outcome<T> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let inbox = client.get("/api/inbox").await?;
    one_ending(given, items(&inbox).iter().map(|row| text(row, "id")), ("item of the inbox", "ostler inbox"))
}

fn one_ending<T: FromStr>(given: &str, all: impl Iterator<Item = String>, (what, list): (&str, &str)) -> Outcome<T> {
    let found: Vec<T> = all.filter(|id| id.ends_with(given)).filter_map(|id| id.parse().ok()).collect();
    let count = found.len();
    match found.into_iter().next() {
        Some(one) if count == 1 && !given.is_empty() => Ok(one),
        Some(_) => Err(Failure::Usage(format!("{count} ids end with {given:?}: give more of it, see `{list}`"))),
        None => Err(Failure::NotFound(format!("no {what} is called {given} or ends with it: see `{list}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_must_be_unmistakable() {
        let all =
            ["ses_7118b9dzpa41qsdez6a7967f91", "ses_2kmqpqeq2hekx861z5zq8a1t2d", "ses_3nc3e098dt4dxed904kamw4s2d"];
        let find =
            |given| one_ending::<SessionId>(given, all.iter().map(|id| (*id).to_owned()), ("session", "ostler ps"));
        assert_eq!(find("7f91").unwrap().to_string(), all[0]);
        assert_eq!(find("2d").unwrap_err().to_string(), "2 ids end with \"2d\": give more of it, see `ostler ps`");
        assert_eq!(find("").unwrap_err().code(), 2);
        let none = find("zzz").unwrap_err();
        assert_eq!(
            (none.code(), none.to_string().as_str()),
            (1, "no session is called zzz or ends with it: see `ostler ps`")
        );
    }
}
