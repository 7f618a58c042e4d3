-- What clients that name their writes with a key are told each time they ask.
CREATE TABLE wal_outcomes (
    -- A hash of the client's key and credential; neither can be read back.
    key         bytea PRIMARY KEY,
    -- A hash of the request: the key stands for no other.
    digest      bytea NOT NULL,
    seq         bigint NOT NULL UNIQUE,
    write_id    varchar(100) NOT NULL,
    claimed_at  timestamptz NOT NULL DEFAULT now(),
    -- The answer; NULL while the write is undecided.
    status      int,
    headers     jsonb,
    body        bytea,
    answered_at timestamptz
);
-- Retention finds the oldest first.
CREATE INDEX wal_outcomes_age ON wal_outcomes (coalesce(answered_at, claimed_at));

-- The entry's outcome is kept in wal_outcomes.
ALTER TABLE wal_pending_writes ADD COLUMN keyed boolean NOT NULL DEFAULT false;
