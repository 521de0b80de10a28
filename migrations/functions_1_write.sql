-- Stores records, their embeddings and their incidents' projections in one statement of the caller.
-- Statements here see what was committed before them (READ COMMITTED), so a lookup finds a row that
-- a concurrent writer inserted. Functions cache their plans per session.
--
-- An SQL function must not be declared more stable than what it calls: PostgreSQL would not inline it,
-- but plan it again for each statement. json_build_object(), format(), concat_ws() and extract() are
-- stable, not immutable.
--
-- Writes cannot deadlock: each locks all its records, then vectors, histories and incidents, and
-- within each of these in the order of a key. What belongs to an incident (its actions and versions)
-- is locked under the incident's lock.

CREATE OR REPLACE FUNCTION phase_rank(phase text) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE phase WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END;
COMMENT ON FUNCTION phase_rank(text) IS 'Order of phases; Completed and Failed rank equally.';

CREATE OR REPLACE FUNCTION whole_second(instant timestamptz) RETURNS numeric
LANGUAGE sql STABLE
RETURN floor(extract(epoch FROM instant));
COMMENT ON FUNCTION whole_second(timestamptz) IS
    'Unix time in whole seconds, the precision of Kubernetes: records of one attempt may have and lack the fraction.';

CREATE OR REPLACE FUNCTION supersedes(new record_version, known record_version) RETURNS boolean
LANGUAGE sql STABLE
RETURN CASE
    WHEN known.object IS NULL THEN true
    -- Of two objects, the one that started later shows, or was created later if it has not started.
    WHEN new.object <> known.object THEN
        (whole_second(coalesce(new.started_at, new.created_at)), new.object)
        > (whole_second(coalesce(known.started_at, known.created_at)), known.object)
    -- Of two attempts, the later one shows. Versions without a start belong to every attempt.
    WHEN whole_second(new.started_at) <> whole_second(known.started_at) THEN
        new.started_at > known.started_at
    -- Within an attempt, the furthest version shows; if equal, the last recorded.
    ELSE
        (phase_rank(new.phase), coalesce(new.completed_at, '-infinity'), new.progress)
        >= (phase_rank(known.phase), coalesce(known.completed_at, '-infinity'), known.progress)
END;
COMMENT ON FUNCTION supersedes(record_version, record_version) IS
    'Whether a version that is recorded now replaces the known one.';

CREATE OR REPLACE FUNCTION read_embedding(written text) RETURNS vector
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    zeros  CONSTANT vector := array_fill(0::real, ARRAY[1536]);
    parsed vector := written;
BEGIN
    IF vector_dims(parsed) > 1536 THEN
        RAISE EXCEPTION 'a vector of % dimensions', vector_dims(parsed) USING ERRCODE = 'data_exception';
    END IF;
    RETURN subvector(parsed || zeros, 1, 1536);
END
$$;
-- renew_embedding() runs it as its owner.
SELECT keep_search_path('read_embedding(text)');
COMMENT ON FUNCTION read_embedding(text) IS
    'Parses the text form of a vector and pads it with zeros to 1,536 dimensions, which changes no angle.';

CREATE OR REPLACE FUNCTION store_embedding(
    of_model text, of_text_hash bytea, written_embedding text, of_name boolean)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    stored_id bigint;
BEGIN
    INSERT INTO embeddings (model, text_hash, embedding, is_name)
    VALUES (of_model, of_text_hash, read_embedding(written_embedding), of_name)
    ON CONFLICT (model, text_hash) DO NOTHING
    RETURNING id INTO stored_id;
    IF stored_id IS NULL THEN
        SELECT id INTO STRICT stored_id
        FROM embeddings WHERE model = of_model AND text_hash = of_text_hash;
    END IF;
    RETURN stored_id;
END
$$;
COMMENT ON FUNCTION store_embedding(text, bytea, text, boolean) IS
    'Stores a vector unless it exists. Returns its id.';

CREATE OR REPLACE FUNCTION target_hash_of(
    of_cluster text, of_namespace text, of_target_type text, of_target_name text)
RETURNS bytea
LANGUAGE sql STABLE
RETURN sha256(convert_to(
    jsonb_build_array(of_cluster, of_namespace, lower(of_target_type COLLATE "C"), of_target_name)::text, 'UTF8'));
COMMENT ON FUNCTION target_hash_of(text, text, text, text) IS
    'Identifies a target; types compare case-insensitively.';

CREATE OR REPLACE FUNCTION action_history_id_of(
    of_cluster text, of_namespace text, of_target_type text, of_target_name text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    found_id bigint;
    of_hash  bytea := target_hash_of(of_cluster, of_namespace, of_target_type, of_target_name);
BEGIN
    SELECT id INTO found_id FROM action_histories WHERE target_hash = of_hash;
    IF found_id IS NULL THEN
        INSERT INTO action_histories (cluster, namespace, target_type, target_name, target_hash)
        VALUES (of_cluster, of_namespace, of_target_type, of_target_name, of_hash)
        ON CONFLICT (target_hash) DO NOTHING
        RETURNING id INTO found_id;
        IF found_id IS NULL THEN
            SELECT id INTO STRICT found_id FROM action_histories WHERE target_hash = of_hash;
        END IF;
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION action_history_id_of(text, text, text, text) IS
    'Finds or creates the action history of a target. Returns its id.';

CREATE OR REPLACE FUNCTION find_audit_records(items audit_write[]) RETURNS SETOF audit_replay
LANGUAGE plpgsql
SET enable_seqscan = off
-- A cached plan locks every partition of every kind, a custom plan only the matching ones.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    first_time timestamptz;
    last_time  timestamptz;
BEGIN
    SELECT min(created_at), max(created_at) INTO first_time, last_time FROM unnest(items);
    RETURN QUERY
    SELECT item.ordinality, record.id, record.recorded_at, incident.id, record.cluster,
        record.recorded_by::text, record.log_nonce::bytea,
        (SELECT leaf_index FROM log_entries AS leaf WHERE leaf.record_id = record.id)
    FROM unnest(items) WITH ORDINALITY AS item
    JOIN audit_records AS record
        ON record.kind = item.kind AND record.created_at = item.created_at
        AND record.content_hash = item.content_hash
        AND record.created_at BETWEEN first_time AND last_time
    LEFT JOIN incident_records AS link ON link.id = record.id
    LEFT JOIN incidents AS incident ON incident.id = link.incident_id;
END
$$;
COMMENT ON FUNCTION find_audit_records(audit_write[]) IS
    'Finds the items that are stored.';

CREATE OR REPLACE FUNCTION store_action(
    of_incident_id bigint, new_version record_version, projection jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO incident_actions AS known (incident_id, action_id, action_type, status, version)
    VALUES (
        of_incident_id, (projection ->> 'action_id')::uuid, projection ->> 'action_type',
        projection ->> 'execution_status', new_version)
    ON CONFLICT (incident_id, action_id) DO UPDATE SET
        action_type = EXCLUDED.action_type, status = EXCLUDED.status, version = EXCLUDED.version
    WHERE supersedes(EXCLUDED.version, known.version);
END
$$;
COMMENT ON FUNCTION store_action(bigint, record_version, jsonb) IS
    'Stores an execution of an incident unless a later version is known. The caller must hold the incident''s lock.';

CREATE OR REPLACE FUNCTION update_incident(of_correlation_id text, changes incident_change[])
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    incident   incidents;
    known      incidents;
    versions   incident_versions;
    change     incident_change;
    shows      record_version;
    shown      jsonb;
    is_new     boolean;
    is_shown   boolean;
    has_action boolean := false;
BEGIN
    LOOP
        SELECT * INTO incident FROM incidents WHERE correlation_id = of_correlation_id FOR UPDATE;
        is_new := NOT FOUND;
        versions := NULL;
        IF is_new THEN
            incident.id := nextval('incident_ids');
            incident.correlation_id := of_correlation_id;
            incident.execution_status := 'pending';
            incident.action_types := '{}';
        ELSE
            SELECT * INTO versions FROM incident_versions WHERE incident_id = incident.id;
        END IF;
        known := incident;
        is_shown := false;
        FOREACH change IN ARRAY changes LOOP
            incident.opened_at := least(incident.opened_at, (change.version).created_at);
            IF is_new AND change.kind = 'execution' THEN
                incident.action_types := ARRAY[change.projection ->> 'action_type'];
            END IF;
            CONTINUE WHEN change.kind = 'event';
            shown := change.projection;
            -- The first record of an incident has nothing to supersede.
            IF is_shown OR NOT is_new THEN
                shows := CASE change.kind
                    WHEN 'remediation' THEN versions.remediation
                    WHEN 'aianalysis' THEN versions.aianalysis
                    WHEN 'workflow' THEN versions.workflow
                    WHEN 'execution' THEN versions.execution
                END;
                CONTINUE WHEN NOT supersedes(change.version, shows);
                -- The remediation sets target and signal; the execution, else the workflow, the status.
                IF change.kind <> 'remediation' AND (versions.remediation).object IS NOT NULL THEN
                    shown := shown
                        - '{cluster,namespace,target_type,target_name,action_history_id,signal_type}'::text[];
                END IF;
                IF change.kind <> 'execution' AND (versions.execution).object IS NOT NULL
                    OR change.kind = 'remediation' AND (versions.workflow).object IS NOT NULL
                THEN
                    shown := shown - 'execution_status';
                END IF;
            END IF;
            is_shown := true;
            incident := jsonb_populate_record(incident, shown);
            CASE change.kind
                WHEN 'remediation' THEN versions.remediation := change.version;
                WHEN 'aianalysis' THEN versions.aianalysis := change.version;
                WHEN 'workflow' THEN versions.workflow := change.version;
                WHEN 'execution' THEN versions.execution := change.version;
            END CASE;
        END LOOP;
        EXIT WHEN NOT is_new;
        INSERT INTO incidents SELECT incident.* ON CONFLICT (correlation_id) DO NOTHING;
        known := incident;
        -- Otherwise a concurrent writer created the incident: starts again with that one.
        EXIT WHEN FOUND;
    END LOOP;
    IF is_shown THEN
        versions.incident_id := incident.id;
        INSERT INTO incident_versions SELECT versions.*
        ON CONFLICT (incident_id) DO UPDATE SET (remediation, aianalysis, workflow, execution) = ROW (
            EXCLUDED.remediation, EXCLUDED.aianalysis, EXCLUDED.workflow, EXCLUDED.execution);
    END IF;
    FOREACH change IN ARRAY changes LOOP
        IF change.kind = 'execution' THEN
            PERFORM store_action(incident.id, change.version, change.projection);
            has_action := true;
        END IF;
    END LOOP;
    IF has_action THEN
        incident.action_types := ARRAY(
            SELECT DISTINCT action_type FROM incident_actions
            WHERE incident_id = incident.id ORDER BY action_type);
    END IF;
    IF incident IS DISTINCT FROM known THEN
        UPDATE incidents SET (
            opened_at, remediation_name, alert_name, alert_severity, signal_type, environment,
            fingerprint, completed_at, action_history_id, cluster, namespace, target_type,
            target_name, model_used, model_confidence, workflow_name, action_id, action_type,
            action_timestamp, action_types, execution_status
        ) = ROW (
            incident.opened_at, incident.remediation_name, incident.alert_name,
            incident.alert_severity, incident.signal_type, incident.environment,
            incident.fingerprint, incident.completed_at, incident.action_history_id,
            incident.cluster, incident.namespace, incident.target_type, incident.target_name,
            incident.model_used, incident.model_confidence, incident.workflow_name,
            incident.action_id, incident.action_type, incident.action_timestamp,
            incident.action_types, incident.execution_status)
        WHERE id = incident.id;
    END IF;
    RETURN incident.id;
END
$$;
COMMENT ON FUNCTION update_incident(text, incident_change[]) IS
    'Applies records to their incident, in order, and creates it if necessary. Keys of projections are columns of incidents. Returns the incident''s id.';

CREATE OR REPLACE FUNCTION log_time(instant timestamptz) RETURNS text
LANGUAGE sql STABLE
RETURN to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
COMMENT ON FUNCTION log_time(timestamptz) IS 'A time as entries of the log have it.';

CREATE OR REPLACE FUNCTION claim_log_round() RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    round_interval CONSTANT interval := '1 second';
BEGIN
    IF NOT EXISTS (SELECT FROM log_rounds WHERE is_only AND next_round_at <= clock_timestamp()) THEN
        RETURN false;
    END IF;
    -- Whoever comes while another is being elected passes by.
    UPDATE log_rounds SET next_round_at = clock_timestamp() + round_interval
    WHERE is_only = (SELECT is_only FROM log_rounds WHERE is_only FOR UPDATE SKIP LOCKED)
      AND next_round_at <= clock_timestamp();
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION claim_log_round() IS
    'Elects one caller a second, who must run a round; waits for nobody.';

CREATE OR REPLACE FUNCTION write_audit_records(written_records json, new_recorded_by text, signs_log boolean)
RETURNS json
LANGUAGE plpgsql
-- A cached plan for a small table would still scan it sequentially after it has grown.
SET enable_seqscan = off
-- Otherwise each write would be planned for its number of items.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    attempts_max CONSTANT integer := 5;
    items        audit_write[];
    -- Of each item.
    vector_ids   bigint[];
    ids          bigint[];
    incident_ids bigint[];
    inserted_ids bigint[] := '{}';
    replays      audit_replay[] := '{}';
    -- Numbers of items, from 1.
    new_texts    bigint[] := '{}';
    lacking      bigint[];
    linked       bigint[] := '{}';
    replay       audit_replay;
    changed      record;
    changed_id   bigint;
    number       bigint;
    links        bigint;
    is_elected   boolean := false;
    written      json;
BEGIN
    SELECT
        array_agg(item), array_agg(nextval('audit_record_ids')),
        array_agg((SELECT id FROM embeddings WHERE model = item.model AND text_hash = item.text_hash))
    INTO items, ids, vector_ids
    FROM json_populate_recordset(NULL::audit_write, written_records) AS item;
    IF array_position(vector_ids, NULL) IS NOT NULL THEN
        new_texts := ARRAY(
            SELECT ordinality FROM unnest(vector_ids) WITH ORDINALITY AS vector (id) WHERE id IS NULL);
        lacking := ARRAY(
            SELECT ordinality FROM unnest(items) WITH ORDINALITY AS item
            WHERE ordinality = ANY (new_texts) AND (model, text_hash) NOT IN (
                SELECT model, text_hash FROM unnest(items) WHERE embedding IS NOT NULL));
        IF cardinality(lacking) > 0 THEN
            -- What is stored already needs no vector.
            lacking := ARRAY(
                SELECT unnest(lacking)
                EXCEPT
                SELECT known.number FROM find_audit_records(items) AS known WHERE incident_id IS NOT NULL);
        END IF;
        IF cardinality(lacking) > 0 THEN
            RETURN json_build_object('lacking', to_json(lacking));
        END IF;
    END IF;

    FOR attempt IN 1 .. attempts_max LOOP
        WITH inserted AS (
            INSERT INTO audit_records (
                kind, id, created_at, content_hash, content, correlation_id, namespace, name, phase,
                cluster, recorded_by, log_nonce)
            SELECT
                kind, ids[ordinality], created_at, content_hash, content, correlation_id, namespace,
                name, phase, cluster, new_recorded_by, log_nonce
            FROM unnest(items) WITH ORDINALITY
            ORDER BY kind, created_at, content_hash, ordinality
            ON CONFLICT DO NOTHING
            RETURNING id
        )
        SELECT inserted_ids || array_agg(id) INTO inserted_ids FROM inserted;
        EXIT WHEN cardinality(inserted_ids) = cardinality(items);
        -- The others exist, perhaps from an identical request that the insert waited for. What is
        -- not visible here is being moved to another partition.
        replays := ARRAY(
            SELECT known FROM find_audit_records(items) AS known WHERE known.record_id <> ids[known.number]);
        EXIT WHEN cardinality(inserted_ids) + cardinality(replays) = cardinality(items);
    END LOOP;
    IF cardinality(inserted_ids) + cardinality(replays) <> cardinality(items) THEN
        RAISE EXCEPTION 'a record is neither stored nor found' USING ERRCODE = 'serialization_failure';
    END IF;
    FOREACH replay IN ARRAY replays LOOP
        -- Without an incident, because it was deleted, a replay creates it again.
        IF replay.incident_id IS NOT NULL OR replay.record_id = ANY (ids) THEN
            linked := linked || replay.number;
        END IF;
        ids[replay.number] := replay.record_id;
        incident_ids[replay.number] := replay.incident_id;
    END LOOP;

    IF cardinality(new_texts) > 0 THEN
        PERFORM store_embedding(model, text_hash, embedding, is_name)
        FROM (
            SELECT DISTINCT ON (model, text_hash) * FROM unnest(items)
            WHERE embedding IS NOT NULL AND (model, text_hash) IN (
                SELECT model, text_hash FROM unnest(items) WITH ORDINALITY
                WHERE ordinality = ANY (new_texts) AND ordinality <> ALL (linked))
            ORDER BY model, text_hash
        ) AS new_text;
        vector_ids := ARRAY(
            SELECT (SELECT id FROM embeddings WHERE model = item.model AND text_hash = item.text_hash)
            FROM unnest(items) AS item);
    END IF;
    -- Of several targets in one order; the loop below makes a single one. Histories are locked before
    -- incidents.
    IF cardinality(items) > 1 THEN
        PERFORM action_history_id_of(cluster, namespace, target_type, target_name)
        FROM (
            SELECT
                projection ->> 'cluster' AS cluster, projection ->> 'namespace' AS namespace,
                projection ->> 'target_type' AS target_type, projection ->> 'target_name' AS target_name
            FROM unnest(items) WITH ORDINALITY
            WHERE projection ? 'target_name' AND incident_ids[ordinality] IS NULL
        ) AS target
        ORDER BY target_hash_of(cluster, namespace, target_type, target_name);
    END IF;
    FOR changed IN
        SELECT
            correlation_id, array_agg(ordinality ORDER BY ordinality) AS numbers,
            coalesce(array_agg(ROW (
                kind, ROW (
                    ids[ordinality], namespace || '/' || name, created_at, started_at, phase, completed_at,
                    progress),
                projection || CASE WHEN projection ? 'target_name' THEN jsonb_build_object(
                    'action_history_id', action_history_id_of(
                        projection ->> 'cluster', projection ->> 'namespace',
                        projection ->> 'target_type', projection ->> 'target_name'))
                ELSE '{}' END)::incident_change ORDER BY ordinality)
                FILTER (WHERE ordinality <> ALL (linked)), '{}') AS changes
        FROM unnest(items) WITH ORDINALITY
        WHERE incident_ids[ordinality] IS NULL
        GROUP BY correlation_id
        ORDER BY correlation_id
    LOOP
        changed_id := update_incident(changed.correlation_id, changed.changes);
        FOREACH number IN ARRAY changed.numbers LOOP
            incident_ids[number] := changed_id;
        END LOOP;
    END LOOP;

    IF signs_log THEN
        is_elected := claim_log_round();
    END IF;
    WITH item AS MATERIALIZED (
        SELECT
            ordinality, ids[ordinality] AS record_id, kind, created_at, content_hash, projection, commitment
        FROM unnest(items) WITH ORDINALITY
        WHERE ordinality <> ALL (linked)
    ), link AS (
        INSERT INTO incident_records (
            id, incident_id, embedding_id, kind, created_at, content_hash, remediation_request_id,
            namespace, target_type, target_name, signal_type, root_cause)
        SELECT
            record_id, incident_ids[ordinality], vector.id, kind, created_at, content_hash,
            projection ->> 'remediation_request_id', projection ->> 'namespace',
            projection ->> 'target_type', projection ->> 'target_name', projection ->> 'signal_type',
            projection ->> 'root_cause'
        FROM item JOIN embeddings AS vector ON vector.id = vector_ids[ordinality]
        ON CONFLICT (id) DO UPDATE SET incident_id = EXCLUDED.incident_id
        RETURNING id
    ), logged AS (
        -- Canonical JSON (RFC 8785).
        INSERT INTO log_pending (record_id, entry)
        SELECT record_id, format(
            '{"commitment":"%s","id":%s,"kind":"%s","month":"%s","recorded_at":"%s","version":1}',
            commitment, record_id, kind, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM'), log_time(now()))
        FROM item WHERE record_id = ANY (inserted_ids)
        ORDER BY ordinality
    )
    SELECT
        (SELECT count(*) FROM link),
        json_build_object(
            'log_origin', (SELECT origin FROM log_rounds WHERE is_only), 'is_elected', is_elected,
            'records', json_agg(json_build_object(
                'id', ids[ordinality],
                -- Unix time in microseconds.
                'recorded_at', (extract(epoch FROM coalesce(known.recorded_at, now())) * 1000000)::bigint,
                'incident_id', incident_ids[ordinality],
                'is_text_new', ordinality = ANY (new_texts),
                'replayed', CASE WHEN known.number IS NOT NULL THEN json_build_object(
                    'cluster', known.cluster, 'recorded_by', known.recorded_by,
                    'log_nonce', encode(known.log_nonce, 'base64'), 'leaf_index', known.leaf_index)
                END) ORDER BY ordinality))
    INTO links, written
    FROM unnest(ids) WITH ORDINALITY AS item (id, ordinality)
    LEFT JOIN unnest(replays) AS known ON known.number = ordinality;
    IF links + cardinality(linked) <> cardinality(items) THEN
        -- Another transaction removed it with its last record, after the lookup.
        RAISE EXCEPTION 'a vector is gone' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN written;
END
$$;
COMMENT ON FUNCTION write_audit_records(json, text, boolean) IS
    'Stores records (an array of audit_write) with their sender, embeddings, incidents and log entries, all or none, or finds them stored. Returns per record, in order: its id, when it was stored, its incident''s id, whether its vector was new, and for a replay what its commitment consists of and the index of its leaf; and the origin of the log, null before its first checkpoint, and, if the caller signs the log, whether it must run a round. If vectors are neither stored nor given, stores nothing and returns the numbers, from 1, of the records that lack one.';
