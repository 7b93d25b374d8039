//! A whole store on its way from one engine to the other: rows of tables that both have under the same names, in
//! pieces. A backup has the embedded engine's form whatever the store is, so that it can be restored to either. Must
//! not know what the rows mean.
//!
//! ```text
//!  backup:  tables of the schema ─▶ COPY, one snapshot ─▶ pieces ─▶ a file, made aside, in one transaction
//!  restore: a file ─▶ pieces ─▶ COPY into a schema that is made for it, in one transaction
//! ```

/// How many bytes a piece holds, about.
const PIECE: usize = 256 << 10;

/// How many pieces wait for whoever writes them.
pub(crate) const PIECES: usize = 4;

/// A table, with the names of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
}

impl Table {
    /// Its columns, as SQL lists them.
    pub(crate) fn columns(&self) -> String {
        self.columns.join(", ")
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    fn bytes(&self) -> usize {
        match self {
            Cell::Null | Cell::Integer(_) => 8,
            Cell::Text(text) => text.len(),
            Cell::Bytes(bytes) => bytes.len(),
        }
    }
}

/// What is on its way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Rows of a table, by its number.
    Rows(usize, Vec<Vec<Cell>>),
    /// That was all. Without it, what was written is thrown away.
    End,
}

/// Gathers the rows of a table into pieces.
pub(crate) struct Gatherer {
    table: usize,
    rows: Vec<Vec<Cell>>,
    bytes: usize,
}

impl Gatherer {
    pub(crate) fn of(table: usize) -> Self {
        Gatherer { table, rows: Vec::new(), bytes: 0 }
    }

    /// One more row; a piece, where it is large enough.
    pub(crate) fn add(&mut self, row: Vec<Cell>) -> Option<Piece> {
        self.bytes += row.iter().map(Cell::bytes).sum::<usize>();
        self.rows.push(row);
        (self.bytes >= PIECE).then(|| self.take())
    }

    /// What is left.
    pub(crate) fn take(&mut self) -> Piece {
        self.bytes = 0;
        Piece::Rows(self.table, std::mem::take(&mut self.rows))
    }
}
