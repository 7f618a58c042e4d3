-- A copy that broke off goes on where its half-made collection is the one noted here: everything in it was
-- read at this position of the log or later.
ALTER TABLE catalog_copies ADD COLUMN begun uuid;
ALTER TABLE catalog_copies ADD COLUMN position bigint;
-- Not copied over: what a node held that came back later than the log remembers. The same id as there.
ALTER TABLE catalog_copies ADD COLUMN unchecked uuid;

-- The last position at which an entry that a node may need was removed, by retention or by hand. A node
-- that is not past it cannot be brought up to date from the log.
CREATE TABLE wal_low (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    low      bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO wal_low DEFAULT VALUES;

-- What was removed before this table was there is not known: nodes that follow the log are past it.
UPDATE wal_low SET low = coalesce((SELECT min(seq) - 1 FROM wal_pending_writes),
    (SELECT head FROM wal_head));

-- An operator's role may delete finished entries without any right to this table.
CREATE FUNCTION wal_note_removed() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE wal_low SET low = r.seq
        FROM (SELECT max(seq) AS seq FROM removed WHERE status IS DISTINCT FROM 'rejected') r
        WHERE low < r.seq;
    RETURN NULL;
END $$;
CREATE TRIGGER wal_removed AFTER DELETE ON wal_pending_writes
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION wal_note_removed();

CREATE FUNCTION wal_note_emptied() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE wal_low SET low = (SELECT head FROM wal_head);
    RETURN NULL;
END $$;
CREATE TRIGGER wal_emptied AFTER TRUNCATE ON wal_pending_writes
    FOR EACH STATEMENT EXECUTE FUNCTION wal_note_emptied();
