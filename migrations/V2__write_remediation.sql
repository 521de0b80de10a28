-- The writes, as functions: one statement of the caller stores a record, its embedding and
-- what its incident says, together or not at all. A function keeps the plans of its
-- statements for the session; the caller's one statement is planned anew for each request.
--
-- Each statement in these functions sees what was committed before it began (READ
-- COMMITTED), so that a row which somebody else was faster to insert is there when it is
-- looked up again. Every write takes its locks in the same order (vector, record, history,
-- incident), one of each, so that two writes cannot wait for each other.

CREATE FUNCTION embedding_id_of(key_model text, key_text_hash bytea, new_embedding sparsevec)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    found_id bigint;
BEGIN
    SELECT id INTO found_id FROM embeddings WHERE model = key_model AND text_hash = key_text_hash;
    IF found_id IS NULL AND new_embedding IS NOT NULL THEN
        INSERT INTO embeddings (model, text_hash, embedding)
        VALUES (key_model, key_text_hash, new_embedding::vector)
        ON CONFLICT (model, text_hash) DO NOTHING
        RETURNING id INTO found_id;
        IF found_id IS NULL THEN
            SELECT id INTO STRICT found_id
            FROM embeddings WHERE model = key_model AND text_hash = key_text_hash;
        END IF;
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION embedding_id_of(text, bytea, sparsevec) IS
    'The vector of a model and text, stored if it is given and was missing; null if it is missing and not given.';

CREATE FUNCTION action_history_id_of(
    of_cluster text, of_namespace text, of_target_type text, of_target_name text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    found_id bigint;
    of_hash  bytea := sha256(convert_to(
        jsonb_build_array(of_cluster, of_namespace, of_target_type, of_target_name)::text, 'UTF8'));
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
    'The history of a target, begun if there was none.';

CREATE FUNCTION write_remediation(
    new_content_hash     bytea,
    new_content          text,
    new_version          bytea,
    new_correlation_id   text,
    new_namespace        text,
    new_name             text,
    new_phase            text,
    new_reason           text,
    new_message          text,
    new_created_at       timestamp,
    new_started_at       timestamp,
    new_completed_at     timestamp,
    new_alert_name       text,
    new_signal_type      text,
    new_severity         text,
    new_cluster          text,
    new_target_namespace text,
    new_target_type      text,
    new_target_name      text,
    new_environment      text,
    new_priority         text,
    new_fingerprint      text,
    new_execution_status text,
    embedding_model      text,
    embedding_text_hash  bytea,
    new_embedding        sparsevec)
RETURNS TABLE (
    stored_record_id    bigint,
    stored_embedding_id bigint,
    stored_at           timestamp,
    stored_incident_id  bigint,
    is_replayed         boolean)
LANGUAGE plpgsql
-- The plans live as long as the session. One that was made while a table had a page or two
-- would read the whole table long after it has grown.
SET enable_seqscan = off
AS $$
DECLARE
    vector_id         bigint;
    history_id        bigint;
    record_created_at timestamptz := new_created_at AT TIME ZONE 'UTC';
BEGIN
    -- Again only where an identical request is storing the same record right now: the insert
    -- below waits for it to commit, and then it is found.
    LOOP
        SELECT id, incident_embedding_id, recorded_at AT TIME ZONE 'UTC'
        INTO stored_record_id, stored_embedding_id, stored_at
        FROM remediation_audit
        WHERE created_at = record_created_at AND content_hash = new_content_hash;
        IF FOUND THEN
            SELECT incident_id INTO STRICT stored_incident_id
            FROM incident_embeddings WHERE id = stored_embedding_id;
            is_replayed := true;
            RETURN NEXT;
            RETURN;
        END IF;

        vector_id := embedding_id_of(embedding_model, embedding_text_hash, new_embedding);
        IF vector_id IS NULL THEN
            RETURN;
        END IF;

        INSERT INTO remediation_audit (
            content_hash, content, correlation_id, namespace, name, phase, created_at,
            severity, cluster, incident_embedding_id)
        VALUES (
            new_content_hash, new_content, new_correlation_id, new_namespace, new_name,
            new_phase, record_created_at, new_severity, new_cluster,
            nextval('incident_embedding_ids'))
        ON CONFLICT (created_at, content_hash) DO NOTHING
        RETURNING id, incident_embedding_id, recorded_at AT TIME ZONE 'UTC'
        INTO stored_record_id, stored_embedding_id, stored_at;
        EXIT WHEN FOUND;
    END LOOP;

    history_id := action_history_id_of(
        new_cluster, new_target_namespace, new_target_type, new_target_name);

    INSERT INTO incidents AS known (
        correlation_id, action_history_id, alert_name, alert_severity, action_timestamp,
        execution_status, namespace, cluster, target_type, target_name, signal_type,
        environment, priority, fingerprint, remediation_version, remediation_name,
        remediation_phase, remediation_reason, remediation_message, created_at, started_at,
        completed_at)
    VALUES (
        new_correlation_id, history_id, new_alert_name, new_severity, record_created_at,
        new_execution_status, new_target_namespace, new_cluster, new_target_type,
        new_target_name, new_signal_type, new_environment, new_priority, new_fingerprint,
        new_version, new_name, new_phase, new_reason, new_message, record_created_at,
        new_started_at AT TIME ZONE 'UTC', new_completed_at AT TIME ZONE 'UTC')
    ON CONFLICT (correlation_id) DO UPDATE SET
        action_history_id   = EXCLUDED.action_history_id,
        alert_name          = EXCLUDED.alert_name,
        alert_severity      = EXCLUDED.alert_severity,
        action_timestamp    = EXCLUDED.action_timestamp,
        execution_status    = EXCLUDED.execution_status,
        namespace           = EXCLUDED.namespace,
        cluster             = EXCLUDED.cluster,
        target_type         = EXCLUDED.target_type,
        target_name         = EXCLUDED.target_name,
        signal_type         = EXCLUDED.signal_type,
        environment         = EXCLUDED.environment,
        priority            = EXCLUDED.priority,
        fingerprint         = EXCLUDED.fingerprint,
        remediation_version = EXCLUDED.remediation_version,
        remediation_name    = EXCLUDED.remediation_name,
        remediation_phase   = EXCLUDED.remediation_phase,
        remediation_reason  = EXCLUDED.remediation_reason,
        remediation_message = EXCLUDED.remediation_message,
        created_at          = EXCLUDED.created_at,
        started_at          = EXCLUDED.started_at,
        completed_at        = EXCLUDED.completed_at
    WHERE known.remediation_version IS NULL
       OR EXCLUDED.remediation_version > known.remediation_version
    RETURNING id INTO stored_incident_id;
    IF stored_incident_id IS NULL THEN
        -- A newer version is there already: the record is stored, the incident stays.
        SELECT id INTO STRICT stored_incident_id
        FROM incidents WHERE correlation_id = new_correlation_id;
    END IF;

    INSERT INTO incident_embeddings (
        id, incident_id, embedding_id, record_kind, record_id, remediation_request_id,
        namespace, target_type, target_name, signal_type)
    VALUES (
        stored_embedding_id, stored_incident_id, vector_id, 'remediation', stored_record_id, new_name,
        new_target_namespace, new_target_type, new_target_name, new_signal_type);
    is_replayed := false;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION write_remediation IS
    'Stores a remediation record, or finds it stored. No row: its vector is not known and was not given, and nothing was stored.';
