//! What SQLite says, in the port's words.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::StoreError;

/// Something that went wrong in a job, before it is known in which file.
#[derive(Debug)]
pub(super) enum Fault {
    /// A statement failed: its transaction is rolled back.
    Sql(Error),
    /// A COMMIT failed: it may or may not have happened.
    AtCommit(Error),
    /// A row cannot be right.
    Damaged(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<rusqlite::types::FromSqlError> for Fault {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Fault::Damaged(error.to_string())
    }
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Fault::Damaged(why) => StoreError::Corrupt { path: path.to_owned(), why },
            Fault::Sql(error) => of_sql(&error, path, StoreError::Unavailable),
            Fault::AtCommit(error) => of_sql(&error, path, StoreError::Unknown),
        }
    }
}

/// `otherwise`: what any failure is that has no name of its own here.
fn of_sql(error: &Error, path: &Path, otherwise: fn(String) -> StoreError) -> StoreError {
    let (path, why) = (path.to_owned(), error.to_string());
    match error {
        Error::SqliteFailure(code, _) => match code.code {
            ErrorCode::DiskFull => StoreError::Full { path },
            _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => StoreError::Full { path },
            ErrorCode::DatabaseCorrupt => StoreError::Corrupt { path, why },
            ErrorCode::NotADatabase => StoreError::Foreign { path, why },
            ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen => {
                StoreError::Denied { path, why }
            }
            // A lock that was not had within the time-out: nothing was written.
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Unavailable(why),
            _ => otherwise(why),
        },
        Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) | Error::InvalidColumnType(..) => {
            StoreError::Corrupt { path, why }
        }
        _ => otherwise(why),
    }
}
