-- Collections in which a request to a node that was given up may still change something, where that would hold
-- the node's cursor far back. A restart looks at them again; rows go when that was done.
CREATE TABLE wal_doubts (
    node      text NOT NULL,
    -- All zeros: the catalog.
    stream    uuid NOT NULL,
    first_seq bigint NOT NULL,
    PRIMARY KEY (node, stream)
);
