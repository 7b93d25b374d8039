//! How values are written in columns, whatever the engine: words for enums, one number for a record's place.

use domain::budget::{BudgetKey, Subject};
use domain::id::{IdError, Pos, Shard};
use domain::mail::MailClass;
use domain::principal::Mode;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many bits of a record's id are its position; the shard is above.
const POS_BITS: u32 = 48;

/// A record's id: shard and position in one integer, in the order of positions within each shard.
pub(crate) fn record_id(shard: Shard, pos: Pos) -> i64 {
    (u64::from(shard.0) << POS_BITS | pos.0).cast_signed()
}

/// What a record's id stands for.
pub(crate) fn place_of(id: i64) -> (Shard, Pos) {
    let id = id.cast_unsigned();
    (Shard((id >> POS_BITS) as u16), Pos(id & ((1 << POS_BITS) - 1)))
}

/// The last id that a shard can have.
pub(crate) fn last_id(shard: Shard) -> i64 {
    record_id(shard, Pos((1 << POS_BITS) - 1))
}

/// The word that an enum is persisted by.
pub(crate) fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("only enums without fields are written as words, not {other:?}"),
    }
}

/// The enum that a word stands for.
pub(crate) fn of_word<T: DeserializeOwned>(word: String) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|error| error.to_string())
}

pub(crate) fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Live => 0,
        Mode::Shadow => 1,
    }
}

pub(crate) fn mode_of(number: u8) -> Result<Mode, String> {
    match number {
        0 => Ok(Mode::Live),
        1 => Ok(Mode::Shadow),
        other => Err(format!("{other} is no mode")),
    }
}

pub(crate) fn class_number(class: MailClass) -> u8 {
    match class {
        MailClass::Decision => 0,
        MailClass::Message => 1,
        MailClass::Wake => 2,
    }
}

pub(crate) fn class_of(number: u8) -> Result<MailClass, String> {
    match number {
        0 => Ok(MailClass::Decision),
        1 => Ok(MailClass::Message),
        2 => Ok(MailClass::Wake),
        other => Err(format!("{other} is no class of mail")),
    }
}

/// A budget as its columns `agent`, `meter` and `per`. An agent stands there by its bare name, any other subject as it
/// prints: no name holds a slash.
pub(crate) fn budget(key: &BudgetKey) -> (String, String, String) {
    let subject = match &key.subject {
        Subject::Agent(name) => name.to_string(),
        other @ (Subject::Owner(_) | Subject::Session(_) | Subject::Grant(_) | Subject::Tool { .. }) => {
            other.to_string()
        }
    };
    (subject, word(key.meter), word(key.window))
}

/// The subject that a column `agent` stands for.
pub(crate) fn subject(column: &str) -> Result<Subject, IdError> {
    if column.contains('/') { column.parse() } else { column.parse().map(Subject::Agent) }
}

/// A limit as SQL has it.
pub(crate) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
