-- What is sold, to whom, and on which terms. catalog, terms and user_revision are append-only.

CREATE TABLE catalog (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    revision bigint NOT NULL CHECK (revision > 0),
    seq bigint NOT NULL CHECK (seq > 0),
    released_at timestamptz NOT NULL,
    actor text COLLATE "C" NOT NULL CHECK (length(actor) BETWEEN 1 AND 300),
    note text COLLATE "C" NOT NULL CHECK (length(note) <= 2000),
    hash text COLLATE "C" NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
    doc json NOT NULL,
    PRIMARY KEY (workspace_id, revision)
);

CREATE TABLE customer (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    id text COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    revision bigint NOT NULL CHECK (revision > 0),
    name text CHECK (length(name) <= 1000),
    email text CHECK (length(email) <= 1000),
    profile json NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

-- How foreign systems call a customer: each name belongs to at most one.
CREATE TABLE customer_external (
    workspace_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL CHECK (length(source) BETWEEN 1 AND 128),
    external_id text COLLATE "C" NOT NULL CHECK (length(external_id) BETWEEN 1 AND 255),
    customer text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, source, external_id),
    UNIQUE (workspace_id, customer, source),
    FOREIGN KEY (workspace_id, customer) REFERENCES customer (workspace_id, id)
);

-- Whose a foreign subscription is, so that an order finds its customer.
CREATE TABLE subscription_index (
    workspace_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL CHECK (length(source) BETWEEN 1 AND 128),
    external_id text COLLATE "C" NOT NULL CHECK (length(external_id) BETWEEN 1 AND 255),
    customer text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, source, external_id),
    FOREIGN KEY (workspace_id, customer) REFERENCES customer (workspace_id, id)
);
CREATE INDEX subscription_by_customer ON subscription_index (workspace_id, customer);

CREATE TABLE team (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    revision bigint NOT NULL CHECK (revision > 0),
    title text NOT NULL CHECK (length(title) <= 1000),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, customer, id),
    FOREIGN KEY (workspace_id, customer) REFERENCES customer (workspace_id, id)
);

CREATE TABLE customer_user (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    revision bigint NOT NULL CHECK (revision > 0),
    name text CHECK (length(name) <= 1000),
    email text CHECK (length(email) <= 1000),
    roles text[] NOT NULL,
    attributes json NOT NULL,
    teams text[] NOT NULL,
    active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, customer, id),
    FOREIGN KEY (workspace_id, customer) REFERENCES customer (workspace_id, id)
);

-- A user's rights in the past; nothing personal, which stands in event_private alone.
CREATE TABLE user_revision (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    seq bigint NOT NULL CHECK (seq > 0),
    recorded_at timestamptz NOT NULL,
    roles text[] NOT NULL,
    attributes json NOT NULL,
    teams text[] NOT NULL,
    active boolean NOT NULL,
    PRIMARY KEY (workspace_id, customer, id, revision),
    FOREIGN KEY (workspace_id, customer, id) REFERENCES customer_user (workspace_id, customer, id)
);

CREATE TABLE terms (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    seq bigint NOT NULL CHECK (seq > 0),
    recorded_at timestamptz NOT NULL,
    doc json NOT NULL,
    PRIMARY KEY (workspace_id, customer, revision),
    FOREIGN KEY (workspace_id, customer) REFERENCES customer (workspace_id, id)
);
CREATE INDEX terms_by_seq ON terms (workspace_id, seq);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON catalog FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON catalog FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON user_revision FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON user_revision FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON terms FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON terms FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'catalog', 'customer', 'customer_external', 'subscription_index', 'team', 'customer_user', 'user_revision', 'terms'
    ] LOOP
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
