//! What PostgreSQL and the line to it say, in the port's words. Never the password.

use std::path::PathBuf;

use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

use crate::store::StoreError;

/// Something that went wrong in a job, before it is known at which place.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no connection, and nothing was sent.
    Unsent(StoreError),
    /// The server or the line to it.
    Sql(Error),
    /// No answer came in time.
    Silent,
    /// A row cannot be right.
    Damaged(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Sql(error)
    }
}

impl Fault {
    /// Whether the connection is of no more use: what was asked may have happened or not.
    pub(super) fn lost(&self) -> bool {
        match self {
            Fault::Sql(error) => !answered(error),
            Fault::Silent => true,
            Fault::Unsent(_) | Fault::Damaged(_) => false,
        }
    }

    /// Whether two transactions were in each other's way and this one was rolled back: it may be tried again.
    pub(super) fn collided(&self) -> bool {
        let Fault::Sql(error) = self else { return false };
        answered(error)
            && matches!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE))
    }

    /// Of something that only read.
    pub(super) fn reading(self, place: &str) -> StoreError {
        self.at(place, StoreError::Unavailable)
    }

    /// Of something that wrote: where the answer was lost, nobody knows.
    pub(super) fn writing(self, place: &str) -> StoreError {
        self.at(place, StoreError::Unknown)
    }

    fn at(self, place: &str, lost: fn(String) -> StoreError) -> StoreError {
        match self {
            Fault::Unsent(error) => error,
            Fault::Damaged(why) => StoreError::Corrupt { path: PathBuf::from(place), why },
            Fault::Silent => lost(format!("{place} did not answer in time")),
            Fault::Sql(error) if answered(&error) => of_answer(&error, place),
            Fault::Sql(error) => lost(format!("{place}: {}", words(&error))),
        }
    }
}

/// Whether the server answered that it did not do it, and goes on.
fn answered(error: &Error) -> bool {
    match error.as_db_error() {
        Some(said) => !matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic)),
        // Told apart by name: what cannot be encoded was never sent, what cannot be read was.
        None => false,
    }
}

/// What the server said, mapped by its SQLSTATE (PostgreSQL, appendix A).
fn of_answer(error: &Error, place: &str) -> StoreError {
    let why = words(error);
    match error.code() {
        Some(&SqlState::DISK_FULL) => StoreError::Full { path: PathBuf::from(place) },
        Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED | &SqlState::UNDEFINED_TABLE) => {
            StoreError::Corrupt { path: PathBuf::from(place), why }
        }
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => unusable(place, why, "GRANT the role of its URL what it needs"),
        _ => StoreError::Unavailable(format!("{place}: {why}")),
    }
}

/// Why no connection came about, with what to do next.
pub(super) fn of_connect(error: &Error, place: &str) -> StoreError {
    let why = words(error);
    match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            unusable(place, why, "check the user and the password in the store's URL")
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => unusable(place, why, "make it first, with createdb"),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            unusable(place, why, "GRANT the role CONNECT and CREATE on the database")
        }
        Some(_) => StoreError::Unavailable(format!("{place}: {why}")),
        None if why.contains("does not support TLS") => unusable(
            place,
            why,
            "turn `ssl` on in the server, or write sslmode=disable where nobody else is on the line",
        ),
        None if why.contains("certificate") => {
            let next =
                "name the certificate of its authority with sslrootcert=FILE, and the server as it calls itself there";
            unusable(place, why, next)
        }
        None if why.contains("password") => unusable(place, why, "put the password into the store's URL"),
        None => {
            StoreError::Unavailable(format!("{place}: {why}: is PostgreSQL running there, and reachable from here?"))
        }
    }
}

pub(super) fn unusable(place: &str, why: impl Into<String>, next: &'static str) -> StoreError {
    StoreError::Unusable { place: place.to_owned(), why: why.into(), next }
}

/// The innermost cause: the driver's own words say little.
fn words(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
