-- What comes from outside and who may come in: sources with sealed secrets, their inbox, findings, API keys, answers kept.

CREATE TABLE source (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    id text COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('stripe', 'generic')),
    settings json NOT NULL,
    disabled boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

-- Secrets, each sealed under a data key of its own, that one wrapped by the master key outside the database.
-- purpose says whose it is (source/stripe, log/checkpoint); slot 0 is the newest.
CREATE TABLE secret (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    purpose text COLLATE "C" NOT NULL CHECK (length(purpose) BETWEEN 1 AND 300),
    slot smallint NOT NULL CHECK (slot >= 0),
    envelope bytea NOT NULL CHECK (length(envelope) BETWEEN 64 AND 65536),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, purpose, slot)
);

CREATE TABLE delivery (
    workspace_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 255),
    type text COLLATE "C" NOT NULL CHECK (length(type) BETWEEN 1 AND 255),
    fingerprint text COLLATE "C" NOT NULL CHECK (length(fingerprint) BETWEEN 1 AND 128),
    created timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    body bytea NOT NULL CHECK (length(body) <= 2097152),
    outcome text COLLATE "C" NOT NULL
        CHECK (outcome IN ('received', 'applied', 'stale', 'duplicate', 'ignored', 'finding', 'failed', 'waiting')),
    words text NOT NULL CHECK (length(words) <= 4000),
    awaits text COLLATE "C" CHECK (length(awaits) BETWEEN 1 AND 300),
    CHECK ((outcome = 'waiting') = (awaits IS NOT NULL)),
    PRIMARY KEY (workspace_id, source, id),
    FOREIGN KEY (workspace_id, source) REFERENCES source (workspace_id, id)
);
CREATE INDEX delivery_by_time ON delivery (workspace_id, source, received_at, id);
CREATE INDEX delivery_waiting ON delivery (workspace_id, source, awaits, created, id) WHERE outcome = 'waiting';

CREATE TABLE finding (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    id text COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    kind text COLLATE "C" NOT NULL CHECK (length(kind) BETWEEN 1 AND 128),
    severity text COLLATE "C" NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    subject text COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 400),
    words text NOT NULL CHECK (length(words) <= 4000),
    evidence json NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'resolved', 'dismissed')),
    seen bigint NOT NULL CHECK (seen > 0),
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX finding_open ON finding (workspace_id, kind, subject) WHERE state = 'open';
CREATE INDEX finding_by_state ON finding (workspace_id, state, id);

-- Outside row-level security, readable under the narrow role only: whose a key is. The one globally unique key.
CREATE TABLE key_index (
    id text COLLATE "C" PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace_index
);

CREATE TABLE api_key (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    id text COLLATE "C" NOT NULL REFERENCES key_index,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('server', 'site', 'install')),
    name text NOT NULL CHECK (length(name) <= 200),
    scopes text[] NOT NULL,
    customer text COLLATE "C" CHECK (length(customer) BETWEEN 1 AND 128),
    secret_hash bytea NOT NULL CHECK (length(secret_hash) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (workspace_id, id)
);

-- Answers kept under idempotency keys, at least 35 days.
CREATE TABLE idempotency (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    route text COLLATE "C" NOT NULL CHECK (length(route) BETWEEN 1 AND 300),
    key text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    body_hash bytea NOT NULL CHECK (length(body_hash) = 32),
    status integer NOT NULL CHECK (status BETWEEN 100 AND 599),
    body bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, route, key)
);
CREATE INDEX idempotency_by_time ON idempotency (workspace_id, created_at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['source', 'secret', 'delivery', 'finding', 'api_key', 'idempotency'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY own_workspace ON %I '
            'USING (workspace_id = nullif(current_setting(''licet.workspace'', true), ''''))',
            name
        );
    END LOOP;
END
$$;

CREATE FUNCTION key_by_id(wanted text) RETURNS SETOF api_key LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config(
        'licet.workspace', coalesce((SELECT i.workspace_id FROM key_index i WHERE i.id = wanted), ''), true
    );
    RETURN QUERY
        SELECT k.* FROM api_key k
        WHERE k.workspace_id = nullif(current_setting('licet.workspace', true), '') AND k.id = wanted;
END
$$;
REVOKE ALL ON FUNCTION key_by_id(text) FROM PUBLIC;
