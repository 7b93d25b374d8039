//! The statement of a commit: one per group, whose first act is the fence over all its parts. It must not know what is
//! bound to it.
//!
//! ```text
//!  fence: UPDATE shard … WHERE epoch AND pos ─▶ mask: part 1 yes, part 2 no, part 3 yes
//!                                                 └─▶ INSERT record │ head │ mail … WHERE mask[its part]
//! ```

use std::sync::LazyLock;

use crate::postgres::batch::{
    Closed, Consumed, Fences, Forgotten, Heads, Holdings, Keys, Mail, Opened, Records, Remembered, Snapshots, Texts,
};

/// This server's time, in milliseconds: the only one that a lease's end is compared with.
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::int8";

/// What most commits write, and all that a change of authority does.
pub(super) static COMMIT: LazyLock<String> = LazyLock::new(|| commit(&lease_fence(), false));

/// Everything that a commit may write.
pub(super) static COMMIT_ALL: LazyLock<String> = LazyLock::new(|| commit(&lease_fence(), true));

/// A change of authority: the control shard has no owner, so its position alone is the fence.
pub(super) static COMMIT_CONTROL: LazyLock<String> =
    LazyLock::new(|| commit("SET pos = s.pos + p.records FROM part p WHERE s.pos = p.pos AND $6::int8 = 0", false));

/// Posting mail.
pub(super) static POST: LazyLock<String> = LazyLock::new(|| {
    let rows = unnest(&mut 1, Mail::COLUMNS);
    let columns = names(Mail::COLUMNS);
    format!("INSERT INTO mail ({columns}) SELECT {columns} FROM {rows} ON CONFLICT DO NOTHING")
});

fn lease_fence() -> String {
    format!(
        "SET pos = s.pos + p.records, expires = {NOW} + $6::int8 FROM part p WHERE s.epoch = p.epoch AND s.pos = p.pos"
    )
}

/// `$1` to `$5` are the fences, `$6` is how long a lease lasts, and then come the columns of each table in the order of
/// the text. Answers, part by part, whether it was written.
fn commit(fence: &str, rare: bool) -> String {
    let mut next = 1;
    let fences = unnest(&mut next, Fences::COLUMNS);
    // The lease.
    next += 1;
    let mut text = format!(
        "WITH part AS (SELECT * FROM {fences}), \
         fence AS (UPDATE shard s {fence} AND s.shard = p.shard RETURNING p.n), \
         mask AS MATERIALIZED (SELECT array_agg(f.n IS NOT NULL ORDER BY p.n) AS written \
                               FROM part p LEFT JOIN fence f ON f.n = p.n)"
    );
    let mut add = |name: &str, sql: String| text += &format!(", {name} AS ({sql})");
    add("records", insert("record", Records::COLUMNS, &mut next, ""));
    heads(&mut next, &mut add);
    add("keys", insert("session_key", Keys::COLUMNS, &mut next, ""));
    add("texts", insert("text", Texts::COLUMNS, &mut next, "ON CONFLICT DO NOTHING"));
    let sum = "ON CONFLICT (shard, agent, meter, per, window_start) DO UPDATE SET \
               reserved = holding.reserved + excluded.reserved, spent = holding.spent + excluded.spent";
    add("holdings", insert("holding", Holdings::COLUMNS, &mut next, sum));
    add("consumed", delete("mail", &["session", "id"], Consumed::COLUMNS, &mut next) + " RETURNING 1");
    // After what goes: mail may be posted under the id of what it was caused by.
    let after = "AND (SELECT count(*) FROM consumed) >= 0 ON CONFLICT DO NOTHING";
    add("posted", insert("mail", Mail::COLUMNS, &mut next, after));
    if rare {
        add(
            "snapshots",
            insert("snapshot", Snapshots::COLUMNS, &mut next, &replacing(Snapshots::COLUMNS, &["session"], &[])),
        );
        add("opened", insert("inbox", Opened::COLUMNS, &mut next, &replacing(Opened::COLUMNS, &["key"], &[])));
        add("closed", delete("inbox", &["key"], Closed::COLUMNS, &mut next));
        let item = ["agent", "session", "ordinal"];
        let again = replacing(Remembered::COLUMNS, &item, &[]);
        add("remembered", insert("memory", Remembered::COLUMNS, &mut next, &again));
        add("forgotten", delete("memory", &item, Forgotten::COLUMNS, &mut next));
    }
    text + " SELECT written FROM mask"
}

/// Heads, and with them how many sessions are in each phase. What a session is called, whose it is and where it lives
/// never changes.
fn heads(next: &mut usize, add: &mut impl FnMut(&str, String)) {
    let (rows, columns) = (unnest(next, Heads::COLUMNS), names(Heads::COLUMNS));
    add("said", format!("SELECT r.* FROM {rows} WHERE (SELECT written FROM mask)[r.part]"));
    let again = replacing(Heads::COLUMNS, &["session"], &["shard", "trace", "agent", "key", "partition"]);
    add("heads", format!("INSERT INTO head ({columns}) SELECT {columns} FROM said {again}"));
    add(
        "counts",
        "INSERT INTO phase_count (shard, agent, phase, sessions) SELECT shard, agent, phase, sum(moved) FROM (\
         SELECT shard, agent, phase, 1 AS moved FROM said UNION ALL \
         SELECT h.shard, h.agent, h.phase, -1 FROM said r JOIN head h ON h.session = r.session) AS m \
         GROUP BY shard, agent, phase HAVING sum(moved) <> 0 \
         ON CONFLICT (shard, agent, phase) DO UPDATE SET sessions = phase_count.sessions + excluded.sessions"
            .to_owned(),
    );
}

type Columns = [(&'static str, &'static str)];

/// `INSERT … SELECT` of the rows of parts that the fence let through.
fn insert(table: &str, columns: &Columns, next: &mut usize, then: &str) -> String {
    let (rows, columns) = (unnest(next, columns), names(columns));
    format!(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows} WHERE (SELECT written FROM mask)[r.part] {then}"
    )
}

/// `DELETE` by key, of parts that the fence let through.
fn delete(table: &str, key: &[&str], columns: &Columns, next: &mut usize) -> String {
    let rows = unnest(next, columns);
    let same: Vec<_> = key.iter().map(|column| format!("t.{column} = r.{column}")).collect();
    let same = same.join(" AND ");
    format!("DELETE FROM {table} t USING {rows} WHERE {same} AND (SELECT written FROM mask)[r.part]")
}

/// `unnest($n::type[], …) AS r (column, …)`
fn unnest(next: &mut usize, columns: &Columns) -> String {
    let arrays = columns.iter().map(|(_, of)| {
        *next += 1;
        format!("${}::{of}[]", *next - 1)
    });
    let arrays: Vec<_> = arrays.collect();
    let all: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    format!("unnest({}) AS r ({})", arrays.join(", "), all.join(", "))
}

/// The columns of the table, which has none for the part.
fn names(columns: &Columns) -> String {
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).filter(|name| *name != "part").collect();
    names.join(", ")
}

/// An upsert that replaces all but the key and what never changes.
fn replacing(columns: &Columns, key: &[&str], fixed: &[&str]) -> String {
    let changes = |name: &&str| *name != "part" && !key.contains(name) && !fixed.contains(name);
    let names = columns.iter().map(|(name, _)| *name).filter(changes);
    let set: Vec<_> = names.map(|name| format!("{name} = excluded.{name}")).collect();
    format!("ON CONFLICT ({}) DO UPDATE SET {}", key.join(", "), set.join(", "))
}
