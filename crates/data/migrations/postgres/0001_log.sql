-- The second format, which is the first on PostgreSQL. Ids are 16-byte and hashes 32-byte BYTEA, times are milliseconds
-- since 1970 in UTC, money is in micro-dollars, texts sort by their bytes. No sequences, foreign keys or triggers; what
-- is conditional is decided before it gets here. Tables whose rows change in place leave room for it in their pages
-- and are vacuumed early.

CREATE TABLE meta (
  one           INTEGER PRIMARY KEY CHECK (one = 1),
  store         BYTEA   NOT NULL,    -- this store's id
  format        INTEGER NOT NULL,    -- what it is written in
  min_format    INTEGER NOT NULL,    -- the oldest format that its readers must know
  created       BIGINT  NOT NULL,
  shards        INTEGER NOT NULL,
  migrated_from INTEGER,             -- the format that it was in before it was last brought forward
  migrated      BIGINT               -- when
);

-- Lease, fence and position at once.
CREATE TABLE shard (
  shard   INTEGER PRIMARY KEY,
  epoch   BIGINT  NOT NULL,
  pos     BIGINT  NOT NULL,
  expires BIGINT  NOT NULL,          -- by this server's clock
  node    TEXT    NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);

-- One row per commit of one session. id = shard << 48 | pos; no other index: prev chains a session's records.
CREATE TABLE record (
  id          BIGINT   PRIMARY KEY,
  session     BYTEA    NOT NULL,
  seq         BIGINT   NOT NULL,
  prev        BIGINT   NOT NULL,
  epoch       BIGINT   NOT NULL,
  at          BIGINT   NOT NULL,
  principal   BYTEA    NOT NULL,     -- hash of a text
  trace       BYTEA    NOT NULL,
  span        BIGINT   NOT NULL,
  parent      BIGINT,
  cause       TEXT     COLLATE "C" NOT NULL,
  control_pos BIGINT   NOT NULL,
  mode        SMALLINT NOT NULL,     -- 0 live, 1 shadow
  synthetic   BOOLEAN  NOT NULL,
  key         INTEGER  NOT NULL,     -- 0: the store's; otherwise the generation of the session's
  codec       SMALLINT NOT NULL,
  headers     TEXT     COLLATE "C" NOT NULL,  -- JSON: what stays readable of each event
  body        BYTEA    NOT NULL      -- sealed
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_insert_scale_factor = 0.1);
-- Sealed bytes do not shrink.
ALTER TABLE record ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE VIEW readable_record AS
  SELECT (id >> 48) & 65535 AS shard, id & 281474976710655 AS pos, encode(session, 'hex') AS session, seq, prev, epoch,
         to_char(to_timestamp(at / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
         encode(trace, 'hex') AS trace, cause, control_pos, CASE mode WHEN 0 THEN 'live' ELSE 'shadow' END AS mode,
         synthetic, headers, length(body) AS bytes
  FROM record;

CREATE TABLE head (
  session   BYTEA    PRIMARY KEY,
  shard     INTEGER  NOT NULL,
  pos       BIGINT   NOT NULL,
  seq       BIGINT   NOT NULL,
  trace     BYTEA    NOT NULL,
  agent     TEXT     COLLATE "C" NOT NULL,
  revision  BYTEA    NOT NULL,
  key       TEXT     COLLATE "C" NOT NULL,
  phase     TEXT     COLLATE "C" NOT NULL,
  since     BIGINT   NOT NULL,
  waits_on  TEXT     COLLATE "C" NOT NULL,
  scripted  BOOLEAN  NOT NULL,
  mode      SMALLINT NOT NULL,
  partition BIGINT
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX head_of_agent ON head (agent);
CREATE INDEX head_awake ON head (phase) WHERE phase IN ('ready', 'running');
CREATE INDEX head_of_partition ON head (partition)
  WHERE partition IS NOT NULL AND phase IN ('ready', 'running', 'suspended');

-- Who waits for a freeze to end, by what is frozen.
CREATE INDEX head_frozen ON head (waits_on, session) WHERE substr(waits_on, 1, 8) = 'frozen: ';

-- A session's state as of one of its records: a cache, sealed under the session's key, replaced in place.
CREATE TABLE snapshot (
  session BYTEA   PRIMARY KEY,
  seq     BIGINT  NOT NULL,          -- the last record that it holds
  pos     BIGINT  NOT NULL,          -- that record's position
  fold    INTEGER NOT NULL,          -- the version of the fold that made it
  key     INTEGER NOT NULL,          -- the generation of the session's key
  body    BYTEA   NOT NULL           -- sealed
) WITH (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE snapshot ALTER COLUMN body SET STORAGE EXTERNAL;

-- How many sessions are in each phase, kept with every head.
CREATE TABLE phase_count (
  shard    INTEGER NOT NULL,
  agent    TEXT    COLLATE "C" NOT NULL,
  phase    TEXT    COLLATE "C" NOT NULL,
  sessions BIGINT  NOT NULL,
  PRIMARY KEY (shard, agent, phase)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE mail (
  shard     INTEGER  NOT NULL,
  session   BYTEA    NOT NULL,
  id        TEXT     COLLATE "C" NOT NULL,
  due       BIGINT   NOT NULL,
  posted    BIGINT   NOT NULL,       -- orders what is due at the same instant
  class     SMALLINT NOT NULL,       -- 0 a decision, 1 a message, 2 a wake
  agent     TEXT     COLLATE "C" NOT NULL,
  partition BIGINT,
  body      BYTEA    NOT NULL,       -- sealed
  PRIMARY KEY (session, id)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX mail_due ON mail (shard, due, posted, session, id);

CREATE TABLE account (
  agent        TEXT   COLLATE "C" NOT NULL,
  meter        TEXT   COLLATE "C" NOT NULL,
  per          TEXT   COLLATE "C" NOT NULL,
  window_start BIGINT NOT NULL,
  cap          BIGINT NOT NULL,
  drawn        BIGINT NOT NULL,
  PRIMARY KEY (agent, meter, per, window_start)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

CREATE TABLE holding (
  shard        INTEGER NOT NULL,
  agent        TEXT    COLLATE "C" NOT NULL,
  meter        TEXT    COLLATE "C" NOT NULL,
  per          TEXT    COLLATE "C" NOT NULL,
  window_start BIGINT  NOT NULL,
  drawn        BIGINT  NOT NULL DEFAULT 0,
  reserved     BIGINT  NOT NULL DEFAULT 0,
  spent        BIGINT  NOT NULL DEFAULT 0,
  PRIMARY KEY (shard, agent, meter, per, window_start)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE inbox (
  key      TEXT    COLLATE "C" PRIMARY KEY,  -- an approval's or a call's id
  in_doubt BOOLEAN NOT NULL,         -- false: an approval; true: a write in doubt
  session  BYTEA   NOT NULL,
  agent    TEXT    COLLATE "C" NOT NULL,
  by_group TEXT    COLLATE "C" NOT NULL,
  since    BIGINT  NOT NULL,
  expires  BIGINT
) WITH (autovacuum_vacuum_scale_factor = 0.02);

-- Shared texts, never sealed, never changed: principals, instructions, schemas.
CREATE TABLE text (
  hash BYTEA PRIMARY KEY,
  body TEXT  COLLATE "C" NOT NULL
);

CREATE TABLE session_key (
  session    BYTEA   NOT NULL,
  generation INTEGER NOT NULL,
  wrapped    BYTEA,                  -- NULL once it was dropped: what it sealed cannot be opened any more
  PRIMARY KEY (session, generation)
);

CREATE TABLE memory (
  agent      TEXT    COLLATE "C" NOT NULL,
  session    BYTEA   NOT NULL,       -- with ordinal: the call that remembered it
  ordinal    BIGINT  NOT NULL,
  generation INTEGER NOT NULL,
  at         BIGINT  NOT NULL,
  expires    BIGINT,
  text       BYTEA   NOT NULL,       -- sealed
  PRIMARY KEY (agent, session, ordinal)
);
CREATE INDEX memory_expires ON memory (expires) WHERE expires IS NOT NULL;
CREATE INDEX memory_of_session ON memory (session);

-- Views: written behind the log, with their cursor, and rebuilt from it at any time.

CREATE TABLE view_cursor (
  view  TEXT    COLLATE "C" NOT NULL,
  shard INTEGER NOT NULL,
  pos   BIGINT  NOT NULL,
  PRIMARY KEY (view, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

CREATE TABLE spend (
  agent            TEXT   COLLATE "C" NOT NULL,
  hour             BIGINT NOT NULL,
  session          BYTEA  NOT NULL,
  what             TEXT   COLLATE "C" NOT NULL,
  usd_micros       BIGINT NOT NULL,
  calls            BIGINT NOT NULL,
  tokens           BIGINT NOT NULL,
  external_actions BIGINT NOT NULL,
  compute_ms       BIGINT NOT NULL,
  PRIMARY KEY (agent, hour, session, what)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE result (
  session BYTEA  NOT NULL,
  seq     BIGINT NOT NULL,
  pos     BIGINT NOT NULL,
  agent   TEXT   COLLATE "C" NOT NULL,
  at      BIGINT NOT NULL,
  PRIMARY KEY (session, seq)
);

CREATE TABLE audit_leaf (
  shard INTEGER NOT NULL,
  pos   BIGINT  NOT NULL,
  hash  BYTEA   NOT NULL,
  PRIMARY KEY (shard, pos)
);
