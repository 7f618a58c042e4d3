-- What operators did through /admin, and with which outcome. Rows are only ever added.
CREATE TABLE audit_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text NOT NULL,
    action  text NOT NULL,
    target  text NOT NULL,
    outcome text NOT NULL,
    detail  text NOT NULL DEFAULT ''
);

-- Accepted entries that a node refuses. One row a node and entry: the same entry refused again opens it anew.
CREATE TABLE dead_letters (
    node        text NOT NULL,
    seq         bigint NOT NULL,
    write_id    text NOT NULL,
    -- NULL: an entry of the catalog.
    collection  uuid,
    op          text NOT NULL,
    reason      text NOT NULL,
    attempts    int NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved', 'discarded')),
    resolved_at timestamptz,
    -- What closed it: rebuilt, applied, deleted, difference-accepted.
    how         text,
    PRIMARY KEY (node, seq)
);
CREATE INDEX dead_letters_open ON dead_letters (seq) WHERE state = 'open';
CREATE INDEX dead_letters_order ON dead_letters (seq, node);

-- Collections that must not be served from a node until they are copied to it anew, whatever restarts.
CREATE TABLE quarantined_collections (
    node       text NOT NULL,
    collection uuid NOT NULL,
    reason     text NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node, collection)
);
