-- Maintains the month partitions (docs/maintenance.md).
--
-- Each step takes ACCESS EXCLUSIVE on the kind's table, though ATTACH needs less: other statements
-- lock that table before they look up partitions and take a snapshot, so they see all of a step or
-- nothing. Otherwise a reader could miss records being moved, and a write could violate the default
-- partition's new constraint (23514).
--
-- ATTACH and DETACH also lock the default partition ACCESS EXCLUSIVE: its constraint changes, and
-- ATTACH scans it. For the same reason DETACH CONCURRENTLY is unavailable.

CREATE OR REPLACE FUNCTION month_partitions_of(audit_table regclass)
RETURNS TABLE (month_partition regclass, begins_at timestamptz, ends_at timestamptz)
LANGUAGE sql STABLE
-- The parsed bounds must include their UTC offset.
SET DateStyle = 'ISO'
AS $$
    SELECT oid::regclass,
        coalesce(substring(bounds FROM 'FROM [(]''([^'']+)''[)]')::timestamptz, '-infinity'),
        coalesce(substring(bounds FROM 'TO [(]''([^'']+)''[)]')::timestamptz, 'infinity')
    FROM pg_inherits
    JOIN pg_class ON oid = inhrelid, pg_get_expr(relpartbound, oid) AS bounds
    WHERE inhparent = audit_table AND bounds <> 'DEFAULT'
$$;
COMMENT ON FUNCTION month_partitions_of(regclass) IS
    'Partitions of an audit table with their bounds, without the default partition.';

CREATE OR REPLACE FUNCTION default_partition_of(audit_table regclass) RETURNS regclass
LANGUAGE sql STABLE
AS $$
    SELECT partdefid::regclass FROM pg_partitioned_table
    WHERE partrelid = audit_table AND partdefid <> 0
$$;
COMMENT ON FUNCTION default_partition_of(regclass) IS
    'The default partition of an audit table; null if there is none.';

CREATE OR REPLACE FUNCTION plan_audit_maintenance(
    audit_table regclass, this_month date, months_ahead integer, retention_months integer)
RETURNS TABLE (missing_month date, ended_partition regclass)
LANGUAGE plpgsql
AS $$
DECLARE
    -- Limits the partitions that records with wrong clocks create.
    months_back_max CONSTANT integer := 60;
    months_back     integer := least(retention_months, months_back_max);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT month::date, NULL::regclass
         FROM generate_series($1, $2, ''1 month'') AS month,
             timezone(''UTC'', month) AS month_begin,
             timezone(''UTC'', month + interval ''1 month'') AS month_end
         WHERE NOT EXISTS (
                 SELECT FROM month_partitions_of($3)
                 WHERE begins_at < month_end AND ends_at > month_begin)
             AND (month >= $4 OR EXISTS (
                 SELECT FROM ONLY %s
                 WHERE created_at >= month_begin AND created_at < month_end))
         ORDER BY month < $4, month',
        coalesce(default_partition_of(audit_table), audit_table))
    USING this_month - make_interval(months => months_back),
        this_month + make_interval(months => months_ahead), audit_table, this_month::timestamp;

    RETURN QUERY
    SELECT NULL::date, month_partition FROM month_partitions_of(audit_table)
    WHERE ends_at <= timezone('UTC', this_month - make_interval(months => retention_months))
    ORDER BY ends_at;
END
$$;
COMMENT ON FUNCTION plan_audit_maintenance(regclass, date, integer, integer) IS
    'Steps that an audit table needs: months without a partition (from this one to months_ahead, and past ones within retention, at most 60, with records in the default partition), and partitions past retention.';

CREATE OR REPLACE FUNCTION lock_audit_table(audit_table regclass, partitions regclass[]) RETURNS void
LANGUAGE plpgsql
-- Others queue behind this lock. Above deadlock_timeout (1 s), after which autovacuum yields.
SET lock_timeout = '1500ms'
AS $$
DECLARE
    part regclass;
BEGIN
    -- Waits for an autovacuum of a partition before blocking others.
    FOREACH part IN ARRAY partitions LOOP
        EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', part);
    END LOOP;
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', audit_table);
    -- Only direct readers of a partition remain. Waiting for each would add up.
    FOREACH part IN ARRAY partitions LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', part);
    END LOOP;
END
$$;
COMMENT ON FUNCTION lock_audit_table(regclass, regclass[]) IS
    'Locks an audit table and some of its partitions exclusively until the transaction ends; fails with 55P03 after a timeout.';

CREATE OR REPLACE FUNCTION add_month_partition(audit_table regclass, month date) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    month_begin       text     := to_char(month, 'YYYY-MM-DD" 00:00:00+00"');
    month_end         text     := to_char(month + interval '1 month', 'YYYY-MM-DD" 00:00:00+00"');
    default_partition regclass := default_partition_of(audit_table);
    new_partition     text;
    in_month          text     := format('created_at >= %L AND created_at < %L', month_begin, month_end);
    columns           text;
    move_records      text;
    moved             bigint := 0;
    moved_locked      bigint;
BEGIN
    IF EXISTS (
        SELECT FROM month_partitions_of(audit_table)
        WHERE begins_at < month_end::timestamptz AND ends_at > month_begin::timestamptz)
    THEN
        RETURN NULL;
    END IF;
    SELECT format('%I.%I', nspname, relname || to_char(month, '_YYYY_MM')) INTO STRICT new_partition
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid = audit_table;
    IF to_regclass(new_partition) IS NOT NULL THEN
        RAISE WARNING 'left % of % in the default partition: there is a % already, which is no partition of it',
            to_char(month, 'YYYY-MM'), audit_table, new_partition::regclass;
        RETURN NULL;
    END IF;

    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL)', new_partition, audit_table);
    EXECUTE format('ALTER TABLE %s OWNER TO %I', new_partition,
        (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = audit_table));
    -- ATTACH skips its scan if a constraint implies the bounds.
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT until_attached CHECK (%s AND %s)',
        new_partition, pg_get_partition_constraintdef(audit_table), in_month);
    IF default_partition IS NULL THEN
        PERFORM lock_audit_table(audit_table, '{}');
    ELSE
        SELECT string_agg(quote_ident(attname), ', ') INTO STRICT columns FROM pg_attribute
        WHERE attrelid = audit_table AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
        move_records := format(
            'WITH moved AS (DELETE FROM ONLY %s WHERE %s RETURNING %s)
             INSERT INTO %s (%3$s) SELECT %3$s FROM moved',
            default_partition, in_month, columns, new_partition);
        -- Moves most records while writes continue: until the commit others see the old rows, and
        -- only replays of them wait. Then moves newer ones under the table lock.
        EXECUTE move_records;
        GET DIAGNOSTICS moved = ROW_COUNT;
        PERFORM lock_audit_table(audit_table, ARRAY[default_partition]);
        EXECUTE move_records;
        GET DIAGNOSTICS moved_locked = ROW_COUNT;
        moved := moved + moved_locked;
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
        audit_table, new_partition, month_begin, month_end);
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT until_attached', new_partition);
    RETURN format('created %s, records moved out of the default partition: %s',
        new_partition::regclass, moved);
END
$$;
COMMENT ON FUNCTION add_month_partition(regclass, date) IS
    'Creates the partition of a month (its first day, UTC), with that month''s records from the default partition. Returns a description; null if the partition exists.';

CREATE OR REPLACE FUNCTION last_retention_leaf(of_kind text, of_month timestamptz) RETURNS bigint
LANGUAGE sql STABLE
AS $$
    -- Few entries are of no record.
    SELECT max(leaf_index) FROM log_entries
    WHERE record_id IS NULL
      AND entry::json ->> 'kind' = 'retention' AND entry::json ->> 'record_kind' = of_kind
      AND entry::json ->> 'month' = to_char(of_month AT TIME ZONE 'UTC', 'YYYY-MM')
$$;
COMMENT ON FUNCTION last_retention_leaf(text, timestamptz) IS
    'The leaf of the last entry that accounts for a month of a kind; null if there is none.';

CREATE OR REPLACE FUNCTION detach_month_partition(
    audit_table regclass, ended_partition regclass, ended_by timestamptz, policy text)
RETURNS text
LANGUAGE plpgsql
SET lock_timeout = '1500ms'
AS $$
DECLARE
    month       record;
    record_kind text;
    held_by     bigint[];
    last_hold   bigint;
    last_leaf   bigint;
    records     bigint;
    ids_digest  bytea;
BEGIN
    SELECT begins_at, ends_at INTO month
    FROM month_partitions_of(audit_table)
    WHERE month_partition = ended_partition AND ends_at <= ended_by;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT regexp_replace(relname, '_audit$', '') INTO STRICT record_kind
    FROM pg_class WHERE oid = audit_table;
    -- Waits for an autovacuum of the partition before late writes to this month wait. Then its
    -- records stay as they are until the end.
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', ended_partition);
    EXECUTE format('LOCK TABLE %s IN SHARE MODE', ended_partition);
    last_hold := coalesce((SELECT max(id) FROM holds), 0);
    held_by := holds_on(ended_partition, 0);
    IF cardinality(held_by) = 0 THEN
        -- The records that no earlier entry accounts for: a month that was attached again has left
        -- before. In blocks, since a value has at most 1 GB.
        last_leaf := last_retention_leaf(record_kind, month.begins_at);
        EXECUTE format(
            'SELECT coalesce(sum(block.records), 0), sha256(coalesce(string_agg(block.digest, '''' ORDER BY block.number), ''''))
             FROM (
                 SELECT id >> 16 AS number, count(*) AS records, sha256(string_agg(int8send(id), '''' ORDER BY id)) AS digest
                 FROM %s AS record
                 WHERE $1 IS NULL
                     OR NOT EXISTS (SELECT FROM log_entries WHERE record_id = record.id AND leaf_index < $1)
                 GROUP BY id >> 16) AS block',
            ended_partition)
        INTO records, ids_digest USING last_leaf;
        -- No hold is placed from here on.
        LOCK TABLE holds IN SHARE MODE;
        held_by := holds_on(ended_partition, last_hold);
    END IF;
    IF cardinality(held_by) > 0 THEN
        RETURN format('kept %s because of the holds %s', ended_partition, array_to_string(held_by, ', '));
    END IF;
    PERFORM lock_audit_table(
        audit_table, array_remove(ARRAY[default_partition_of(audit_table), ended_partition], NULL));
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', audit_table, ended_partition);
    -- After the entries of all its records: their writes have ended. Canonical JSON (RFC 8785).
    INSERT INTO log_pending (entry) VALUES (format(
        '{"digest":"%s","kind":"retention","month":"%s","policy":%s,"record_kind":"%s",'
        '"recorded_at":"%s","recorded_by":%s,"records":%s,"version":1}',
        encode(ids_digest, 'base64'), to_char(month.begins_at AT TIME ZONE 'UTC', 'YYYY-MM'),
        to_json(policy), record_kind, log_time(clock_timestamp()), to_json(session_user::text), records));
    -- Small later steps remove rows that only this month's records refer to.
    INSERT INTO detached_partitions (partition_name, kind, begins_at, ends_at)
    VALUES (ended_partition::text, record_kind, month.begins_at, month.ends_at);
    EXECUTE format('COMMENT ON TABLE %s IS %L', ended_partition, format(
        'Detached from %s at %s, to be archived and dropped.', audit_table, now()));
    RETURN format('detached %s, records in it: %s', ended_partition, records);
END
$$;
COMMENT ON FUNCTION detach_month_partition(regclass, regclass, timestamptz, text) IS
    'Detaches a partition that ended by ended_by, keeps it as a table, and adds an entry to the log that accounts for its records; or leaves it because of a hold. Returns a description; null if it is already detached.';

CREATE OR REPLACE PROCEDURE maintain_audit_table(
    audit_table regclass, this_month date, months_ahead integer, retention_months integer)
LANGUAGE plpgsql
AS $$
DECLARE
    attempts_max CONSTANT integer := 3;
    ended_by     timestamptz :=
        timezone('UTC', this_month - make_interval(months => retention_months));
    step         record;
    did          text;
    is_locked    boolean;
BEGIN
    FOR step IN
        SELECT * FROM plan_audit_maintenance(
            audit_table, this_month, months_ahead, retention_months)
    LOOP
        FOR attempt IN 1 .. attempts_max LOOP
            -- Ends the previous step and its locks.
            COMMIT;
            -- Serializes steps of concurrent runs.
            PERFORM pg_advisory_xact_lock('audit_records'::regclass::bigint);
            BEGIN
                IF step.ended_partition IS NULL THEN
                    did := add_month_partition(audit_table, step.missing_month);
                ELSE
                    did := detach_month_partition(
                        audit_table, step.ended_partition, ended_by,
                        format('retention_months=%s', retention_months));
                END IF;
                is_locked := false;
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                is_locked := true;
            END;
            COMMIT;
            EXIT WHEN NOT is_locked;
            -- Lets queued statements run.
            PERFORM pg_sleep(0.5);
        END LOOP;
        IF is_locked THEN
            -- Remaining steps need the same lock and would also delay writes.
            RAISE WARNING '% is in use: what remains to be done there is left to the next run', audit_table;
            RETURN;
        END IF;
        CONTINUE WHEN did IS NULL;
        RAISE NOTICE '%', did;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE maintain_audit_table(regclass, date, integer, integer) IS
    'Maintains one audit table, with a transaction per step; this_month is the first day of a month.';

CREATE OR REPLACE PROCEDURE maintain_audit_partitions_as_of(
    today date, months_ahead integer, retention_months integer)
LANGUAGE plpgsql
AS $$
DECLARE
    audit_table regclass;
BEGIN
    IF months_ahead IS NULL OR months_ahead NOT BETWEEN 1 AND 120 THEN
        RAISE EXCEPTION 'months_ahead must be 1 to 120, not %', coalesce(months_ahead::text, 'null')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF retention_months NOT BETWEEN 1 AND 1200 THEN
        RAISE EXCEPTION 'retention_months must be 1 to 1200, or null to detach nothing, not %', retention_months
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT isfinite(today) THEN
        RAISE EXCEPTION 'today must be a day, not %', today USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        -- Each step must see what was committed while it waited for its lock.
        RAISE EXCEPTION 'the maintenance must run in READ COMMITTED transactions'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF NOT pg_try_advisory_xact_lock('audit_records'::regclass::bigint) THEN
        RAISE NOTICE 'another run is maintaining the partitions: nothing to do';
        RETURN;
    END IF;
    FOR audit_table IN
        SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent = 'audit_records'::regclass AND relkind = 'p'
        ORDER BY relname
    LOOP
        CALL maintain_audit_table(
            audit_table, date_trunc('month', today::timestamp)::date, months_ahead, retention_months);
    END LOOP;
    CALL remove_what_left();
END
$$;
COMMENT ON PROCEDURE maintain_audit_partitions_as_of(date, integer, integer) IS
    'Runs maintain_audit_partitions as of a given day (UTC).';

CREATE OR REPLACE PROCEDURE maintain_audit_partitions(
    months_ahead integer DEFAULT 12, retention_months integer DEFAULT NULL)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL maintain_audit_partitions_as_of(
        (now() AT TIME ZONE 'UTC')::date, months_ahead, retention_months);
END
$$;
COMMENT ON PROCEDURE maintain_audit_partitions(integer, integer) IS
    'Creates month partitions up to months_ahead, detaches but never drops those that ended at least retention_months ago, and removes incidents and vectors without records. Safe at any time, alongside writes and other runs. Reports steps as NOTICE and postponed work as WARNING.';
