-- The write-ahead log. Operators read and clean this table by hand, during operation; the columns up
-- to updated_at are theirs to rely on.
CREATE TABLE wal_pending_writes (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    write_id      varchar(100) NOT NULL,
    method        varchar(10) NOT NULL,
    path          text NOT NULL,
    data          bytea,
    headers       jsonb,
    timestamp     timestamptz DEFAULT now(),
    retry_count   int DEFAULT 0,
    -- pending: not yet on every node; completed; failed: a dead letter; rejected: applied nowhere.
    status        varchar(20) DEFAULT 'pending',
    error_message text,
    created_at    timestamptz DEFAULT now(),
    updated_at    timestamptz DEFAULT now(),

    -- The position in the log: from 1, without gaps, in commit order.
    seq           bigint NOT NULL UNIQUE CHECK (seq > 0),
    op            varchar(30) NOT NULL,
    target        uuid,
    -- What keeps the order: a collection, or NULL for the catalog.
    stream        uuid,
    -- json, not jsonb: record ids may hold \u0000, which jsonb cannot store and json keeps as written.
    effect        json,
    -- The acting node accepted this catalog entry. Record entries are known by the cursors.
    accepted      boolean NOT NULL DEFAULT false
)
-- Finished rows leave in bulk every day; the default fifth of a large table is too late to clean up.
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX idx_wal_status ON wal_pending_writes (status);
CREATE INDEX idx_wal_timestamp ON wal_pending_writes (timestamp);
CREATE UNIQUE INDEX idx_wal_write_id ON wal_pending_writes (write_id);
-- Completion walks what is pending without touching ten million finished rows.
CREATE INDEX idx_wal_pending ON wal_pending_writes (seq) WHERE status = 'pending';
-- A lane that is behind reads its stream in order.
CREATE INDEX idx_wal_stream ON wal_pending_writes (stream, seq) WHERE status <> 'rejected';
-- Retention finds the oldest finished rows first.
CREATE INDEX idx_wal_finished ON wal_pending_writes (updated_at) WHERE status <> 'pending';

-- The last position ever assigned. Kept apart from the entries, which operators and retention delete.
CREATE TABLE wal_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    head     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO wal_head DEFAULT VALUES;

-- Who sequences. The advisory lock elects; the epoch fences whoever was elected before.
CREATE TABLE wal_lease (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch       bigint NOT NULL DEFAULT 0,
    holder      text,
    acquired_at timestamptz
);
INSERT INTO wal_lease DEFAULT VALUES;

-- How far each node is.
CREATE TABLE wal_cursors (
    node        text PRIMARY KEY,
    applied_seq bigint NOT NULL DEFAULT 0,
    catalog_seq bigint NOT NULL DEFAULT 0,
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE catalog_tenants (
    name       text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- No reference to catalog_tenants: Chroma creates databases under tenants that do not exist.
CREATE TABLE catalog_databases (
    id         uuid NOT NULL,
    tenant     text NOT NULL,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name)
);

CREATE TABLE catalog_collections (
    id          uuid PRIMARY KEY,
    tenant      text NOT NULL,
    database    text NOT NULL,
    name        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- The entry that deleted it; kept while a node may be behind that entry.
    deleted_seq bigint
);
CREATE UNIQUE INDEX catalog_collections_name ON catalog_collections (tenant, database, name)
    WHERE deleted_seq IS NULL;

-- Each node's own id of a collection.
CREATE TABLE catalog_mappings (
    node            text NOT NULL,
    collection      uuid NOT NULL,
    node_collection uuid NOT NULL,
    PRIMARY KEY (node, collection)
);
CREATE INDEX catalog_mappings_collection ON catalog_mappings (collection);

-- Every change of a node's state.
CREATE TABLE failover_history (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    epoch      bigint NOT NULL,
    node       text NOT NULL,
    from_state text NOT NULL,
    to_state   text NOT NULL,
    reason     text NOT NULL
);
CREATE INDEX failover_history_at ON failover_history (at);

INSERT INTO catalog_tenants (name) VALUES ('default_tenant');
INSERT INTO catalog_databases (id, tenant, name)
    VALUES ('00000000-0000-0000-0000-000000000000', 'default_tenant', 'default_database');
