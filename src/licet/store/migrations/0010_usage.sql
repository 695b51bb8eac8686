-- Usage and balances. Facts are written in batches, one statement each, and never changed; everything else about them
-- is a cache, an index or a roll-up that can be made again from them.

-- The newest serial of a workspace. The statement that writes facts takes them from here and so holds this row until
-- its commit: serials have no gaps and grow in the order of commits. A row is written over in its own page.
CREATE TABLE usage_tip (
    workspace_id text COLLATE "C" PRIMARY KEY REFERENCES workspace,
    serial bigint NOT NULL CHECK (serial >= 0),
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10);

-- How far facts are sealed, and how far the keys of facts have been forgotten. Another row than the tip's, so that
-- sealing keeps nobody from posting. Of facts that were dropped with their months: the last serial, and the newest
-- instant at which one was effective.
CREATE TABLE usage_seal (
    workspace_id text COLLATE "C" PRIMARY KEY REFERENCES workspace,
    sealed bigint NOT NULL DEFAULT 0 CHECK (sealed >= 0),
    number bigint NOT NULL DEFAULT 0 CHECK (number >= 0),
    root bytea CHECK (length(root) = 32),
    forgotten bigint NOT NULL DEFAULT 0 CHECK (forgotten >= 0),
    dropped bigint,
    dropped_until timestamptz
);

-- Divided by real time, which no command moves: a month is dropped as a whole once it is sealed and old enough. There
-- is no partition for everything else, because a row in it would keep its month from being made: a missing month is
-- made by whoever meets it, and the posting repeated.
CREATE TABLE usage_fact (
    workspace_id text COLLATE "C" NOT NULL,
    serial bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    wall_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    id bytea NOT NULL,
    kind text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    doc json NOT NULL,
    source json NOT NULL,
    PRIMARY KEY (workspace_id, serial, wall_at)
) PARTITION BY RANGE (wall_at);
CREATE INDEX usage_fact_by_customer ON usage_fact (workspace_id, customer, effective_at, id);

-- By what a repetition is known. Not divided, so that it is unique; its time is that of the fact with its serial.
CREATE TABLE usage_key (
    workspace_id text COLLATE "C" NOT NULL,
    id bytea NOT NULL CHECK (length(id) = 16),
    body_hash bytea NOT NULL CHECK (length(body_hash) = 16),
    serial bigint NOT NULL,
    answer bytea NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

CREATE TABLE usage_refusal (
    workspace_id text COLLATE "C" NOT NULL,
    id bytea NOT NULL CHECK (length(id) = 16),
    customer text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    quantity bigint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    refused_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX usage_refusal_by_time ON usage_refusal (workspace_id, refused_at, id);
CREATE INDEX usage_refusal_by_customer ON usage_refusal (workspace_id, customer, refused_at, id);

-- What balances come to: caches of the fold. Nothing that changes is indexed, and pages keep room for new versions.
CREATE TABLE balance (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    state bytea NOT NULL DEFAULT '',
    used bigint NOT NULL DEFAULT 0,
    granted bigint NOT NULL DEFAULT 0,
    remaining bigint NOT NULL DEFAULT 0,
    as_of timestamptz,
    serial bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, customer, feature, holder)
) WITH (fillfactor = 50);

-- A checkpoint holds every fact effective by `as_of`, and no other: a late fact deletes those that it belongs into.
-- Each balance whose facts were dropped has one that holds all of those: from there it can still be folded.
CREATE TABLE balance_checkpoint (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    as_of timestamptz NOT NULL,
    state bytea NOT NULL,
    used bigint NOT NULL,
    granted bigint NOT NULL,
    remaining bigint NOT NULL,
    serial bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, customer, feature, holder, as_of)
);
CREATE INDEX balance_checkpoint_by_time ON balance_checkpoint (workspace_id, as_of);

CREATE TABLE reservation (
    workspace_id text COLLATE "C" NOT NULL,
    id bytea NOT NULL CHECK (length(id) = 16),
    customer text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    closed boolean NOT NULL,
    doc json NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX reservation_open ON reservation (workspace_id, customer, until) WHERE NOT closed;
CREATE INDEX reservation_closed ON reservation (workspace_id, until) WHERE closed;

-- What commands put on balances, or said about them. Append-only, with the sequence of the event that says so.
CREATE TABLE funding (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    customer text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 64),
    seq bigint NOT NULL CHECK (seq > 0),
    feature text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    doc json NOT NULL,
    PRIMARY KEY (workspace_id, customer, id),
    FOREIGN KEY (workspace_id, customer) REFERENCES customer (workspace_id, id)
);
CREATE INDEX funding_by_customer ON funding (workspace_id, customer, seq);
CREATE INDEX funding_by_seq ON funding (workspace_id, seq);

CREATE TABLE usage_segment (
    workspace_id text COLLATE "C" NOT NULL REFERENCES workspace,
    number bigint NOT NULL CHECK (number > 0),
    first bigint NOT NULL CHECK (first > 0),
    count bigint NOT NULL CHECK (count > 0),
    root bytea NOT NULL CHECK (length(root) = 32),
    previous bytea NOT NULL CHECK (length(previous) = 32),
    sealed_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, number)
);

-- Sealed usage, summed up by effective time in UTC; kept for ever. `split` is the hash of the dimensions.
CREATE TABLE usage_hour (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    split bytea NOT NULL CHECK (length(split) = 16),
    dimensions json NOT NULL,
    events bigint NOT NULL,
    quantity numeric NOT NULL,
    highest bigint,
    latest bigint,
    latest_at timestamptz,
    latest_id bytea,
    PRIMARY KEY (workspace_id, customer, meter, hour, split)
);
CREATE TABLE usage_day (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    day timestamptz NOT NULL,
    split bytea NOT NULL CHECK (length(split) = 16),
    dimensions json NOT NULL,
    events bigint NOT NULL,
    quantity numeric NOT NULL,
    highest bigint,
    latest bigint,
    latest_at timestamptz,
    latest_id bytea,
    PRIMARY KEY (workspace_id, customer, meter, day, split)
);

-- The values that unique meters counted, hashed, by hour: the first and the last time within it.
CREATE TABLE usage_value (
    workspace_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    meter text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    value bytea NOT NULL CHECK (length(value) = 16),
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, customer, meter, hour, value)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON usage_fact FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON usage_fact FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON funding FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON funding FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON usage_segment FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON usage_segment FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    found text;
BEGIN
    FOREACH found IN ARRAY ARRAY[
        'usage_tip', 'usage_seal', 'usage_fact', 'usage_key', 'usage_refusal', 'balance', 'balance_checkpoint',
        'reservation', 'funding', 'usage_segment', 'usage_hour', 'usage_day', 'usage_value'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', found);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', found);
        EXECUTE format(
            'CREATE POLICY own_workspace ON %I '
            'USING (workspace_id = nullif(current_setting(''licet.workspace'', true), ''''))', found
        );
    END LOOP;
END
$$;

-- Who runs the server owns no table, so months are made and dropped by these two, as the schema's owner. They take a
-- date and nothing else; every name is made of it here. Roles have no right to a partition itself.
CREATE FUNCTION make_usage_month(given date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    name text := format('usage_fact_%s', to_char(given, 'YYYYMM'));
BEGIN
    IF given IS NULL OR given <> date_trunc('month', given)::date OR given < '2020-01-01' OR given >= '2200-01-01' THEN
        RAISE EXCEPTION 'a month of usage is the first day of a month of 2020 to 2199, not %', given
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('licet/usage months', 0));
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Attaching keeps nobody from reading or writing, which making it as a partition at once would.
    EXECUTE format('CREATE TABLE public.%I (LIKE public.usage_fact INCLUDING DEFAULTS)', name);
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
        'CREATE POLICY own_workspace ON public.%I '
        'USING (workspace_id = nullif(current_setting(''licet.workspace'', true), ''''))', name
    );
    EXECUTE format(
        'ALTER TABLE public.usage_fact ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name,
        given::timestamp AT TIME ZONE 'UTC', (given + interval '1 month')::timestamp AT TIME ZONE 'UTC'
    );
    EXECUTE format(
        'CREATE TRIGGER never_truncated BEFORE TRUNCATE ON public.%I FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()',
        name
    );
    RETURN name;
END
$$;
REVOKE ALL ON FUNCTION make_usage_month(date) FROM PUBLIC;

-- Drops a month if it ended 35 days ago at least, all of its facts are sealed and their keys forgotten; NULL if not.
-- It looks at each workspace in turn, so it must not be called inside a transaction that works for one.
CREATE FUNCTION drop_usage_month(given date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    name text := format('usage_fact_%s', to_char(given, 'YYYYMM'));
    found text;
    kept boolean;
    last bigint;
    until timestamptz;
BEGIN
    IF given IS NULL OR given <> date_trunc('month', given)::date
        OR (given + interval '1 month 35 days')::timestamp AT TIME ZONE 'UTC' > now()
    THEN
        RAISE EXCEPTION 'a month of usage can be dropped 35 days after its end; % is not such a month''s first day', given
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('licet/usage months', 0));
    IF to_regclass('public.' || name) IS NULL THEN
        RETURN NULL;
    END IF;
    FOR found IN SELECT i.workspace_id FROM public.workspace_index i ORDER BY i.workspace_id LOOP
        PERFORM set_config('licet.workspace', found, true);
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM public.%I f WHERE f.workspace_id = $1 AND f.serial > coalesce('
            '(SELECT least(s.sealed, s.forgotten) FROM public.usage_seal s WHERE s.workspace_id = $1), 0))', name
        ) INTO kept USING found;
        EXIT WHEN kept;
    END LOOP;
    IF kept THEN
        PERFORM set_config('licet.workspace', '', true);
        RETURN NULL;
    END IF;
    FOR found IN SELECT i.workspace_id FROM public.workspace_index i ORDER BY i.workspace_id LOOP
        PERFORM set_config('licet.workspace', found, true);
        EXECUTE format(
            'SELECT max(f.serial), max(f.effective_at) FROM public.%I f WHERE f.workspace_id = $1', name
        ) INTO last, until USING found;
        CONTINUE WHEN last IS NULL;
        UPDATE public.usage_seal s
        SET dropped = greatest(s.dropped, last), dropped_until = greatest(s.dropped_until, until)
        WHERE s.workspace_id = found RETURNING s.dropped, s.dropped_until INTO last, until;
        PERFORM FROM public.balance b WHERE b.workspace_id = found AND NOT EXISTS (
            SELECT FROM public.balance_checkpoint c
            WHERE c.workspace_id = found AND c.customer = b.customer AND c.feature = b.feature AND c.holder = b.holder
                AND (c.as_of >= until OR c.serial > last)
        ) FOR NO KEY UPDATE OF b;
        INSERT INTO public.balance_checkpoint
            (workspace_id, customer, feature, holder, state, used, granted, remaining, as_of, serial, recorded_at)
        SELECT found, b.customer, b.feature, b.holder, b.state, b.used, b.granted, b.remaining, b.as_of,
            greatest(t.serial, last + 1), t.recorded_at
        FROM public.balance b JOIN public.usage_tip t USING (workspace_id)
        WHERE b.workspace_id = found AND b.as_of IS NOT NULL AND NOT EXISTS (
            SELECT FROM public.balance_checkpoint c
            WHERE c.workspace_id = found AND c.customer = b.customer AND c.feature = b.feature AND c.holder = b.holder
                AND (c.as_of >= until OR c.serial > last)
        )
        ON CONFLICT (workspace_id, customer, feature, holder, as_of) DO UPDATE
        SET state = excluded.state, serial = excluded.serial, recorded_at = excluded.recorded_at;
    END LOOP;
    PERFORM set_config('licet.workspace', '', true);
    EXECUTE format('DROP TABLE public.%I', name);
    RETURN name;
END
$$;
REVOKE ALL ON FUNCTION drop_usage_month(date) FROM PUBLIC;

CREATE FUNCTION usage_months() RETURNS TABLE (month date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT to_date(right(c.relname, 6), 'YYYYMM')
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.usage_fact'::regclass ORDER BY 1
$$;
REVOKE ALL ON FUNCTION usage_months() FROM PUBLIC;

SELECT make_usage_month(date_trunc('month', now() AT TIME ZONE 'UTC')::date);
SELECT make_usage_month((date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month')::date);
