-- The node holds the collection's documents under record ids of its own.
ALTER TABLE catalog_mappings ADD COLUMN other_ids boolean NOT NULL DEFAULT false;

-- What a deletion came to on such a node. Retention removes it after its entry; no foreign key, so that
-- operators need no right but the one to delete entries, and may truncate them.
CREATE TABLE wal_conversions (
    seq  bigint NOT NULL,
    node text NOT NULL,
    -- json, not jsonb: record ids may hold \u0000.
    ids  json NOT NULL,
    PRIMARY KEY (seq, node)
);
