-- The second format. Records and seals stay as they are: what is new stands beside them.

ALTER TABLE meta ADD COLUMN migrated_from INTEGER;   -- the format that it was in before it was last brought forward
ALTER TABLE meta ADD COLUMN migrated      INTEGER;   -- when

-- A session's state as of one of its records: a cache, sealed under the session's key, replaced in place.
CREATE TABLE snapshot (
  session BLOB    PRIMARY KEY,
  seq     INTEGER NOT NULL,        -- the last record that it holds
  pos     INTEGER NOT NULL,        -- that record's position
  fold    INTEGER NOT NULL,        -- the version of the fold that made it
  key     INTEGER NOT NULL,        -- the generation of the session's key
  body    BLOB    NOT NULL         -- sealed
) STRICT;

-- How many sessions are in each phase, kept with every head.
CREATE TABLE phase_count (
  shard    INTEGER NOT NULL,
  agent    TEXT    NOT NULL,
  phase    TEXT    NOT NULL,
  sessions INTEGER NOT NULL,
  PRIMARY KEY (shard, agent, phase)
) STRICT, WITHOUT ROWID;
INSERT INTO phase_count SELECT shard, agent, phase, count(*) FROM head GROUP BY shard, agent, phase;

-- How mail is queued: in whose turn, and before whom. What an older format left goes first and counts against nothing.
ALTER TABLE mail ADD COLUMN class     INTEGER NOT NULL DEFAULT 0;   -- 0 a decision, 1 a message, 2 a timer
ALTER TABLE mail ADD COLUMN agent     TEXT    NOT NULL DEFAULT '';  -- '' not known
ALTER TABLE mail ADD COLUMN partition INTEGER;
DROP INDEX mail_due;
CREATE INDEX mail_due ON mail (shard, due, posted, session, id, class, agent, partition);

-- The number of a session's partition, and who of a partition is unfinished.
ALTER TABLE head ADD COLUMN partition INTEGER;
CREATE INDEX head_of_partition ON head (partition)
  WHERE partition IS NOT NULL AND phase IN ('ready', 'running', 'suspended');

-- Who waits for a freeze to end, by what is frozen.
CREATE INDEX head_frozen ON head (waits_on, session) WHERE substr(waits_on, 1, 8) = 'frozen: ';
