-- Quota leases: which slice of a customer's feature which evaluator owns. What a lease draws, and what is held of it, is
-- the reservation whose fact has the id that is made of the lease's. A row that is settled is kept as long as its owner
-- may still repeat its last word, and an escheated one until that comes.
CREATE TABLE quota_lease (
    workspace_id text COLLATE "C" NOT NULL,
    id bytea NOT NULL CHECK (length(id) = 16),
    customer text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    owner bytea NOT NULL CHECK (length(owner) = 16),
    epoch bigint NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'settled', 'escheated', 'proven')),
    until timestamptz NOT NULL,
    recalled boolean NOT NULL,
    -- Whether anything of it stays drawn that is not known as used: it is open or escheated, or a part is lost.
    held boolean NOT NULL,
    doc json NOT NULL,
    PRIMARY KEY (workspace_id, id)
) WITH (fillfactor = 70);
CREATE INDEX quota_lease_open ON quota_lease (workspace_id, customer, feature) WHERE state = 'open';
CREATE INDEX quota_lease_recalled ON quota_lease (workspace_id, owner) WHERE recalled AND state = 'open';
CREATE INDEX quota_lease_ends ON quota_lease (workspace_id, until) WHERE state = 'open';
CREATE INDEX quota_lease_held ON quota_lease (workspace_id, customer, id) WHERE held;
CREATE INDEX quota_lease_over ON quota_lease (workspace_id, until) WHERE NOT held;

ALTER TABLE quota_lease ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_lease FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON quota_lease
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
