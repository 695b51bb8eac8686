-- What a change would do to live customers, moves from one version to another, uses that were said, and the log's tiles.

-- A preview is made of rows written as the work goes on; it counts only once it is finished. kind move: what moving
-- customers to another version would do.
CREATE TABLE catalog_preview (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    id text COLLATE "C" NOT NULL CHECK (id ~ '^prv_[0-9a-f]{32}$'),
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('catalog', 'move')),
    base bigint NOT NULL CHECK (base >= 0),
    subject_hash text COLLATE "C" NOT NULL CHECK (subject_hash ~ '^[0-9a-f]{64}$'),
    subject json NOT NULL,
    at timestamptz NOT NULL,
    -- Of an instant that was asked for: nothing is done by it.
    what_if boolean NOT NULL,
    seq bigint NOT NULL CHECK (seq >= 0),
    begun_at timestamptz NOT NULL,
    finished_at timestamptz,
    actor text COLLATE "C" NOT NULL CHECK (length(actor) BETWEEN 1 AND 300),
    done bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    total bigint NOT NULL CHECK (total >= 0),
    summary json,
    CHECK ((finished_at IS NULL) = (summary IS NULL)),
    PRIMARY KEY (workspace_id, id)
);

-- Customers to whom exactly the same happens share one group.
CREATE TABLE catalog_preview_group (
    workspace_id text COLLATE "C" NOT NULL,
    preview text COLLATE "C" NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    impact json NOT NULL,
    -- By what it is found: "losing sso", "losing ", " sso".
    marks text[] COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, preview, number),
    FOREIGN KEY (workspace_id, preview) REFERENCES catalog_preview (workspace_id, id) ON DELETE CASCADE
);

CREATE TABLE catalog_preview_customer (
    workspace_id text COLLATE "C" NOT NULL,
    preview text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL CHECK (length(customer) BETWEEN 1 AND 128),
    number integer NOT NULL CHECK (number > 0),
    exceeded json,
    PRIMARY KEY (workspace_id, preview, customer),
    FOREIGN KEY (workspace_id, preview) REFERENCES catalog_preview (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX catalog_preview_customer_by_group
    ON catalog_preview_customer (workspace_id, preview, number, customer);

-- A move of customers from one version of a plan or add-on to another, done in batches; what it did to each.
CREATE TABLE version_move (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    id text COLLATE "C" NOT NULL CHECK (id ~ '^mov_[0-9a-f]{32}$'),
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('plan', 'addon')),
    item text COLLATE "C" NOT NULL CHECK (length(item) BETWEEN 1 AND 128),
    doc json NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('moving', 'moved', 'reversing', 'reversed')),
    at_customer text COLLATE "C" NOT NULL CHECK (length(at_customer) <= 128),
    looked_at bigint NOT NULL DEFAULT 0 CHECK (looked_at >= 0),
    moved bigint NOT NULL DEFAULT 0 CHECK (moved >= 0),
    left_out bigint NOT NULL DEFAULT 0 CHECK (left_out >= 0),
    reversed bigint NOT NULL DEFAULT 0 CHECK (reversed >= 0),
    kept bigint NOT NULL DEFAULT 0 CHECK (kept >= 0),
    -- Customers who lost something by it so far, and how many may: no batch goes beyond that.
    losing bigint NOT NULL DEFAULT 0 CHECK (losing >= 0),
    max_losing bigint NOT NULL CHECK (max_losing >= 0),
    actor text COLLATE "C" NOT NULL CHECK (length(actor) BETWEEN 1 AND 300),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
-- Two moves of one item never run at the same time: each would have to know what the other is about to do.
CREATE UNIQUE INDEX version_move_unfinished ON version_move (workspace_id, kind, item)
    WHERE state IN ('moving', 'reversing');

CREATE TABLE version_move_customer (
    workspace_id text COLLATE "C" NOT NULL,
    move text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    subscription text COLLATE "C" NOT NULL CHECK (length(subscription) <= 255),
    state text COLLATE "C" NOT NULL CHECK (state IN ('moved', 'left_out', 'reversed', 'kept')),
    effective_at timestamptz,
    words text NOT NULL CHECK (length(words) <= 2000),
    PRIMARY KEY (workspace_id, move, customer, subscription),
    FOREIGN KEY (workspace_id, move) REFERENCES version_move (workspace_id, id),
    FOREIGN KEY (workspace_id, customer) REFERENCES customer (workspace_id, id)
);

-- What callers last said is used of a limit that nothing counts: what a smaller limit would be exceeded by.
CREATE TABLE said_use (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    customer text COLLATE "C" NOT NULL CHECK (length(customer) BETWEEN 1 AND 128),
    feature text COLLATE "C" NOT NULL CHECK (length(feature) BETWEEN 1 AND 128),
    used bigint NOT NULL CHECK (used >= 0),
    said_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, customer, feature)
);

-- Checks on record are asked again in the order of their time, page by page, also where many share one instant.
DROP INDEX check_record_by_time;
CREATE INDEX check_record_by_time ON check_record (workspace_id, asked_at, id);

-- When personal values were erased; null where they never were.
ALTER TABLE customer ADD COLUMN erased_at timestamptz;
ALTER TABLE customer_user ADD COLUMN erased_at timestamptz;
ALTER TABLE delivery ADD COLUMN erased_at timestamptz;

-- Tiles of the log's Merkle tree: 256 hashes of one level each; above the leaves the last tile of a level grows.
-- Derived from the entries, and rebuilt from them.
CREATE TABLE log_tile (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    place bigint NOT NULL CHECK (place >= 0),
    hashes bytea NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
    PRIMARY KEY (workspace_id, level, place),
    CHECK (level > 0 OR length(hashes) = 8192)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'catalog_preview', 'catalog_preview_group', 'catalog_preview_customer', 'version_move', 'version_move_customer',
        'said_use', 'log_tile'
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
