//! The embedded side of a transfer: a file that is made of rows, and a file that is read into rows. Must not know what
//! they mean.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use domain::clock::Clock;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, TransactionBehavior, params_from_iter};

use crate::hold::of_io;
use crate::sqlite::fault::Fault;
use crate::sqlite::{backup, open};
use crate::store::StoreError;
use crate::transfer::{Cell, Gatherer, Piece, Table};

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Cell::Null => ValueRef::Null,
            Cell::Integer(number) => ValueRef::Integer(*number),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Blob(bytes),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

/// Makes a store's file of the rows that come; answers its bytes. A file under the name is always whole.
pub(crate) fn make(to: &Path, tables: &[Table], pieces: &mut dyn FnMut() -> Option<Piece>) -> Result<u64, StoreError> {
    backup::must_be_new(to)?;
    let aside = backup::aside(to);
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside);
    made.map_err(|error| of_io(&error, &aside))?;
    let filled = fill(&aside, tables, pieces).map_err(|fault| fault.at(&aside));
    backup::finish(filled, &aside, to)
}

fn fill(file: &Path, tables: &[Table], pieces: &mut dyn FnMut() -> Option<Piece>) -> Result<(), Fault> {
    let mut db = Connection::open(file)?;
    // Nobody sees the file before it is whole and flushed.
    db.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "OFF")?;
    open::found(&db)?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    open::MIGRATIONS.iter().try_for_each(|migration| transaction.execute_batch(migration))?;
    let inserts: Vec<String> = tables.iter().map(insert).collect();
    loop {
        match pieces() {
            Some(Piece::Rows(table, rows)) => {
                let mut insert = transaction.prepare_cached(&inserts[table])?;
                for row in rows {
                    insert.execute(params_from_iter(row))?;
                }
            }
            Some(Piece::End) => break,
            None => return Err(Fault::Damaged("what it is made of broke off".to_owned())),
        }
    }
    transaction.commit()?;
    db.close().map_err(|(_, error)| Fault::from(error))
}

fn insert(table: &Table) -> String {
    let places = vec!["?"; table.columns.len()].join(", ");
    format!("INSERT INTO {} ({}) VALUES ({places})", table.name, table.columns())
}

/// Brings a file that nobody has open to this build's format.
pub(crate) fn bring_forward(file: &Path, clock: &dyn Clock) -> Result<(), StoreError> {
    open::recognise(file)?;
    let forward = || -> Result<(), Fault> {
        let mut db = Connection::open(file)?;
        open::migrate(&mut db, file, clock)?;
        db.close().map_err(|(_, error)| Fault::from(error))
    };
    forward().map_err(|fault| fault.at(file))
}

/// Reads all rows of these tables; `take` says whether to go on.
pub(crate) fn read(file: &Path, tables: &[Table], take: &mut dyn FnMut(Piece) -> bool) -> Result<(), StoreError> {
    let mut all = || -> Result<(), Fault> {
        let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        for (number, table) in tables.iter().enumerate() {
            let mut select = db.prepare(&format!("SELECT {} FROM {}", table.columns(), table.name))?;
            let (mut rows, mut gatherer) = (select.query([])?, Gatherer::of(number));
            while let Some(row) = rows.next()? {
                let cells = (0..table.columns.len()).map(|at| cell(row.get_ref(at)?)).collect::<Result<_, Fault>>()?;
                if gatherer.add(cells).is_some_and(|piece| !take(piece)) {
                    return Ok(());
                }
            }
            if !take(gatherer.take()) {
                return Ok(());
            }
        }
        take(Piece::End);
        Ok(())
    };
    all().map_err(|fault| fault.at(file))
}

fn cell(value: ValueRef<'_>) -> Result<Cell, Fault> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(_) => Cell::Text(value.as_str()?.to_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(Fault::Damaged("it holds a number with a fraction".to_owned())),
    })
}
