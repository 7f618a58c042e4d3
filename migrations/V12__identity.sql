-- Which log this is: a backup is continued from the log that it began with, and from no other.
CREATE TABLE wal_identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id       uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO wal_identity DEFAULT VALUES;
