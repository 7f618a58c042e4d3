-- The node holds the collection's documents under record ids of its own.
ALTER TABLE catalog_mappings ADD COLUMN other_ids boolean NOT NULL DEFAULT false;

-- What a deletion came to on such a node; it leaves with its entry.
CREATE TABLE wal_conversions (
    seq  bigint NOT NULL REFERENCES wal_pending_writes (seq) ON DELETE CASCADE,
    node text NOT NULL,
    -- json, not jsonb: record ids may hold \u0000.
    ids  json NOT NULL,
    PRIMARY KEY (seq, node)
);
