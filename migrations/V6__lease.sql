-- Which balancer took the lease last, for how long it holds without a check, and how it ended.
ALTER TABLE wal_lease
    ADD COLUMN instance uuid,
    ADD COLUMN lease_ms bigint NOT NULL DEFAULT 10000,
    -- The last holder let go by itself: it applies nothing any more.
    ADD COLUMN released boolean NOT NULL DEFAULT true,
    -- It did so with nothing under way or in doubt on any node.
    ADD COLUMN quiet    boolean NOT NULL DEFAULT false,
    -- By what balancers on this log know each other.
    ADD COLUMN peer_key text NOT NULL DEFAULT replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');

-- Balancers that are alive.
CREATE TABLE wal_balancers (
    instance uuid PRIMARY KEY,
    address  text,
    seen_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
