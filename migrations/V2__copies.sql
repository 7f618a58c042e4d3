-- A node joins the cluster once: its contents are adopted, or copied from a node that has them.
ALTER TABLE wal_cursors ADD COLUMN joined boolean NOT NULL DEFAULT false;
-- Nodes that follow the log already have joined.
UPDATE wal_cursors SET joined = true;

-- Copies of collections that were begun on a node and have not ended: what a restart may replace.
CREATE TABLE catalog_copies (
    node            text NOT NULL,
    collection      uuid NOT NULL,
    node_collection uuid NOT NULL,
    PRIMARY KEY (node, collection)
);
