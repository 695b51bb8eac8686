-- Workspaces, the index by which they and API keys are found, and the one ordered log of each workspace.
-- Everywhere: workspace_id leads every key, text keys compare by bytes (COLLATE "C"), instants are timestamptz in UTC.

-- Outside row-level security, readable under the narrow role only: which workspaces there are.
CREATE TABLE workspace_index (
    workspace_id text COLLATE "C" PRIMARY KEY CHECK (workspace_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);

CREATE TABLE workspace (
    workspace_id text COLLATE "C" PRIMARY KEY REFERENCES workspace_index,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('live', 'test')),
    zone text COLLATE "C" NOT NULL CHECK (length(zone) BETWEEN 1 AND 64),
    clock_offset bigint NOT NULL DEFAULT 0,
    clock_frozen_at timestamptz,
    epoch integer NOT NULL DEFAULT 1 CHECK (epoch > 0),
    created_at timestamptz NOT NULL,
    CHECK (kind = 'test' OR (clock_offset = 0 AND clock_frozen_at IS NULL))
);

-- The end of the log. Whoever writes events locks this row last, so that sequence order is commit order.
CREATE TABLE log_tip (
    workspace_id text COLLATE "C" PRIMARY KEY REFERENCES workspace,
    seq bigint NOT NULL CHECK (seq >= 0),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    recorded_at timestamptz NOT NULL
);

CREATE TABLE event (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    seq bigint NOT NULL CHECK (seq > 0),
    id text COLLATE "C" NOT NULL CHECK (id ~ '^evt_[0-9a-f]{32}$'),
    type text COLLATE "C" NOT NULL CHECK (length(type) BETWEEN 1 AND 128),
    recorded_at timestamptz NOT NULL,
    wall_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    actor text COLLATE "C" NOT NULL CHECK (length(actor) BETWEEN 1 AND 300),
    note text COLLATE "C" NOT NULL CHECK (length(note) <= 2000),
    cause text COLLATE "C" CHECK (length(cause) BETWEEN 1 AND 300),
    subject text COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 400),
    revision bigint CHECK (revision > 0),
    before json,
    after json,
    schema integer NOT NULL CHECK (schema > 0),
    prev bytea NOT NULL CHECK (length(prev) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (workspace_id, seq),
    UNIQUE (workspace_id, id)
);
CREATE INDEX event_by_subject ON event (workspace_id, subject, seq);
CREATE INDEX event_by_type ON event (workspace_id, type, seq);

-- Personal values and the salts of their commitments. Deleting a row erases the value; the log stays whole.
CREATE TABLE event_private (
    workspace_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL CHECK (length(field) BETWEEN 1 AND 128),
    salt bytea NOT NULL CHECK (length(salt) = 32),
    value text NOT NULL CHECK (length(value) <= 10000),
    PRIMARY KEY (workspace_id, event_id, field),
    FOREIGN KEY (workspace_id, event_id) REFERENCES event (workspace_id, id)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_edited BEFORE UPDATE ON event_private FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE workspace ENABLE ROW LEVEL SECURITY;
ALTER TABLE workspace FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON workspace
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
ALTER TABLE log_tip ENABLE ROW LEVEL SECURITY;
ALTER TABLE log_tip FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON log_tip
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
ALTER TABLE event ENABLE ROW LEVEL SECURITY;
ALTER TABLE event FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON event
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
ALTER TABLE event_private ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_private FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON event_private
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));

-- The two look-ups across workspaces, for the narrow role. Each sets the workspace for its own transaction only, so
-- they must not be called inside a transaction that works for a workspace.
CREATE FUNCTION all_workspaces() RETURNS TABLE (
    id text, kind text, zone text, clock_offset bigint, clock_frozen_at timestamptz, epoch integer, seq bigint
) LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    FOR found IN SELECT i.workspace_id FROM workspace_index i ORDER BY i.workspace_id LOOP
        PERFORM set_config('licet.workspace', found, true);
        RETURN QUERY
            SELECT w.workspace_id, w.kind, w.zone, w.clock_offset, w.clock_frozen_at, w.epoch, t.seq
            FROM workspace w JOIN log_tip t USING (workspace_id)
            WHERE w.workspace_id = found;
    END LOOP;
    PERFORM set_config('licet.workspace', '', true);
END
$$;
REVOKE ALL ON FUNCTION all_workspaces() FROM PUBLIC;
