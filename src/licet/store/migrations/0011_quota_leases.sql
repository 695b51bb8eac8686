-- Quota leases: which slice of a customer's feature which evaluator owns. What a lease draws, and what is held of it, is
-- the reservation whose fact has the id that is made of the lease's; its row never ends by itself. Times are real, but
-- for that of the fact.
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
    -- The reservation, and so the fact; and when (business time) that is effective: of which periods it drew.
    reservation bytea NOT NULL CHECK (length(reservation) = 16),
    effective_at timestamptz NOT NULL,
    -- When its owner had the last word.
    ended_at timestamptz CHECK ((ended_at IS NOT NULL) = (state IN ('settled', 'proven'))),
    doc json NOT NULL,
    PRIMARY KEY (workspace_id, id)
) WITH (fillfactor = 70);
CREATE INDEX quota_lease_by_customer ON quota_lease (workspace_id, customer, id);
CREATE INDEX quota_lease_open ON quota_lease (workspace_id, customer, feature) WHERE state = 'open';
CREATE INDEX quota_lease_recalled ON quota_lease (workspace_id, owner) WHERE recalled AND state = 'open';
CREATE INDEX quota_lease_ends ON quota_lease (workspace_id, epoch, until) WHERE state = 'open';
CREATE INDEX quota_lease_held ON quota_lease (workspace_id, customer, effective_at) WHERE held AND state <> 'open';
CREATE INDEX quota_lease_over ON quota_lease (workspace_id, ended_at) WHERE NOT held;

ALTER TABLE quota_lease ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_lease FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON quota_lease
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
