-- Lists and reads incidents and their outcomes. Lists use dynamic SQL, planned for the conditions of
-- the filter.

CREATE OR REPLACE FUNCTION prefix_condition(indexed text, wanted text, value text) RETURNS text
LANGUAGE sql STABLE
RETURN CASE
    WHEN value IS NULL THEN NULL
    WHEN char_length(value) < 100 THEN format('left(%s, 100) = %s', indexed, wanted)
    ELSE format('left(%1$s, 100) = left(%2$s, 100) AND %1$s = %2$s', indexed, wanted)
END;
COMMENT ON FUNCTION prefix_condition(text, text, text) IS
    'SQL that compares two expressions in a form that incidents_by_facets supports; null if the value is null.';

CREATE OR REPLACE FUNCTION incident_conditions(filter incident_filter) RETURNS text
LANGUAGE sql STABLE
RETURN concat_ws(' AND ', 'true',
    CASE WHEN filter.namespace IS NOT NULL THEN 'incident.namespace = ($1).namespace' END,
    prefix_condition('incident.alert_name', '($1).alert_name', filter.alert_name),
    CASE WHEN filter.status IS NOT NULL THEN 'incident.execution_status = ($1).status' END,
    prefix_condition('lower(incident.alert_severity)', 'lower(($1).severity)', filter.severity),
    prefix_condition('incident.cluster', '($1).cluster', filter.cluster),
    prefix_condition('incident.environment', '($1).environment', filter.environment),
    prefix_condition('lower(incident.target_type)', 'lower(($1).target_type)', filter.target_type),
    prefix_condition('incident.workflow_name', '($1).workflow_name', filter.workflow_name),
    CASE WHEN filter.remediation_name IS NOT NULL THEN 'incident.remediation_name = ($1).remediation_name' END,
    CASE WHEN filter.fingerprint IS NOT NULL THEN 'incident.fingerprint = ($1).fingerprint' END,
    CASE WHEN filter.target_name IS NOT NULL THEN 'incident.target_name = ($1).target_name' END,
    CASE WHEN filter.action_type IS NOT NULL THEN 'incident.action_types @> ARRAY[($1).action_type]' END,
    CASE WHEN filter.correlation_id IS NOT NULL THEN 'incident.correlation_id = ($1).correlation_id' END,
    CASE WHEN filter.action_history_id IS NOT NULL THEN
        'incident.action_history_id = ($1).action_history_id' END,
    CASE WHEN filter.since IS NOT NULL THEN 'incident.opened_at >= ($1).since' END,
    CASE WHEN filter.until IS NOT NULL THEN 'incident.opened_at <= ($1).until' END);
COMMENT ON FUNCTION incident_conditions(incident_filter) IS
    'SQL conditions of a filter ($1) on the alias incident.';

CREATE OR REPLACE FUNCTION list_incidents(
    written_filter  jsonb,
    page_limit      bigint,
    page_offset     bigint,
    counted_max     bigint,
    after_opened_at timestamptz,
    after_id        bigint,
    OUT counted     bigint,
    OUT incidents   json)
LANGUAGE plpgsql STABLE
SET timezone = 'UTC'
-- Every filter has an index. A list must not occupy all cores, nor compile for a second.
SET enable_seqscan = off
SET jit = off
-- Fits a bitmap of a million incidents.
SET work_mem = '32MB'
-- Favors combining two bitmaps: the planner underestimates the cost of rechecking rows.
SET cpu_tuple_cost = 0.03
AS $$
DECLARE
    few_max    CONSTANT bigint := 10000;
    filter     incident_filter := jsonb_populate_record(NULL::incident_filter, written_filter);
    passing    text := format(
        'SELECT * FROM incidents AS incident WHERE %s', incident_conditions(filter));
BEGIN
    EXECUTE format('SELECT count(*) FROM (%s LIMIT $2) AS passing', passing)
    INTO counted USING filter, counted_max;
    -- Finds and sorts small results: a scan in time order, which the planner prefers if it expects
    -- more rows, would read all incidents. OFFSET 0 prevents it.
    IF counted < counted_max AND counted <= few_max THEN
        passing := passing || ' OFFSET 0';
    END IF;
    -- Selects ids first: an index-only scan can reach the last page of all incidents.
    EXECUTE format(
        'SELECT coalesce(json_agg(summary ORDER BY opened_at DESC, id DESC), ''[]'')
         FROM incident_summaries AS summary
         WHERE id = ANY (ARRAY(
             SELECT id FROM (%s) AS incident
             %s
             ORDER BY opened_at DESC, id DESC
             LIMIT $2 OFFSET $3))',
        passing, CASE WHEN after_id IS NOT NULL THEN 'WHERE (opened_at, id) < ($4, $5)' END)
    INTO incidents USING filter, page_limit, page_offset, after_opened_at, after_id;
END
$$;
COMMENT ON FUNCTION list_incidents IS
    'Returns a page of matching incidents, by descending opened_at and id, after an optional position, and the number of matches up to counted_max.';

CREATE OR REPLACE FUNCTION outcomes_by(name text, executions text) RETURNS text
LANGUAGE sql STABLE
-- OFFSET 0 joins before it filters: the planner expects too few executions to have ended.
-- An end without a fraction can be up to a second before its start.
RETURN format(
    'SELECT coalesce(json_agg(outcome ORDER BY completed + failed + rolled_back DESC, %1$s), ''[]'')
     FROM (
         SELECT %1$s,
             count(*) FILTER (WHERE status = ''completed'') AS completed,
             count(*) FILTER (WHERE status = ''failed'') AS failed,
             count(*) FILTER (WHERE status = ''rolled-back'') AS rolled_back,
             round(percentile_cont(0.5) WITHIN GROUP (
                 ORDER BY CASE WHEN seconds < 0 THEN 0 ELSE seconds END)::numeric, 3) AS duration_seconds
         FROM (%2$s OFFSET 0) AS execution
         WHERE status IN (''completed'', ''failed'', ''rolled-back'')
         GROUP BY %1$s
     ) AS outcome', name, executions);
COMMENT ON FUNCTION outcomes_by(text, text) IS
    'SQL that counts executions (a query with a name, status and seconds) by name and how they ended.';

CREATE OR REPLACE FUNCTION outcomes_query(considered text) RETURNS text
LANGUAGE sql STABLE
-- Found once for both: a walk through time can take longer than all that follows.
RETURN format(
    'WITH incident AS MATERIALIZED (%s) SELECT json_build_object(''actions'', (%s), ''workflows'', (%s))',
    considered,
    outcomes_by('action_type',
        'SELECT action.action_type, action.status,
             date_part(''epoch'', (version).completed_at - (version).started_at) AS seconds
         FROM incident JOIN incident_actions AS action ON action.incident_id = incident.id'),
    outcomes_by('workflow_name',
        'SELECT incident.workflow_name,
             CASE WHEN (workflow).phase IN (''Completed'', ''Failed'') THEN
                 CASE incident.execution_status
                     WHEN ''rolled-back'' THEN ''rolled-back'' ELSE lower((workflow).phase) END
             END AS status,
             date_part(''epoch'', (workflow).completed_at - (workflow).started_at) AS seconds
         FROM incident JOIN incident_versions AS shown ON shown.incident_id = incident.id'));
COMMENT ON FUNCTION outcomes_query(text) IS
    'SQL that returns how the actions and the shown workflow executions of incidents ended. The argument is a query for their id, workflow_name and execution_status.';

CREATE OR REPLACE FUNCTION find_outcomes(
    written_filter jsonb, counted_max bigint, OUT counted bigint, OUT outcomes json)
LANGUAGE plpgsql STABLE
-- As in list_incidents.
SET enable_seqscan = off
SET jit = off
SET work_mem = '32MB'
SET cpu_tuple_cost = 0.03
-- Executions are stored in the order of incidents: merging a million takes a sixth less time.
SET enable_hashjoin = off
-- Workers answer one request sooner, but fewer requests per second.
SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
    -- Up to this many incidents, tells the planner how many there are.
    few_max CONSTANT bigint := 10000;
    filter  incident_filter := jsonb_populate_record(NULL::incident_filter, written_filter);
    passing text := format(
        'SELECT id, workflow_name, execution_status FROM incidents AS incident WHERE %s',
        incident_conditions(filter));
BEGIN
    EXECUTE format('SELECT count(*) FROM (%s LIMIT $2) AS passing', passing)
    INTO counted USING filter, counted_max;
    EXECUTE outcomes_query(concat(passing, CASE
        WHEN counted = counted_max THEN
            format(' ORDER BY opened_at DESC, id DESC LIMIT %s', counted_max - 1)
        WHEN counted <= few_max THEN format(' LIMIT %s', counted)
    END))
    INTO outcomes USING filter;
END
$$;
COMMENT ON FUNCTION find_outcomes IS
    'Returns the number of matching incidents up to counted_max, and how the executions ended of the latest of them, at most counted_max - 1.';

CREATE OR REPLACE FUNCTION shown_object(version record_version, content json) RETURNS json
LANGUAGE sql STABLE
RETURN CASE WHEN (version).object IS NOT NULL THEN
    json_build_object('version', version, 'content', content)
END;
COMMENT ON FUNCTION shown_object(record_version, json) IS
    'The version that shows, with its record''s content, which retention may have removed.';

CREATE OR REPLACE FUNCTION records_of_incident(
    of_incident_id bigint, record_ids bigint[], first_time timestamptz, last_time timestamptz)
RETURNS TABLE (
    id bigint, kind text, namespace text, name text, phase text, created_at timestamptz,
    recorded_at timestamptz, content json, embedding_model text)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
-- Custom plans lock only the partitions of the months concerned.
SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT audit.id, audit.kind, audit.namespace, audit.name, audit.phase, audit.created_at,
        audit.recorded_at, audit.content::json, text.model
    FROM incident_records AS link
    JOIN embeddings AS text ON text.id = link.embedding_id
    JOIN audit_records AS audit
        ON audit.kind = link.kind AND audit.created_at = link.created_at
        AND audit.content_hash = link.content_hash
        AND audit.created_at BETWEEN first_time AND last_time
    WHERE link.incident_id = of_incident_id AND link.id = ANY (record_ids);
END
$$;
COMMENT ON FUNCTION records_of_incident(bigint, bigint[], timestamptz, timestamptz) IS
    'Some records of an incident, which were created between two times, with the models of their vectors.';

CREATE OR REPLACE FUNCTION find_incident(of_incident_id bigint, listed_max bigint) RETURNS json
LANGUAGE plpgsql STABLE
SET timezone = 'UTC'
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    incident   incidents;
    versions   incident_versions;
    actions    incident_actions[];
    listed_ids bigint[];
    shown_ids  bigint[];
    first_time timestamptz;
    last_time  timestamptz;
    links      bigint;
BEGIN
    SELECT * INTO incident FROM incidents WHERE id = of_incident_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO versions FROM incident_versions WHERE incident_id = of_incident_id;
    actions := ARRAY(
        SELECT action FROM (
            SELECT * FROM incident_actions AS action WHERE incident_id = of_incident_id
            ORDER BY coalesce((version).started_at, (version).created_at) DESC, (version).object DESC
            LIMIT listed_max) AS action);
    listed_ids := ARRAY(
        SELECT id FROM incident_records WHERE incident_id = of_incident_id
        ORDER BY id DESC LIMIT listed_max);
    shown_ids := ARRAY[
        (versions.remediation).record_id, (versions.aianalysis).record_id,
        (versions.workflow).record_id
    ] || ARRAY(SELECT (version).record_id FROM unnest(actions));
    SELECT min(created_at), max(created_at), count(*) INTO first_time, last_time, links
    FROM incident_records WHERE incident_id = of_incident_id;

    RETURN (
        WITH record AS MATERIALIZED (
            SELECT * FROM records_of_incident(
                of_incident_id, listed_ids || shown_ids, first_time, last_time)
        )
        SELECT json_build_object(
            'summary', (
                SELECT summary FROM incident_summaries AS summary WHERE summary.id = of_incident_id),
            'signal_type', incident.signal_type,
            'remediation', (SELECT shown_object(versions.remediation, (
                SELECT content FROM record WHERE id = (versions.remediation).record_id))),
            'analysis', (SELECT shown_object(versions.aianalysis, (
                SELECT content FROM record WHERE id = (versions.aianalysis).record_id))),
            'workflow', (SELECT shown_object(versions.workflow, (
                SELECT content FROM record WHERE id = (versions.workflow).record_id))),
            'actions', (
                SELECT coalesce(json_agg(json_build_object(
                    'action_id', action_id, 'action_type', action_type, 'status', status,
                    'object', shown_object(version, content)
                    ) ORDER BY coalesce((version).started_at, (version).created_at), (version).object), '[]')
                FROM unnest(actions) LEFT JOIN record ON record.id = (version).record_id),
            'record_count', links,
            'records', (
                SELECT coalesce(json_agg(json_build_object(
                    'id', id, 'kind', kind, 'namespace', namespace, 'name', name, 'phase', phase,
                    'created_at', created_at, 'started_at', content ->> 'startedAt',
                    'completed_at', content ->> 'completedAt', 'recorded_at', recorded_at,
                    'embedding_model', embedding_model) ORDER BY id), '[]')
                FROM record WHERE id = ANY (listed_ids))));
END
$$;
COMMENT ON FUNCTION find_incident(bigint, bigint) IS
    'Returns everything known about an incident, with up to listed_max of its latest actions and records; null if it does not exist.';
