-- The list of incidents: any filter, an exact total, and walks that do not notice what is
-- written meanwhile.
--
-- A total cannot be counted row by row at a million incidents. So each value that can be
-- filtered by has a bitmap of its incidents; a combination of filters is their AND. The
-- bitmaps are not kept by the writes themselves, which would wait for each other at the few
-- bitmaps of the newest incidents: a write leaves the old values of what it changed in
-- incident_changes, and index_incident_changes() brings the bitmaps up to date now and then.
-- A reader adds what has changed since, and so is exact at every moment.
--
-- incident_changes is also what a walk through the pages reads: what an incident was when the
-- walk began is its row, or, where that has changed since, the oldest change since.

CREATE TYPE incident_filter AS (
    namespace      text,
    cluster        text,
    action_type    text,
    alert_name     text,
    severity       text,
    status         text,
    correlation_id text,
    since          timestamptz,
    until          timestamptz
);
COMMENT ON TYPE incident_filter IS
    'What the incidents of a list have in common; null does not matter. Both since and until are included.';

CREATE INDEX incidents_by_time ON incidents (action_timestamp DESC, id);
CREATE INDEX incidents_by_namespace ON incidents (namespace, action_timestamp DESC, id);
CREATE INDEX incidents_by_cluster ON incidents (cluster, action_timestamp DESC, id);
CREATE INDEX incidents_by_action_type ON incidents (action_type, action_timestamp DESC, id);
CREATE INDEX incidents_by_alert_name ON incidents (alert_name, action_timestamp DESC, id);
CREATE INDEX incidents_by_severity ON incidents (alert_severity, action_timestamp DESC, id);
CREATE INDEX incidents_by_status ON incidents (execution_status, action_timestamp DESC, id);

CREATE TABLE incident_changes (
    id                bigint      GENERATED ALWAYS AS IDENTITY,
    changed_xid       xid8        NOT NULL DEFAULT pg_current_xact_id(),
    changed_at        timestamptz NOT NULL DEFAULT now(),
    incident_id       bigint      NOT NULL,
    action_history_id bigint,
    action_id         uuid,
    alert_name        text        COLLATE "C",
    alert_severity    text        COLLATE "C",
    action_type       text        COLLATE "C",
    action_timestamp  timestamptz,
    model_used        text        COLLATE "C",
    model_confidence  double precision,
    execution_status  text        COLLATE "C",
    namespace         text        COLLATE "C",
    cluster           text        COLLATE "C",
    target_type       text        COLLATE "C",
    target_name       text        COLLATE "C",
    correlation_id    text        COLLATE "C"
);
COMMENT ON TABLE incident_changes IS
    'What incidents were like before each of their latest changes: what a list shows of them. Kept for an hour.';
COMMENT ON COLUMN incident_changes.id IS
    'Orders the changes of one incident: drawn while its row is locked.';
COMMENT ON COLUMN incident_changes.changed_xid IS 'The transaction that changed the incident.';
COMMENT ON COLUMN incident_changes.action_timestamp IS 'Null where the incident was new.';

CREATE INDEX incident_changes_by_transaction ON incident_changes (changed_xid);
CREATE INDEX incident_changes_of_incident ON incident_changes (incident_id, id);
CREATE INDEX incident_changes_by_time ON incident_changes (action_timestamp DESC, incident_id)
    WHERE action_timestamp IS NOT NULL;

CREATE TABLE incident_bitmaps (
    facet     text       NOT NULL COLLATE "C",
    value     text       NOT NULL COLLATE "C",
    block     bigint     NOT NULL,
    incidents bit(32768) NOT NULL,
    PRIMARY KEY (facet, value, block)
) WITH (fillfactor = 70);
COMMENT ON TABLE incident_bitmaps IS
    'Which incidents have a value: bit n of block b stands for the incident 32768 b + n.';
COMMENT ON COLUMN incident_bitmaps.facet IS
    'What the value is of: a filter, day (of action_timestamp, see facet_day), or all.';

CREATE TABLE incident_bitmaps_state (
    is_only_row       boolean     PRIMARY KEY DEFAULT true CHECK (is_only_row),
    system_identifier bigint      NOT NULL,
    included          pg_snapshot NOT NULL,
    forgotten_xid     xid8        NOT NULL,
    cursor_key        bytea       NOT NULL
);
COMMENT ON TABLE incident_bitmaps_state IS 'How far the bitmaps and the changes are to be trusted.';
COMMENT ON COLUMN incident_bitmaps_state.system_identifier IS
    'The database cluster whose transactions the numbers are of; in another one, where the tables were restored, they say nothing.';
COMMENT ON COLUMN incident_bitmaps_state.included IS
    'The bitmaps hold every change that this snapshot sees, and no other.';
COMMENT ON COLUMN incident_bitmaps_state.forgotten_xid IS
    'The latest transaction of which a change was forgotten: a walk that began before it is over.';
COMMENT ON COLUMN incident_bitmaps_state.cursor_key IS
    'Signs cursors, so that only those are taken that were given out.';

CREATE FUNCTION is_of_this_cluster(state incident_bitmaps_state) RETURNS boolean
LANGUAGE sql STABLE
AS $$ SELECT state.system_identifier = system_identifier FROM pg_control_system() $$;
COMMENT ON FUNCTION is_of_this_cluster(incident_bitmaps_state) IS
    'Whether the bitmaps were made here: not where the tables were restored from another cluster''s dump, until they are made anew.';

CREATE FUNCTION incident_matches(
    namespace text, cluster text, action_type text, alert_name text, severity text,
    status text, correlation_id text, action_timestamp timestamptz, filter incident_filter)
RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT (filter.namespace IS NULL OR namespace = filter.namespace)
       AND (filter.cluster IS NULL OR cluster = filter.cluster)
       AND (filter.action_type IS NULL OR action_type = filter.action_type)
       AND (filter.alert_name IS NULL OR alert_name = filter.alert_name)
       AND (filter.severity IS NULL OR severity = filter.severity)
       AND (filter.status IS NULL OR status = filter.status)
       AND (filter.correlation_id IS NULL OR correlation_id = filter.correlation_id)
       AND (filter.since IS NULL OR action_timestamp >= filter.since)
       AND (filter.until IS NULL OR action_timestamp <= filter.until)
$$;
COMMENT ON FUNCTION incident_matches IS
    'Whether a filter lets an incident pass. Becomes a part of the query that calls it, and so uses the indexes.';

CREATE FUNCTION facet_day(instant timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    -- Of dates, as seconds are doubles that far from now do not keep the end of a day.
    SELECT lpad(
        ((instant AT TIME ZONE 'UTC')::date - DATE '1970-01-01' + 10000000)::text, 8, '0')
$$;
COMMENT ON FUNCTION facet_day(timestamptz) IS
    'The day of an instant (UTC) as a facet''s value: days since 1970, moved so that texts order like days.';

CREATE FUNCTION facets_of(
    namespace text, cluster text, action_type text, alert_name text, severity text,
    status text, action_timestamp timestamptz)
RETURNS TABLE (facet text, value text)
LANGUAGE sql IMMUTABLE
AS $$
    SELECT facet COLLATE "C", value COLLATE "C"
    FROM (VALUES
        ('all', ''), ('namespace', namespace), ('cluster', cluster),
        ('action_type', action_type), ('alert_name', alert_name), ('severity', severity),
        ('status', status), ('day', facet_day(action_timestamp))
    ) AS facets (facet, value)
    WHERE value IS NOT NULL
$$;
COMMENT ON FUNCTION facets_of IS 'The bitmaps that an incident is in.';

CREATE FUNCTION log_incident_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO incident_changes (incident_id) VALUES (NEW.id);
    ELSE
        INSERT INTO incident_changes (
            incident_id, action_history_id, action_id, alert_name, alert_severity,
            action_type, action_timestamp, model_used, model_confidence, execution_status,
            namespace, cluster, target_type, target_name, correlation_id)
        VALUES (
            OLD.id, OLD.action_history_id, OLD.action_id, OLD.alert_name, OLD.alert_severity,
            OLD.action_type, OLD.action_timestamp, OLD.model_used, OLD.model_confidence,
            OLD.execution_status, OLD.namespace, OLD.cluster, OLD.target_type,
            OLD.target_name, OLD.correlation_id);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION log_incident_change() IS 'Keeps what an incident was like before it changed.';

CREATE TRIGGER incident_created AFTER INSERT ON incidents
    FOR EACH ROW EXECUTE FUNCTION log_incident_change();
CREATE TRIGGER incident_changed AFTER UPDATE ON incidents
    FOR EACH ROW
    WHEN ((OLD.action_history_id, OLD.action_id, OLD.alert_name, OLD.alert_severity,
           OLD.action_type, OLD.action_timestamp, OLD.model_used, OLD.model_confidence,
           OLD.execution_status, OLD.namespace, OLD.cluster, OLD.target_type, OLD.target_name)
       IS DISTINCT FROM
          (NEW.action_history_id, NEW.action_id, NEW.alert_name, NEW.alert_severity,
           NEW.action_type, NEW.action_timestamp, NEW.model_used, NEW.model_confidence,
           NEW.execution_status, NEW.namespace, NEW.cluster, NEW.target_type, NEW.target_name))
    EXECUTE FUNCTION log_incident_change();

CREATE FUNCTION changes_since(snapshot pg_snapshot) RETURNS SETOF incident_changes
LANGUAGE sql STABLE
AS $$
    SELECT DISTINCT ON (incident_id) *
    FROM (
        -- Not all that came since the oldest transaction then, which can be open for long.
        SELECT * FROM incident_changes
        WHERE changed_xid >= pg_snapshot_xmax(snapshot)
           OR changed_xid = ANY (ARRAY(SELECT pg_snapshot_xip(snapshot)))
        -- Lets no plan read everything in the order of the incidents.
        OFFSET 0
    ) AS unseen
    ORDER BY incident_id, id
$$;
COMMENT ON FUNCTION changes_since(pg_snapshot) IS
    'What each incident that has changed since a snapshot was like then.';

CREATE FUNCTION refuse_incident_deletion() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'incidents are not deleted: the totals of lists would stay as they are'
        USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'In one transaction: ALTER TABLE incidents DISABLE TRIGGER incident_deleted, delete, ENABLE it again, and SELECT rebuild_incident_index().';
END
$$;
COMMENT ON FUNCTION refuse_incident_deletion() IS
    'No change says that an incident was deleted, so the bitmaps must be made anew after it.';

CREATE TRIGGER incident_deleted BEFORE DELETE OR TRUNCATE ON incidents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_incident_deletion();

CREATE FUNCTION rebuild_incident_index() RETURNS bigint
LANGUAGE plpgsql
-- For all bitmaps of a million incidents at once.
SET work_mem = '64MB'
AS $$
DECLARE
    counted bigint;
BEGIN
    -- Not beside index_incident_changes(); nobody else writes the bitmaps.
    PERFORM pg_advisory_xact_lock(0x62_69_74_6d_61_70_73);
    DELETE FROM incident_bitmaps;
    -- One statement: the bitmaps, the changes that are forgotten and the snapshot are of the
    -- same moment, so nobody has to wait.
    WITH forgotten AS (
        DELETE FROM incident_changes
    ), new_bitmaps AS (
        INSERT INTO incident_bitmaps (facet, value, block, incidents)
        SELECT facet, value, id >> 15, bit_or(set_bit(0::bit(32768), (id & 32767)::integer, 1))
        FROM incidents, facets_of(
            namespace, cluster, action_type, alert_name, alert_severity,
            execution_status, action_timestamp)
        GROUP BY facet, value, id >> 15
    ), new_state AS (
        -- Another key ends the walks, whose changes are forgotten.
        INSERT INTO incident_bitmaps_state
            (system_identifier, included, forgotten_xid, cursor_key)
        SELECT system_identifier, pg_current_snapshot(), '0',
            sha256(convert_to(gen_random_uuid()::text || gen_random_uuid(), 'UTF8'))
        FROM pg_control_system()
        ON CONFLICT (is_only_row) DO UPDATE
        SET (system_identifier, included, forgotten_xid, cursor_key) = ROW(
            EXCLUDED.system_identifier, EXCLUDED.included, EXCLUDED.forgotten_xid,
            EXCLUDED.cursor_key)
    )
    SELECT count(*) INTO counted FROM incidents;
    RETURN counted;
END
$$;
COMMENT ON FUNCTION rebuild_incident_index() IS
    'Makes the bitmaps anew, and ends all walks; answers how many incidents there are. To be called in a transaction that changes no incident after it.';

CREATE FUNCTION index_incident_changes() RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    forget_after  CONSTANT interval := '1 hour';
    forgotten_max CONSTANT integer := 10000;
    state         incident_bitmaps_state;
    indexed       bigint;
BEGIN
    -- One at a time; who comes meanwhile leaves it to the next. (The number is "bitmaps".)
    IF NOT pg_try_advisory_xact_lock(0x62_69_74_6d_61_70_73) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO STRICT state FROM incident_bitmaps_state;
    -- To make them anew takes longer than a writer can wait; maintain_incident_index() does.
    IF NOT is_of_this_cluster(state) THEN
        RETURN NULL;
    END IF;

    -- One statement: the changes, the incidents and the snapshot are of the same moment.
    WITH changed AS MATERIALIZED (
        SELECT * FROM changes_since(state.included)
    ), flipped AS (
        SELECT facet, value, incident_id
        FROM (
            SELECT facet, value, incident_id
            FROM changed, facets_of(
                namespace, cluster, action_type, alert_name, alert_severity,
                execution_status, action_timestamp)
            WHERE action_timestamp IS NOT NULL
            UNION ALL
            SELECT facet, value, incident_id
            FROM changed JOIN incidents AS incident ON incident.id = incident_id,
                facets_of(
                    incident.namespace, incident.cluster, incident.action_type,
                    incident.alert_name, incident.alert_severity,
                    incident.execution_status, incident.action_timestamp)
        ) AS before_and_after
        -- A value that it had and has is no change.
        GROUP BY facet, value, incident_id
        HAVING count(*) = 1
    ), flipped_bits AS (
        INSERT INTO incident_bitmaps AS known (facet, value, block, incidents)
        SELECT facet, value, incident_id >> 15,
            bit_or(set_bit(0::bit(32768), (incident_id & 32767)::integer, 1))
        FROM flipped
        GROUP BY facet, value, incident_id >> 15
        ON CONFLICT (facet, value, block)
            DO UPDATE SET incidents = known.incidents # EXCLUDED.incidents
    ), new_state AS (
        UPDATE incident_bitmaps_state SET included = pg_current_snapshot()
    )
    SELECT count(*) INTO indexed FROM changed;

    WITH forgotten AS (
        DELETE FROM incident_changes
        WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM (
                SELECT ctid, changed_at FROM incident_changes
                WHERE changed_xid < pg_snapshot_xmin(state.included)
                ORDER BY changed_xid
                LIMIT forgotten_max
            ) AS oldest
            WHERE changed_at < now() - forget_after))
        RETURNING changed_xid
    )
    UPDATE incident_bitmaps_state
    SET forgotten_xid = greatest(forgotten_xid, (SELECT max(changed_xid) FROM forgotten));
    RETURN indexed;
END
$$;
COMMENT ON FUNCTION index_incident_changes() IS
    'Brings the bitmaps up to date, and forgets changes that are an hour old; answers how many incidents had changed, null where somebody else is at it or they are to be made anew. To be called in a transaction of its own.';

CREATE FUNCTION maintain_incident_index() RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    -- Looked at when nobody else can be making them anew any more.
    PERFORM pg_advisory_xact_lock(0x62_69_74_6d_61_70_73);
    IF (SELECT is_of_this_cluster(state) FROM incident_bitmaps_state AS state) THEN
        RETURN index_incident_changes();
    END IF;
    RETURN rebuild_incident_index();
END
$$;
COMMENT ON FUNCTION maintain_incident_index() IS
    'Brings the bitmaps up to date, or makes them anew where the tables were restored from another cluster''s dump.';

CREATE FUNCTION incident_bitmaps_of(filter incident_filter, first_day text, last_day text)
RETURNS TABLE (block bigint, incidents bit)
LANGUAGE sql STABLE
AS $$
    WITH wanted AS MATERIALIZED (
        SELECT facet, value
        FROM facets_of(
            filter.namespace, filter.cluster, filter.action_type, filter.alert_name,
            filter.severity, filter.status, NULL)
        -- Where there is another one, it holds no bit that "all" does not.
        WHERE facet <> 'all' OR num_nonnulls(
            filter.namespace, filter.cluster, filter.action_type, filter.alert_name,
            filter.severity, filter.status) = 0
    ), found AS (
        SELECT known.block, bit_and(known.incidents) AS incidents
        FROM wanted JOIN incident_bitmaps AS known USING (facet, value)
        GROUP BY known.block
        HAVING count(*) = (SELECT count(*) FROM wanted)
    ), days AS (
        SELECT known.block, bit_or(known.incidents) AS incidents
        FROM incident_bitmaps AS known
        WHERE facet = 'day' AND value BETWEEN first_day AND last_day
        GROUP BY known.block
    )
    SELECT block, found.incidents FROM found WHERE first_day IS NULL
    UNION ALL
    SELECT block, found.incidents & days.incidents
    FROM found JOIN days USING (block)
    WHERE first_day IS NOT NULL
$$;
COMMENT ON FUNCTION incident_bitmaps_of IS
    'The incidents that pass a filter, without its times, on some days (all where first_day is null), as far as the bitmaps go.';

CREATE FUNCTION count_incidents(filter incident_filter) RETURNS bigint
LANGUAGE plpgsql STABLE
-- Planned for the filter at hand: a plan for any filter would be a bad one for each.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    state      incident_bitmaps_state;
    first_day  text;
    last_day   text;
    whole_days incident_filter := filter;
    -- Before and after the whole days; the filter's own bounds are in them.
    edge_ends  timestamptz;
    edge_begin timestamptz;
BEGIN
    SELECT * INTO state FROM incident_bitmaps_state;
    IF filter.since IS NOT NULL OR filter.until IS NOT NULL THEN
        edge_ends := date_trunc('day', filter.since, 'UTC') + interval '1 day';
        edge_begin := date_trunc('day', filter.until, 'UTC');
        first_day := coalesce(facet_day(edge_ends), '');
        last_day := coalesce(facet_day(edge_begin - interval '1 microsecond'), '~');
    END IF;
    IF filter.correlation_id IS NOT NULL OR first_day > last_day
        OR NOT is_of_this_cluster(state)
    THEN
        RETURN (
            SELECT count(*) FROM incidents AS incident
            WHERE incident_matches(
                namespace, cluster, action_type, alert_name, alert_severity,
                execution_status, correlation_id, action_timestamp, filter));
    END IF;
    whole_days.since := edge_ends;
    whole_days.until := edge_begin - interval '1 microsecond';
    RETURN (
        SELECT coalesce(sum(bit_count(incidents)), 0)
        FROM incident_bitmaps_of(filter, first_day, last_day)
    ) + (
        SELECT coalesce(sum(is_match::integer - was_match::integer), 0)
        FROM changes_since(state.included) AS change
        JOIN incidents AS incident ON incident.id = change.incident_id,
            incident_matches(
                incident.namespace, incident.cluster, incident.action_type,
                incident.alert_name, incident.alert_severity, incident.execution_status,
                incident.correlation_id, incident.action_timestamp, whole_days) AS is_match,
            coalesce(change.action_timestamp IS NOT NULL AND incident_matches(
                change.namespace, change.cluster, change.action_type, change.alert_name,
                change.alert_severity, change.execution_status, change.correlation_id,
                change.action_timestamp, whole_days), false) AS was_match
    ) + (
        SELECT count(*) FROM incidents
        WHERE incident_matches(
                namespace, cluster, action_type, alert_name, alert_severity,
                execution_status, correlation_id, action_timestamp, filter)
          AND action_timestamp < edge_ends
    ) + (
        SELECT count(*) FROM incidents
        WHERE incident_matches(
                namespace, cluster, action_type, alert_name, alert_severity,
                execution_status, correlation_id, action_timestamp, filter)
          AND action_timestamp >= edge_begin
    );
END
$$;
COMMENT ON FUNCTION count_incidents(incident_filter) IS
    'How many incidents pass a filter, exactly.';

CREATE FUNCTION find_sparse_incidents(filter incident_filter, included pg_snapshot)
RETURNS bigint[]
LANGUAGE sql STABLE
AS $$
    WITH days AS (
        SELECT coalesce(facet_day(filter.since), '') AS first,
            coalesce(facet_day(filter.until), '~') AS last
        WHERE filter.since IS NOT NULL OR filter.until IS NOT NULL
    )
    SELECT coalesce(array_agg(incident_id), '{}')
    FROM (
        -- A bitmap as text, split at its ones: the lengths of the pieces say where they are.
        SELECT (block << 15) + sum(length(zeros) + 1) OVER (PARTITION BY block ORDER BY number) - 1
            AS incident_id, number < count(*) OVER (PARTITION BY block) AS is_one
        FROM incident_bitmaps_of(
                filter, (SELECT first FROM days), (SELECT last FROM days)),
            unnest(string_to_array(incidents::text, '1')) WITH ORDINALITY AS piece (zeros, number)
        WHERE bit_count(incidents) > 0
        UNION ALL
        SELECT incident_id, true FROM changes_since(included)
    ) AS candidates
    WHERE is_one
$$;
COMMENT ON FUNCTION find_sparse_incidents IS
    'The incidents that can pass a filter that few do, and those that have changed lately.';

CREATE FUNCTION skip_newest_incidents(
    filter incident_filter, included pg_snapshot, skipped_max bigint)
RETURNS TABLE (begins_at timestamptz, newer bigint)
LANGUAGE sql STABLE
AS $$
    WITH timeless AS (
        SELECT ROW(
            filter.namespace, filter.cluster, filter.action_type, filter.alert_name,
            filter.severity, filter.status, filter.correlation_id, NULL, NULL
        )::incident_filter AS without_times
    ), counts AS (
        SELECT value AS day, sum(bit_count(found.incidents & known.incidents)) AS matches
        FROM incident_bitmaps_of(filter, NULL, NULL) AS found
        JOIN incident_bitmaps AS known USING (block)
        WHERE facet = 'day'
        GROUP BY value
        UNION ALL
        SELECT facet_day(was.action_timestamp), -1
        FROM changes_since(included) AS was
        WHERE was.action_timestamp IS NOT NULL
          AND incident_matches(
                was.namespace, was.cluster, was.action_type, was.alert_name,
                was.alert_severity, was.execution_status, was.correlation_id,
                was.action_timestamp, (SELECT without_times FROM timeless))
        UNION ALL
        SELECT facet_day(incident.action_timestamp), 1
        FROM changes_since(included) AS was
        JOIN incidents AS incident ON incident.id = was.incident_id
        WHERE incident_matches(
                incident.namespace, incident.cluster, incident.action_type,
                incident.alert_name, incident.alert_severity, incident.execution_status,
                incident.correlation_id, incident.action_timestamp,
                (SELECT without_times FROM timeless))
        UNION ALL
        -- The last day of a filter that ends within it is counted as far as the filter goes.
        SELECT NULL, count(*)
        FROM incidents AS incident
        WHERE incident_matches(
                incident.namespace, incident.cluster, incident.action_type,
                incident.alert_name, incident.alert_severity, incident.execution_status,
                incident.correlation_id, incident.action_timestamp, filter)
          AND incident.action_timestamp >= date_trunc('day', filter.until, 'UTC')
    ), days AS (
        SELECT day, sum(sum(matches)) OVER (ORDER BY day DESC NULLS FIRST) AS matches
        FROM counts
        WHERE day IS NULL OR filter.until IS NULL OR day < facet_day(filter.until)
        GROUP BY day
    )
    SELECT to_timestamp((day::bigint - 10000000) * 86400), matches::bigint
    FROM days
    WHERE day IS NOT NULL AND matches <= skipped_max
    ORDER BY day
    LIMIT 1
$$;
COMMENT ON FUNCTION skip_newest_incidents IS
    'The oldest day up to which no more incidents pass a filter than may be skipped, and how many do; no row where that is none.';

CREATE FUNCTION newest_incidents_end(filter incident_filter, included pg_snapshot)
RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
    WITH found AS MATERIALIZED (
        SELECT * FROM incident_bitmaps_of(filter, NULL, NULL)
    ), days AS (
        -- OFFSET 0: day by day, and no further than to the first that has one.
        (SELECT value AS day
        FROM (
            SELECT * FROM incident_bitmaps
            WHERE facet = 'day' AND value <= coalesce(facet_day(filter.until), '~')
            ORDER BY value DESC
            OFFSET 0
        ) AS known
        WHERE EXISTS (
            SELECT FROM found
            WHERE found.block = known.block AND bit_count(found.incidents & known.incidents) > 0
            OFFSET 0)
        LIMIT 1)
        UNION ALL
        SELECT facet_day(incident.action_timestamp)
        FROM changes_since(included) AS was
        JOIN incidents AS incident ON incident.id = was.incident_id
        WHERE incident_matches(
                incident.namespace, incident.cluster, incident.action_type,
                incident.alert_name, incident.alert_severity, incident.execution_status,
                incident.correlation_id, incident.action_timestamp, filter)
    )
    SELECT to_timestamp((max(day)::bigint - 9999999) * 86400) FROM days
$$;
COMMENT ON FUNCTION newest_incidents_end IS
    'The end of the newest day that may have an incident that passes a filter; null where none has.';

CREATE FUNCTION list_incidents(
    filter         incident_filter,
    page_size      bigint,
    page_offset    bigint,
    walk_snapshot  pg_snapshot,
    walk_total     bigint,
    walk_timestamp timestamptz,
    walk_id        bigint)
RETURNS TABLE (
    total             bigint,
    snapshot          pg_snapshot,
    forgotten_xid     xid8,
    cursor_key        bytea,
    id                bigint,
    action_history_id bigint,
    action_id         uuid,
    alert_name        text,
    alert_severity    text,
    action_type       text,
    action_timestamp  timestamptz,
    model_used        text,
    model_confidence  double precision,
    execution_status  text,
    namespace         text,
    cluster           text,
    target_type       text,
    target_name       text,
    correlation_id    text)
LANGUAGE plpgsql STABLE
-- Planned for the filter at hand: a plan for any filter would be a bad one for each.
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    -- So few are found faster by their bits than in any index, whatever the filter.
    sparse_max  CONSTANT bigint := 1000;
    -- An offset beyond this is worth finding the day where it is.
    near_max    CONSTANT bigint := 1000;
    -- No index has the incidents of two values in order: these may all be long ago.
    is_combined CONSTANT boolean := num_nonnulls(
        filter.namespace, filter.cluster, filter.action_type, filter.alert_name,
        filter.severity, filter.status) > 1;
    state       incident_bitmaps_state;
    begun       pg_snapshot := coalesce(walk_snapshot, pg_current_snapshot());
    -- What that does not see: what came later, and what was open then.
    unseen_from xid8 := pg_snapshot_xmax(begun);
    unseen      xid8[] := ARRAY(SELECT pg_snapshot_xip(begun));
    -- Changes from here on, which are there all the same, are those of another cluster.
    future      xid8 := pg_snapshot_xmax(pg_current_snapshot());
    all_pages   bigint := coalesce(walk_total, count_incidents(filter));
    -- Null where any incident may be on the page.
    candidates  bigint[];
    newest      timestamptz := coalesce(walk_timestamp, 'infinity');
BEGIN
    SELECT * INTO STRICT state FROM incident_bitmaps_state;
    IF all_pages <= page_offset THEN
        page_size := 0;
    ELSIF filter.correlation_id IS NULL AND is_of_this_cluster(state) THEN
        IF is_combined AND all_pages <= sparse_max THEN
            candidates := find_sparse_incidents(filter, state.included);
        ELSIF page_offset > near_max THEN
            SELECT coalesce(min(begins_at) - interval '1 microsecond', newest),
                page_offset - coalesce(min(newer), 0)
            INTO newest, page_offset
            FROM skip_newest_incidents(filter, state.included, page_offset);
        ELSIF is_combined AND walk_id IS NULL THEN
            newest := coalesce(newest_incidents_end(filter, state.included), newest);
        END IF;
    END IF;

    RETURN QUERY
    SELECT all_pages, begun, state.forgotten_xid, state.cursor_key, page.*
    FROM (SELECT) AS always LEFT JOIN (
        SELECT * FROM ((
            SELECT
                incident.id, incident.action_history_id, incident.action_id,
                incident.alert_name, incident.alert_severity, incident.action_type,
                incident.action_timestamp, incident.model_used, incident.model_confidence,
                incident.execution_status, incident.namespace, incident.cluster,
                incident.target_type, incident.target_name, incident.correlation_id
            FROM incidents AS incident
            WHERE incident_matches(
                    incident.namespace, incident.cluster, incident.action_type,
                    incident.alert_name, incident.alert_severity, incident.execution_status,
                    incident.correlation_id, incident.action_timestamp, filter)
              AND (candidates IS NULL OR incident.id = ANY (candidates))
              AND incident.action_timestamp <= newest
              AND (walk_id IS NULL OR incident.action_timestamp < newest OR incident.id > walk_id)
              -- OFFSET 0: asked for each incident of the page, not as a join of all.
              AND (walk_snapshot IS NULL OR NOT EXISTS (
                  SELECT FROM incident_changes AS change
                  WHERE change.incident_id = incident.id
                    AND (change.changed_xid >= unseen_from OR change.changed_xid = ANY (unseen))
                    AND change.changed_xid < future
                  OFFSET 0))
            ORDER BY incident.action_timestamp DESC, incident.id
            LIMIT page_size + page_offset
        ) UNION ALL (
            SELECT
                was.incident_id, was.action_history_id, was.action_id, was.alert_name,
                was.alert_severity, was.action_type, was.action_timestamp, was.model_used,
                was.model_confidence, was.execution_status, was.namespace, was.cluster,
                was.target_type, was.target_name, was.correlation_id
            FROM incident_changes AS was
            WHERE walk_snapshot IS NOT NULL
              AND (was.changed_xid >= unseen_from OR was.changed_xid = ANY (unseen))
              AND was.changed_xid < future
              AND was.action_timestamp IS NOT NULL
              AND incident_matches(
                    was.namespace, was.cluster, was.action_type, was.alert_name,
                    was.alert_severity, was.execution_status, was.correlation_id,
                    was.action_timestamp, filter)
              AND was.action_timestamp <= newest
              AND (walk_id IS NULL OR was.action_timestamp < newest OR was.incident_id > walk_id)
              AND NOT EXISTS (
                  SELECT FROM incident_changes AS earlier
                  WHERE earlier.incident_id = was.incident_id AND earlier.id < was.id
                    AND (earlier.changed_xid >= unseen_from OR earlier.changed_xid = ANY (unseen))
                    AND earlier.changed_xid < future
                  OFFSET 0)
            ORDER BY was.action_timestamp DESC, was.incident_id
            LIMIT page_size
        )) AS both_pages
        ORDER BY action_timestamp DESC, id
        OFFSET page_offset
        LIMIT page_size
    ) AS page ON true
    ORDER BY page.action_timestamp DESC, page.id;
END
$$;
COMMENT ON FUNCTION list_incidents IS
    'A page of the incidents that pass a filter, newest first, and how many pass; one row at least. With the snapshot, total and last position of an earlier page, the page after that, as the list was then.';

SELECT rebuild_incident_index();
