-- The client was told of success when the entry was in the log, before any node had judged it
-- (WRITE_ACK=log). Such an entry that is rejected is one to look at.
ALTER TABLE wal_pending_writes ADD COLUMN acknowledged boolean NOT NULL DEFAULT false;
