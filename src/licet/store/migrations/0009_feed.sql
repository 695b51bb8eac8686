-- The feed: which keys may sign it.

-- Signed keysets, newest last; the root that signs them is not in the database. Append-only: a version never goes back.
CREATE TABLE keyset (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    version bigint NOT NULL CHECK (version > 0),
    root text COLLATE "C" NOT NULL CHECK (root LIKE 'k4.public.%' AND length(root) <= 100),
    token text COLLATE "C" NOT NULL CHECK (length(token) <= 262144),
    issued_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, version)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON keyset FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON keyset FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE keyset ENABLE ROW LEVEL SECURITY;
ALTER TABLE keyset FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON keyset
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
