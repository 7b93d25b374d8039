//! The server's side of a transfer: all tables at one instant, and all tables made anew. Which there are is read from
//! the schema itself. Must not know what the rows mean.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use domain::clock::Clock;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::{ToSql, Type};

use crate::postgres::fault::{Fault, unusable};
use crate::postgres::line::{Line, Purpose};
use crate::postgres::{StoreUrl, open};
use crate::sqlite;
use crate::store::StoreError;
use crate::transfer::{Cell, Gatherer, PIECES, Piece, Table};

/// A table, and the types of its columns.
type Typed = (Table, Vec<Type>);

/// Copies the whole store, as it is at one instant, into a file of the embedded engine's form; answers its bytes.
pub(super) async fn copy(url: &StoreUrl, to: &Path) -> Result<u64, StoreError> {
    let place = url.to_string();
    let line = Line::connect(url, Purpose::Transfer).await.map_err(|fault| fault.reading(&place))?;
    let begun = async {
        // The transaction holds the instant: what is committed later goes past it.
        line.client().batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        tables(&line).await
    };
    let tables = begun.await.map_err(|fault| fault.reading(&place))?;
    let (send, mut pieces) = mpsc::channel(PIECES);
    let (to, plain) = (to.to_owned(), tables.iter().map(|(table, _)| table.clone()).collect::<Vec<_>>());
    let making = spawn_blocking(move || sqlite::transfer::make(&to, &plain, &mut || pieces.blocking_recv()));
    let sent = send_all(&line, &tables, send).await;
    let made = making.await.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a backup ended: {error}"))));
    // Where the server failed, the file could only say that it broke off.
    sent.map_err(|fault| fault.reading(&place)).and(made)
}

/// Whoever takes the pieces may go away: then they say why.
async fn send_all(line: &Line, tables: &[Typed], to: mpsc::Sender<Piece>) -> Result<(), Fault> {
    for (number, (table, types)) in tables.iter().enumerate() {
        let copy = format!("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)", read_as(table), table.name);
        let mut rows = pin!(BinaryCopyOutStream::new(line.client().copy_out(&copy).await?, types));
        let mut gatherer = Gatherer::of(number);
        while let Some(row) = rows.next().await {
            let full = gatherer.add(cells(&row?, types)?);
            if let Some(piece) = full
                && to.send(piece).await.is_err()
            {
                return Ok(());
            }
        }
        if to.send(gatherer.take()).await.is_err() {
            return Ok(());
        }
    }
    let _ = to.send(Piece::End).await;
    Ok(())
}

/// The columns as they are kept: nobody owns a shard of a store that is not open.
fn read_as(table: &Table) -> String {
    let column = |name: &String| match (table.name.as_str(), name.as_str()) {
        ("shard", "expires") => "0::bigint AS expires".to_owned(),
        ("shard", "node") => "''::text AS node".to_owned(),
        (_, name) => name.to_owned(),
    };
    table.columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// Makes a store of a file of the embedded engine's form, in a database that has none; all of it or nothing.
///
/// # Errors
/// The database has a store already, the server cannot keep one, or the file is not whole.
pub async fn restore(url: &StoreUrl, file: &Path, clock: Arc<dyn Clock>) -> Result<(), StoreError> {
    let place = url.to_string();
    let line = Line::connect(url, Purpose::Transfer).await.map_err(|fault| fault.reading(&place))?;
    open::check(&line, &place).await?;
    if open::exists(&line).await.map_err(|fault| fault.reading(&place))? {
        let next = "restore into a database that holds none (createdb makes one)";
        return Err(unusable(&place, "it holds the log of an Ostler already", next));
    }
    let path = file.to_owned();
    let forward = spawn_blocking(move || sqlite::transfer::bring_forward(&path, &*clock)).await;
    forward.unwrap_or_else(|error| Err(ended(&error)))?;
    // The transaction ends with the line where anything goes wrong.
    let tables = async {
        line.client().batch_execute(&format!("BEGIN; CREATE SCHEMA ostler; {}", open::schema())).await?;
        tables(&line).await
    };
    let tables = tables.await.map_err(|fault| fault.reading(&place))?;
    let (plain, path) = (tables.iter().map(|(table, _)| table.clone()).collect::<Vec<_>>(), file.to_owned());
    let (send, pieces) = mpsc::channel(PIECES);
    let reading =
        spawn_blocking(move || sqlite::transfer::read(&path, &plain, &mut |piece| send.blocking_send(piece).is_ok()));
    let received = receive_all(&line, &tables, pieces).await;
    let read = reading.await.unwrap_or_else(|error| Err(ended(&error)));
    let whole = received.map_err(|fault| fault.reading(&place));
    // The file says better what is wrong with it than that it broke off.
    read?;
    if !whole? {
        return Err(StoreError::Corrupt { path: file.to_owned(), why: "it broke off".to_owned() });
    }
    let commit = "UPDATE shard SET expires = 0, node = ''; COMMIT; ANALYZE";
    line.client().batch_execute(commit).await.map_err(|error| Fault::from(error).writing(&place))
}

fn ended(error: &tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable(format!("a restore ended: {error}"))
}

/// Answers whether all came.
async fn receive_all(line: &Line, tables: &[Typed], mut pieces: mpsc::Receiver<Piece>) -> Result<bool, Fault> {
    let mut next = pieces.recv().await;
    for (number, (table, types)) in tables.iter().enumerate() {
        let copy = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, table.columns());
        let mut writer = pin!(BinaryCopyInWriter::new(line.client().copy_in(&copy).await?, types));
        while let Some(Piece::Rows(of, rows)) = &next {
            if *of != number {
                break;
            }
            for row in rows {
                let values = row.iter().zip(types).map(|(cell, of)| value(cell, of)).collect::<Result<Vec<_>, _>>()?;
                let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value.as_ref() as _).collect();
                writer.as_mut().write(&values).await?;
            }
            next = pieces.recv().await;
        }
        writer.finish().await?;
    }
    Ok(next == Some(Piece::End))
}

/// The tables of the schema.
async fn tables(line: &Line) -> Result<Vec<Typed>, Fault> {
    let sql = "SELECT c.relname::text, a.attname::text, a.atttypid FROM pg_attribute a \
               JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'ostler' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped \
               ORDER BY c.relname, a.attnum";
    let mut tables: Vec<Typed> = Vec::new();
    for row in line.client().query(sql, &[]).await? {
        let (name, column, of): (String, String, u32) = (row.get(0), row.get(1), row.get(2));
        let of = Type::from_oid(of).ok_or_else(|| Fault::Damaged(format!("{name}.{column} has a type of its own")))?;
        match tables.last_mut() {
            Some((table, types)) if table.name == name => {
                table.columns.push(column);
                types.push(of);
            }
            Some(_) | None => tables.push((Table { name, columns: vec![column] }, vec![of])),
        }
    }
    Ok(tables)
}

fn cells(row: &BinaryCopyOutRow, types: &[Type]) -> Result<Vec<Cell>, Fault> {
    let mut cells = Vec::with_capacity(types.len());
    for (at, of) in types.iter().enumerate() {
        let cell = match *of {
            Type::BOOL => row.try_get::<Option<bool>>(at)?.map(|yes| Cell::Integer(yes.into())),
            Type::INT2 => row.try_get::<Option<i16>>(at)?.map(|number| Cell::Integer(number.into())),
            Type::INT4 => row.try_get::<Option<i32>>(at)?.map(|number| Cell::Integer(number.into())),
            Type::INT8 => row.try_get::<Option<i64>>(at)?.map(Cell::Integer),
            Type::TEXT => row.try_get::<Option<String>>(at)?.map(Cell::Text),
            Type::BYTEA => row.try_get::<Option<Vec<u8>>>(at)?.map(Cell::Bytes),
            _ => return Err(Fault::Damaged(format!("a column is {of}"))),
        };
        cells.push(cell.unwrap_or(Cell::Null));
    }
    Ok(cells)
}

fn value(cell: &Cell, of: &Type) -> Result<Box<dyn ToSql + Sync + Send>, Fault> {
    let unfit = || Fault::Damaged(format!("the backup holds {cell:?} where {of} belongs"));
    Ok(match (cell, of.clone()) {
        (Cell::Null, Type::BOOL) => Box::new(None::<bool>),
        (Cell::Null, Type::INT2) => Box::new(None::<i16>),
        (Cell::Null, Type::INT4) => Box::new(None::<i32>),
        (Cell::Null, Type::INT8) => Box::new(None::<i64>),
        (Cell::Null, Type::TEXT) => Box::new(None::<String>),
        (Cell::Null, Type::BYTEA) => Box::new(None::<Vec<u8>>),
        (Cell::Integer(number), Type::BOOL) => Box::new(*number != 0),
        (Cell::Integer(number), Type::INT2) => Box::new(i16::try_from(*number).map_err(|_| unfit())?),
        (Cell::Integer(number), Type::INT4) => Box::new(i32::try_from(*number).map_err(|_| unfit())?),
        (Cell::Integer(number), Type::INT8) => Box::new(*number),
        (Cell::Text(text), Type::TEXT) => Box::new(text.clone()),
        (Cell::Bytes(bytes), Type::BYTEA) => Box::new(bytes.clone()),
        _ => return Err(unfit()),
    })
}
