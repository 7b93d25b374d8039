-- The first format. Ids are 16-byte and hashes 32-byte blobs, times are milliseconds since 1970 in UTC, money is in
-- micro-dollars. No foreign keys and no triggers; what is conditional is decided before it gets here.

CREATE TABLE meta (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  store      BLOB    NOT NULL,     -- this store's id
  format     INTEGER NOT NULL,     -- what it is written in
  min_format INTEGER NOT NULL,     -- the oldest format that its readers must know
  created    INTEGER NOT NULL,
  shards     INTEGER NOT NULL
) STRICT;

-- Lease, fence and position at once.
CREATE TABLE shard (
  shard   INTEGER PRIMARY KEY,
  epoch   INTEGER NOT NULL,
  pos     INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  node    TEXT    NOT NULL
) STRICT;

-- One row per commit of one session. id = shard << 48 | pos; no other index: prev chains a session's records.
CREATE TABLE record (
  id          INTEGER PRIMARY KEY,
  session     BLOB    NOT NULL,
  seq         INTEGER NOT NULL,
  prev        INTEGER NOT NULL,
  epoch       INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  principal   BLOB    NOT NULL,    -- hash of a text
  trace       BLOB    NOT NULL,
  span        INTEGER NOT NULL,
  parent      INTEGER,
  cause       TEXT    NOT NULL,
  control_pos INTEGER NOT NULL,
  mode        INTEGER NOT NULL,    -- 0 live, 1 shadow
  synthetic   INTEGER NOT NULL,
  key         INTEGER NOT NULL,    -- 0: the store's; otherwise the generation of the session's
  codec       INTEGER NOT NULL,
  headers     TEXT    NOT NULL,    -- JSON: what stays readable of each event
  body        BLOB    NOT NULL     -- sealed
) STRICT;

CREATE VIEW readable_record AS
  SELECT (id >> 48) & 65535 AS shard, id & 281474976710655 AS pos, lower(hex(session)) AS session, seq, prev, epoch,
         strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at, lower(hex(trace)) AS trace, cause,
         control_pos, CASE mode WHEN 0 THEN 'live' ELSE 'shadow' END AS mode, synthetic, headers, length(body) AS bytes
  FROM record;

CREATE TABLE head (
  session  BLOB    PRIMARY KEY,
  shard    INTEGER NOT NULL,
  pos      INTEGER NOT NULL,
  seq      INTEGER NOT NULL,
  trace    BLOB    NOT NULL,
  agent    TEXT    NOT NULL,
  revision BLOB    NOT NULL,
  key      TEXT    NOT NULL,
  phase    TEXT    NOT NULL,
  since    INTEGER NOT NULL,
  waits_on TEXT    NOT NULL,
  scripted INTEGER NOT NULL,
  mode     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX head_of_agent ON head (agent);
CREATE INDEX head_awake ON head (phase) WHERE phase IN ('ready', 'running');

CREATE TABLE mail (
  shard   INTEGER NOT NULL,
  session BLOB    NOT NULL,
  id      TEXT    NOT NULL,
  due     INTEGER NOT NULL,
  posted  INTEGER NOT NULL,        -- orders what is due at the same instant
  body    BLOB    NOT NULL,        -- sealed
  PRIMARY KEY (session, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_due ON mail (shard, due, posted);

CREATE TABLE account (
  agent        TEXT    NOT NULL,
  meter        TEXT    NOT NULL,
  per          TEXT    NOT NULL,
  window_start INTEGER NOT NULL,
  cap          INTEGER NOT NULL,
  drawn        INTEGER NOT NULL,
  PRIMARY KEY (agent, meter, per, window_start)
) STRICT, WITHOUT ROWID;

CREATE TABLE holding (
  shard        INTEGER NOT NULL,
  agent        TEXT    NOT NULL,
  meter        TEXT    NOT NULL,
  per          TEXT    NOT NULL,
  window_start INTEGER NOT NULL,
  drawn        INTEGER NOT NULL,
  reserved     INTEGER NOT NULL,
  spent        INTEGER NOT NULL,
  PRIMARY KEY (shard, agent, meter, per, window_start)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox (
  key      TEXT    PRIMARY KEY,    -- an approval's or a call's id
  in_doubt INTEGER NOT NULL,       -- 0: an approval; 1: a write in doubt
  session  BLOB    NOT NULL,
  agent    TEXT    NOT NULL,
  by_group TEXT    NOT NULL,
  since    INTEGER NOT NULL,
  expires  INTEGER
) STRICT, WITHOUT ROWID;

-- Shared texts, never sealed, never changed: principals, instructions, schemas.
CREATE TABLE text (
  hash BLOB PRIMARY KEY,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE session_key (
  session    BLOB    NOT NULL,
  generation INTEGER NOT NULL,
  wrapped    BLOB,                 -- NULL once it was dropped: what it sealed cannot be opened any more
  PRIMARY KEY (session, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE memory (
  agent      TEXT    NOT NULL,
  session    BLOB    NOT NULL,     -- with ordinal: the call that remembered it
  ordinal    INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  expires    INTEGER,
  text       BLOB    NOT NULL,     -- sealed
  PRIMARY KEY (agent, session, ordinal)
) STRICT;
CREATE INDEX memory_expires ON memory (expires) WHERE expires IS NOT NULL;

-- Views: written behind the log, with their cursor, and rebuilt from it at any time.

CREATE TABLE view_cursor (
  view  TEXT    NOT NULL,
  shard INTEGER NOT NULL,
  pos   INTEGER NOT NULL,
  PRIMARY KEY (view, shard)
) STRICT, WITHOUT ROWID;

CREATE TABLE spend (
  agent            TEXT    NOT NULL,
  hour             INTEGER NOT NULL,
  session          BLOB    NOT NULL,
  what             TEXT    NOT NULL,
  usd_micros       INTEGER NOT NULL,
  calls            INTEGER NOT NULL,
  tokens           INTEGER NOT NULL,
  external_actions INTEGER NOT NULL,
  compute_ms       INTEGER NOT NULL,
  PRIMARY KEY (agent, hour, session, what)
) STRICT, WITHOUT ROWID;

CREATE TABLE result (
  session BLOB    NOT NULL,
  seq     INTEGER NOT NULL,
  pos     INTEGER NOT NULL,
  agent   TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_leaf (
  shard INTEGER NOT NULL,
  pos   INTEGER NOT NULL,
  hash  BLOB    NOT NULL,
  PRIMARY KEY (shard, pos)
) STRICT, WITHOUT ROWID;
