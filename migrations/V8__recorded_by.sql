-- Who sent a record, as Kubernetes knows the caller.

ALTER TABLE audit_records ADD COLUMN recorded_by text COLLATE "C";
COMMENT ON COLUMN audit_records.recorded_by IS
    'The user who sent the record first, as the Kubernetes API server named the bearer of the request''s token, never as the request says; null where callers are not asked who they are.';

-- Not validated: that would read every record, and keep everybody waiting meanwhile. The
-- records that are there have no such name.
ALTER TABLE audit_records ADD CONSTRAINT audit_records_recorded_by_check
    CHECK (char_length(recorded_by) BETWEEN 1 AND 1024) NOT VALID;

-- The function has one parameter more, and so another name. The one before it stays for the
-- replicas of the last version, until none is left.
CREATE FUNCTION write_audit_record_2(
    new_kind            text,
    new_created_at      timestamp,
    new_content_hash    bytea,
    new_content         text,
    new_version         bytea,
    new_correlation_id  text,
    new_namespace       text,
    new_name            text,
    new_phase           text,
    new_cluster         text,
    facts               jsonb,
    embedding_model     text,
    embedding_text_hash bytea,
    written_embedding   text,
    new_recorded_by     text)
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
    attempts_max      CONSTANT integer := 5;
    record            audit_records;
    record_created_at timestamptz := new_created_at AT TIME ZONE 'UTC';
    vector_id         bigint;
BEGIN
    SELECT id INTO vector_id
    FROM embeddings WHERE model = embedding_model AND text_hash = embedding_text_hash;
    IF vector_id IS NULL THEN
        record := find_audit_record(new_kind, record_created_at, new_content_hash);
        IF record.id IS NULL THEN
            IF written_embedding IS NULL THEN
                RETURN;
            END IF;
            vector_id := store_embedding(embedding_model, embedding_text_hash, written_embedding);
        END IF;
    END IF;

    is_replayed := record.id IS NOT NULL;
    FOR attempt IN 1 .. attempts_max LOOP
        EXIT WHEN record.id IS NOT NULL;
        INSERT INTO audit_records (
            kind, created_at, content_hash, content, correlation_id, namespace, name, phase,
            severity, cluster, recorded_by, incident_embedding_id)
        VALUES (
            new_kind, record_created_at, new_content_hash, new_content, new_correlation_id,
            new_namespace, new_name, new_phase, facts ->> 'severity', new_cluster,
            new_recorded_by, nextval('incident_embedding_ids'))
        ON CONFLICT DO NOTHING
        RETURNING * INTO record;
        is_replayed := record.id IS NULL;
        IF is_replayed THEN
            -- It is there, perhaps stored just now by an identical request that the insert
            -- waited for. Not found here, it was on its way to another partition.
            record := find_audit_record(new_kind, record_created_at, new_content_hash);
        END IF;
    END LOOP;
    IF record.id IS NULL THEN
        RAISE EXCEPTION 'the record is neither stored nor found' USING ERRCODE = 'serialization_failure';
    END IF;
    stored_record_id := record.id;
    stored_embedding_id := record.incident_embedding_id;
    stored_at := record.recorded_at AT TIME ZONE 'UTC';

    IF is_replayed THEN
        SELECT incident_id INTO STRICT stored_incident_id
        FROM incident_embeddings WHERE id = stored_embedding_id;
        RETURN NEXT;
        RETURN;
    END IF;

    CASE new_kind
        WHEN 'remediation' THEN PERFORM project_remediation(record, new_version, facts);
        WHEN 'aianalysis' THEN PERFORM project_aianalysis(record, new_version, facts);
        WHEN 'workflow' THEN PERFORM project_workflow(record, new_version, facts);
        WHEN 'execution' THEN PERFORM project_execution(record, new_version, facts);
    END CASE;
    SELECT id INTO STRICT stored_incident_id
    FROM incidents WHERE correlation_id = new_correlation_id;

    INSERT INTO incident_embeddings (
        id, incident_id, embedding_id, record_kind, record_id, remediation_request_id,
        namespace, target_type, target_name, signal_type, root_cause)
    SELECT
        stored_embedding_id, stored_incident_id, vector_id, new_kind, stored_record_id,
        CASE new_kind WHEN 'remediation' THEN new_name ELSE fact.remediation_request_ref END,
        fact.target_namespace, fact.target_type, fact.target_name, fact.signal_type,
        fact.root_cause
    FROM jsonb_to_record(facts) AS fact (
        remediation_request_ref text, target_namespace text, target_type text,
        target_name text, signal_type text, root_cause text);
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION write_audit_record_2 IS
    'Stores a record of any kind, who sent it, its embedding and what its incident says, or finds it stored. No row: its vector is not known and was not given, and nothing was stored.';

CREATE OR REPLACE FUNCTION write_audit_record(
    new_kind            text,
    new_created_at      timestamp,
    new_content_hash    bytea,
    new_content         text,
    new_version         bytea,
    new_correlation_id  text,
    new_namespace       text,
    new_name            text,
    new_phase           text,
    new_cluster         text,
    facts               jsonb,
    embedding_model     text,
    embedding_text_hash bytea,
    written_embedding   text)
RETURNS TABLE (
    stored_record_id    bigint,
    stored_embedding_id bigint,
    stored_at           timestamp,
    stored_incident_id  bigint,
    is_replayed         boolean)
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY SELECT * FROM write_audit_record_2(
        new_kind, new_created_at, new_content_hash, new_content, new_version, new_correlation_id,
        new_namespace, new_name, new_phase, new_cluster, facts, embedding_model,
        embedding_text_hash, written_embedding, NULL);
END
$$;
COMMENT ON FUNCTION write_audit_record IS
    'What replicas call that know no sender: write_audit_record_2 without one. To be dropped when none does.';
