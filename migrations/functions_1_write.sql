-- Stores a record, its embedding and its incident's projection in one statement of the caller.
-- Statements here see what was committed before them (READ COMMITTED), so a lookup finds a row that
-- a concurrent writer inserted. Lock order: record, vector, history, incident, action, version. A
-- write takes one of each, so writes cannot deadlock. Functions cache their plans per session.

CREATE OR REPLACE FUNCTION phase_rank(phase text) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE phase WHEN 'Pending' THEN 0 WHEN 'Processing' THEN 1 ELSE 2 END;
COMMENT ON FUNCTION phase_rank(text) IS 'Order of phases; Completed and Failed rank equally.';

CREATE OR REPLACE FUNCTION whole_second(instant timestamptz) RETURNS numeric
LANGUAGE sql IMMUTABLE
RETURN floor(extract(epoch FROM instant));
COMMENT ON FUNCTION whole_second(timestamptz) IS
    'Unix time in whole seconds, the precision of Kubernetes: records of one attempt may have and lack the fraction.';

CREATE OR REPLACE FUNCTION supersedes(new record_version, known record_version) RETURNS boolean
LANGUAGE sql IMMUTABLE
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
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN starts_with(written, '{') THEN written::sparsevec::vector
    ELSE written::vector
END;
COMMENT ON FUNCTION read_embedding(text) IS 'Parses the text form of a vector or sparsevec.';

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

CREATE OR REPLACE FUNCTION action_history_id_of(
    of_cluster text, of_namespace text, of_target_type text, of_target_name text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    found_id bigint;
    of_hash  bytea := sha256(convert_to(
        jsonb_build_array(of_cluster, of_namespace, lower(of_target_type COLLATE "C"), of_target_name)::text, 'UTF8'));
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

CREATE OR REPLACE FUNCTION find_audit_record(
    of_kind text, of_created_at timestamptz, of_content_hash bytea,
    OUT record_id bigint, OUT record_recorded_at timestamptz, OUT record_incident_id bigint,
    OUT record_cluster text, OUT record_recorded_by text, OUT record_nonce bytea,
    OUT record_leaf_index bigint)
LANGUAGE plpgsql
-- A cached plan locks every partition of every kind, a custom plan only the matching ones.
SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    SELECT record.id, record.recorded_at, incident.id, record.cluster, record.recorded_by,
        record.log_nonce, (SELECT leaf_index FROM log_entries AS leaf WHERE leaf.record_id = record.id)
    INTO record_id, record_recorded_at, record_incident_id, record_cluster, record_recorded_by,
        record_nonce, record_leaf_index
    FROM audit_records AS record
    LEFT JOIN incident_records AS link ON link.id = record.id
    LEFT JOIN incidents AS incident ON incident.id = link.incident_id
    WHERE record.kind = of_kind AND record.created_at = of_created_at
      AND record.content_hash = of_content_hash;
END
$$;
COMMENT ON FUNCTION find_audit_record(text, timestamptz, bytea) IS
    'Finds a record by kind, time and content. Returns its id, when it was recorded, its incident''s id, what its commitment consists of, and the index of its leaf; null if there is none.';

CREATE OR REPLACE FUNCTION store_action(
    of_incident_id bigint, new_version record_version, projection jsonb)
RETURNS text[]
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
    RETURN ARRAY(
        SELECT DISTINCT action_type FROM incident_actions
        WHERE incident_id = of_incident_id ORDER BY action_type);
END
$$;
COMMENT ON FUNCTION store_action(bigint, record_version, jsonb) IS
    'Stores an execution of an incident unless a later version is known. Returns the distinct action types of the incident. The caller must hold the incident''s lock.';

CREATE OR REPLACE FUNCTION update_incident(
    of_correlation_id text, of_kind text, new_version record_version, projection jsonb)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    incident   incidents;
    known      incidents;
    versions   incident_versions;
    shown      jsonb := projection;
    history_id bigint;
    is_new     boolean;
    is_shown   boolean;
BEGIN
    IF projection ? 'target_name' THEN
        history_id := action_history_id_of(
            projection ->> 'cluster', projection ->> 'namespace', projection ->> 'target_type',
            projection ->> 'target_name');
    END IF;
    LOOP
        SELECT * INTO incident FROM incidents WHERE correlation_id = of_correlation_id FOR UPDATE;
        is_new := NOT FOUND;
        known := incident;
        versions := NULL;
        IF is_new THEN
            incident.id := nextval('incident_ids');
            incident.correlation_id := of_correlation_id;
            incident.execution_status := 'pending';
            incident.action_types := CASE of_kind
                WHEN 'execution' THEN ARRAY[projection ->> 'action_type'] ELSE '{}' END;
        ELSE
            SELECT * INTO versions FROM incident_versions WHERE incident_id = incident.id;
        END IF;
        is_shown := supersedes(new_version, CASE of_kind
            WHEN 'remediation' THEN versions.remediation
            WHEN 'aianalysis' THEN versions.aianalysis
            WHEN 'workflow' THEN versions.workflow
            WHEN 'execution' THEN versions.execution
        END);
        IF is_shown THEN
            -- The remediation sets target and signal; the execution, else the workflow, the status.
            IF of_kind <> 'remediation' AND (versions.remediation).object IS NOT NULL THEN
                shown := shown - '{cluster,namespace,target_type,target_name,signal_type}'::text[];
            END IF;
            IF of_kind <> 'execution' AND (versions.execution).object IS NOT NULL
                OR of_kind = 'remediation' AND (versions.workflow).object IS NOT NULL
            THEN
                shown := shown - 'execution_status';
            END IF;
            incident := jsonb_populate_record(incident, shown);
            IF shown ? 'target_name' THEN
                incident.action_history_id := history_id;
            END IF;
        END IF;
        incident.opened_at := least(incident.opened_at, new_version.created_at);
        IF is_new THEN
            INSERT INTO incidents SELECT incident.* ON CONFLICT (correlation_id) DO NOTHING;
            -- A concurrent writer created the incident: use that one.
            CONTINUE WHEN NOT FOUND;
        END IF;
        IF of_kind = 'execution' THEN
            incident.action_types := store_action(incident.id, new_version, projection);
        END IF;
        EXIT;
    END LOOP;
    IF is_shown THEN
        CASE of_kind
            WHEN 'remediation' THEN versions.remediation := new_version;
            WHEN 'aianalysis' THEN versions.aianalysis := new_version;
            WHEN 'workflow' THEN versions.workflow := new_version;
            WHEN 'execution' THEN versions.execution := new_version;
        END CASE;
        versions.incident_id := incident.id;
        INSERT INTO incident_versions SELECT versions.*
        ON CONFLICT (incident_id) DO UPDATE SET (remediation, aianalysis, workflow, execution) = ROW (
            EXCLUDED.remediation, EXCLUDED.aianalysis, EXCLUDED.workflow, EXCLUDED.execution);
    END IF;
    IF incident IS DISTINCT FROM known AND NOT is_new THEN
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
COMMENT ON FUNCTION update_incident(text, text, record_version, jsonb) IS
    'Applies a record to its incident, which it creates if necessary. Keys of projection are columns of incidents. Returns the incident''s id.';

CREATE OR REPLACE FUNCTION log_time(instant timestamptz) RETURNS text
LANGUAGE sql STABLE
RETURN to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
COMMENT ON FUNCTION log_time(timestamptz) IS 'A time as entries of the log have it.';

CREATE OR REPLACE FUNCTION claim_log_round(OUT log_origin text, OUT is_elected boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    round_interval CONSTANT interval := '1 second';
BEGIN
    SELECT origin, next_round_at <= clock_timestamp() INTO log_origin, is_elected
    FROM log_rounds WHERE is_only;
    IF is_elected THEN
        -- Whoever comes while another is being elected passes by.
        UPDATE log_rounds SET next_round_at = clock_timestamp() + round_interval
        WHERE is_only = (SELECT is_only FROM log_rounds WHERE is_only FOR UPDATE SKIP LOCKED)
          AND next_round_at <= clock_timestamp();
        is_elected := FOUND;
    END IF;
END
$$;
COMMENT ON FUNCTION claim_log_round() IS
    'Elects one caller a second, who must run a round; waits for nobody. Also returns the origin of the log, null before its first checkpoint.';

CREATE OR REPLACE FUNCTION write_audit_record(
    new_kind            text,
    new_created_at      timestamp,
    new_content_hash    bytea,
    new_content         text,
    new_correlation_id  text,
    new_namespace       text,
    new_name            text,
    new_phase           text,
    new_started_at      timestamp,
    new_completed_at    timestamp,
    new_progress        bigint,
    new_cluster         text,
    new_recorded_by     text,
    projection          jsonb,
    embedding_model     text,
    embedding_text_hash bytea,
    written_embedding   text,
    new_log_nonce       bytea,
    new_commitment      text,
    signs_log           boolean,
    OUT stored_id          bigint,
    OUT stored_at          bigint,
    OUT stored_incident_id bigint,
    OUT is_replayed        boolean,
    OUT is_embedding_new   boolean,
    OUT first_cluster      text,
    OUT first_recorded_by  text,
    OUT first_log_nonce    bytea,
    OUT leaf_index         bigint,
    OUT log_origin         text,
    OUT is_elected         boolean)
LANGUAGE plpgsql
-- A cached plan for a small table would still scan it sequentially after it has grown.
SET enable_seqscan = off
AS $$
DECLARE
    attempts_max      CONSTANT integer := 5;
    record_created_at timestamptz := new_created_at AT TIME ZONE 'UTC';
    new_version       record_version;
    new_recorded_at   timestamptz;
    vector_id         bigint;
BEGIN
    is_replayed := false;
    is_embedding_new := false;
    SELECT id INTO vector_id
    FROM embeddings WHERE model = embedding_model AND text_hash = embedding_text_hash;
    IF vector_id IS NULL AND written_embedding IS NULL THEN
        SELECT * INTO
            stored_id, new_recorded_at, stored_incident_id, first_cluster, first_recorded_by,
            first_log_nonce, leaf_index
        FROM find_audit_record(new_kind, record_created_at, new_content_hash);
        IF stored_incident_id IS NULL THEN
            stored_id := NULL;
            RETURN;
        END IF;
        is_replayed := true;
    END IF;

    FOR attempt IN 1 .. attempts_max LOOP
        EXIT WHEN stored_id IS NOT NULL;
        INSERT INTO audit_records (
            kind, created_at, content_hash, content, correlation_id, namespace, name, phase,
            cluster, recorded_by, log_nonce)
        VALUES (
            new_kind, record_created_at, new_content_hash, new_content, new_correlation_id,
            new_namespace, new_name, new_phase, new_cluster, new_recorded_by,
            new_log_nonce)
        ON CONFLICT DO NOTHING
        RETURNING id, recorded_at INTO stored_id, new_recorded_at;
        is_replayed := stored_id IS NULL;
        IF is_replayed THEN
            -- The record exists, perhaps from an identical request that the insert waited for. If
            -- it is not visible here, it is being moved to another partition.
            SELECT * INTO
                stored_id, new_recorded_at, stored_incident_id, first_cluster, first_recorded_by,
                first_log_nonce, leaf_index
            FROM find_audit_record(new_kind, record_created_at, new_content_hash);
        END IF;
    END LOOP;
    IF stored_id IS NULL THEN
        RAISE EXCEPTION 'the record is neither stored nor found' USING ERRCODE = 'serialization_failure';
    END IF;

    -- Recreates the incident if it was deleted.
    IF stored_incident_id IS NULL THEN
        IF vector_id IS NULL THEN
            vector_id := store_embedding(
                embedding_model, embedding_text_hash, written_embedding,
                new_kind IN ('remediation', 'workflow', 'execution'));
            is_embedding_new := true;
        END IF;
        new_version := (
            stored_id, new_namespace || '/' || new_name, record_created_at,
            new_started_at AT TIME ZONE 'UTC', new_phase, new_completed_at AT TIME ZONE 'UTC',
            new_progress);
        stored_incident_id := update_incident(new_correlation_id, new_kind, new_version, projection);
        INSERT INTO incident_records (
            id, incident_id, embedding_id, kind, created_at, content_hash, remediation_request_id,
            namespace, target_type, target_name, signal_type, root_cause)
        SELECT
            stored_id, stored_incident_id, text.id, new_kind, record_created_at, new_content_hash,
            projection ->> 'remediation_request_id', projection ->> 'namespace',
            projection ->> 'target_type', projection ->> 'target_name',
            projection ->> 'signal_type', projection ->> 'root_cause'
        FROM embeddings AS text WHERE text.id = vector_id
        ON CONFLICT (id) DO UPDATE SET incident_id = EXCLUDED.incident_id;
        IF NOT FOUND THEN
            -- Another transaction removed it with its last record, after the lookup.
            RAISE EXCEPTION 'the vector is gone' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    IF NOT is_replayed THEN
        -- Canonical JSON (RFC 8785).
        INSERT INTO log_pending (record_id, entry) VALUES (stored_id, format(
            '{"commitment":"%s","id":%s,"kind":"%s","month":"%s","recorded_at":"%s","version":1}',
            new_commitment, stored_id, new_kind, to_char(new_created_at, 'YYYY-MM'), log_time(new_recorded_at)));
    END IF;
    stored_at := (extract(epoch FROM new_recorded_at) * 1000000)::bigint;
    IF signs_log THEN
        SELECT * INTO log_origin, is_elected FROM claim_log_round();
    ELSE
        SELECT origin, false INTO log_origin, is_elected FROM log_rounds WHERE is_only;
    END IF;
END
$$;
COMMENT ON FUNCTION write_audit_record IS
    'Stores a record with its sender, embedding, incident projection and log entry, or finds it stored. Keys of projection are columns of incidents and incident_records. Returns the record''s id, when it was stored (Unix time in microseconds), its incident''s id, whether it is a replay, whether the vector is new; for a replay what the commitment consists of: cluster, sender and nonce of the first write, and the index of its leaf; the origin of the log, null before its first checkpoint; and, if the caller signs the log, whether it must run a round. The id is null, and nothing stored, if the vector is neither stored nor given.';
