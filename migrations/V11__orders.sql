-- What operators ordered about nodes; it holds until they order otherwise, whatever restarts.
CREATE TABLE node_orders (
    node      text PRIMARY KEY,
    -- Under this order the node is left alone. A node that is drained again gets another one, so that what a
    -- balancer has said of an earlier one does not count.
    drain     uuid,
    -- It acts whenever it is up to date.
    preferred boolean NOT NULL DEFAULT false,
    since     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX node_orders_preferred ON node_orders (preferred) WHERE preferred;

-- Drains that the balancer has carried out: it has nothing under way at those nodes any more.
ALTER TABLE wal_balancers ADD COLUMN drained uuid[] NOT NULL DEFAULT '{}';
