-- How often customers and users asked for what, and how it was answered, per hour; single checks where a feature says so.

-- An empty text means: not named. folded says what gave way for want of room: 1 user, 2 customer, 3 feature as well.
CREATE TABLE check_count (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    hour timestamptz NOT NULL,
    customer text COLLATE "C" NOT NULL CHECK (length(customer) <= 128),
    user_id text COLLATE "C" NOT NULL CHECK (length(user_id) <= 128),
    feature text COLLATE "C" NOT NULL CHECK (length(feature) <= 128),
    reason text COLLATE "C" NOT NULL CHECK (length(reason) BETWEEN 1 AND 64),
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('allowed', 'denied', 'would_deny')),
    mode text COLLATE "C" NOT NULL CHECK (mode IN ('enforce', 'observe', 'off', '')),
    folded smallint NOT NULL CHECK (folded BETWEEN 0 AND 3),
    checks bigint NOT NULL CHECK (checks > 0),
    PRIMARY KEY (workspace_id, hour, customer, user_id, feature, reason, outcome, mode, folded)
);
CREATE INDEX check_count_by_customer ON check_count (workspace_id, customer, hour);

-- Ids sort by the time at which they were made.
CREATE TABLE check_record (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    id text COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    asked_at timestamptz NOT NULL,
    customer text COLLATE "C" NOT NULL CHECK (length(customer) BETWEEN 1 AND 128),
    user_id text COLLATE "C" CHECK (length(user_id) BETWEEN 1 AND 128),
    feature text COLLATE "C" NOT NULL CHECK (length(feature) BETWEEN 1 AND 128),
    reason text COLLATE "C" NOT NULL CHECK (length(reason) BETWEEN 1 AND 64),
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('allowed', 'denied', 'would_deny')),
    mode text COLLATE "C" CHECK (mode IN ('enforce', 'observe', 'off')),
    basis text COLLATE "C" NOT NULL CHECK (length(basis) <= 64),
    question json NOT NULL,
    left_out text[] NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX check_record_by_time ON check_record (workspace_id, asked_at);
CREATE INDEX check_record_by_customer ON check_record (workspace_id, customer, id);

-- How far each process that counts has come: what it repeats after a lost connection is not added twice.
CREATE TABLE check_flush (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    counter text COLLATE "C" NOT NULL CHECK (length(counter) BETWEEN 1 AND 128),
    number bigint NOT NULL CHECK (number > 0),
    lost_checks bigint NOT NULL CHECK (lost_checks >= 0),
    lost_records bigint NOT NULL CHECK (lost_records >= 0),
    flushed_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, counter)
);

ALTER TABLE check_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE check_count FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON check_count
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
ALTER TABLE check_record ENABLE ROW LEVEL SECURITY;
ALTER TABLE check_record FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON check_record
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
ALTER TABLE check_flush ENABLE ROW LEVEL SECURITY;
ALTER TABLE check_flush FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON check_flush
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));
