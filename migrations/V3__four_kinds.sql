-- The records of all four kinds, and one way to write them.
--
-- audit_records has a table per kind below it, and each of those a partition per month. What
-- a kind adds in the database is its table and its projection: the function that says what
-- an incident takes from a record of the kind.

CREATE TABLE audit_records (
    kind                  text        NOT NULL COLLATE "C",
    id                    bigint      NOT NULL DEFAULT nextval('audit_record_ids'),
    created_at            timestamptz NOT NULL,
    content_hash          bytea       NOT NULL CHECK (octet_length(content_hash) = 32),
    recorded_at           timestamptz NOT NULL DEFAULT now(),
    correlation_id        text        NOT NULL COLLATE "C",
    namespace             text        NOT NULL COLLATE "C",
    name                  text        NOT NULL COLLATE "C",
    phase                 text        NOT NULL COLLATE "C",
    severity              text        COLLATE "C",
    cluster               text        NOT NULL COLLATE "C",
    content               text        NOT NULL,
    incident_embedding_id bigint      NOT NULL
) PARTITION BY LIST (kind);
COMMENT ON TABLE audit_records IS
    'Append-only: every version of everything that was reported; a table per kind, each by month of created_at.';
COMMENT ON COLUMN audit_records.kind IS 'remediation, aianalysis, workflow or execution.';
COMMENT ON COLUMN audit_records.id IS 'The id that the writer was answered.';
COMMENT ON COLUMN audit_records.created_at IS
    'The record''s createdAt, to the microsecond; content has it as it was sent.';
COMMENT ON COLUMN audit_records.content_hash IS
    'SHA-256 of content. With kind and created_at it makes a repeated request the same record.';
COMMENT ON COLUMN audit_records.recorded_at IS 'When this service stored the record.';
COMMENT ON COLUMN audit_records.severity IS
    'The severity in force, of a kind that has one: the record''s own, else its label''s, else its priority''s.';
COMMENT ON COLUMN audit_records.cluster IS
    'The cluster in force: the record''s own, else its label''s, else the service''s own cluster.';
COMMENT ON COLUMN audit_records.content IS
    'The whole record as it was sent, as canonical JSON (RFC 8785).';
COMMENT ON COLUMN audit_records.incident_embedding_id IS
    'The record''s row in incident_embeddings, and through it its incident.';

ALTER TABLE remediation_audit
    RENAME CONSTRAINT remediation_audit_content_hash_check TO audit_records_content_hash_check;
ALTER TABLE remediation_audit ADD COLUMN kind text NOT NULL DEFAULT 'remediation' COLLATE "C";
ALTER TABLE audit_records ATTACH PARTITION remediation_audit FOR VALUES IN ('remediation');

-- The key that tells a repeated record stands on each kind's table.
CREATE TABLE aianalysis_audit PARTITION OF audit_records (PRIMARY KEY (created_at, content_hash))
    FOR VALUES IN ('aianalysis') PARTITION BY RANGE (created_at);
CREATE TABLE workflow_audit PARTITION OF audit_records (PRIMARY KEY (created_at, content_hash))
    FOR VALUES IN ('workflow') PARTITION BY RANGE (created_at);
CREATE TABLE execution_audit PARTITION OF audit_records (PRIMARY KEY (created_at, content_hash))
    FOR VALUES IN ('execution') PARTITION BY RANGE (created_at);
COMMENT ON TABLE aianalysis_audit IS 'Every version of every AI analysis that was reported.';
COMMENT ON TABLE workflow_audit IS 'Every version of every workflow execution that was reported.';
COMMENT ON TABLE execution_audit IS 'Every version of every Kubernetes action that was reported.';

CREATE TABLE aianalysis_audit_default PARTITION OF aianalysis_audit DEFAULT;
CREATE TABLE workflow_audit_default PARTITION OF workflow_audit DEFAULT;
CREATE TABLE execution_audit_default PARTITION OF execution_audit DEFAULT;
COMMENT ON TABLE aianalysis_audit_default IS 'Records of a month that has no partition.';
COMMENT ON TABLE workflow_audit_default IS 'Records of a month that has no partition.';
COMMENT ON TABLE execution_audit_default IS 'Records of a month that has no partition.';

SELECT create_month_partitions(
    audit_table, (now() AT TIME ZONE 'UTC' - interval '1 month')::date, 14)
FROM unnest(ARRAY['aianalysis_audit', 'workflow_audit', 'execution_audit']::regclass[]) AS audit_table;

ALTER TABLE incidents
    ADD COLUMN analysis_version           bytea,
    ADD COLUMN analysis_name              text COLLATE "C",
    ADD COLUMN analysis_phase             text COLLATE "C",
    ADD COLUMN analysis_reason            text,
    ADD COLUMN analysis_message           text,
    ADD COLUMN analysis_created_at        timestamptz,
    ADD COLUMN analysis_started_at        timestamptz,
    ADD COLUMN analysis_completed_at      timestamptz,
    ADD COLUMN llm_provider               text COLLATE "C",
    ADD COLUMN root_cause                 text,
    ADD COLUMN recommended_action         text,
    ADD COLUMN investigation_id           text COLLATE "C",
    ADD COLUMN analysis_requires_approval boolean,
    ADD COLUMN workflow_version           bytea,
    ADD COLUMN workflow_name              text COLLATE "C",
    ADD COLUMN workflow_phase             text COLLATE "C",
    ADD COLUMN workflow_reason            text,
    ADD COLUMN workflow_message           text,
    ADD COLUMN workflow_created_at        timestamptz,
    ADD COLUMN workflow_started_at        timestamptz,
    ADD COLUMN workflow_completed_at      timestamptz,
    ADD COLUMN workflow_step_count        bigint,
    ADD COLUMN workflow_current_step      bigint,
    ADD COLUMN workflow_completed_count   bigint,
    ADD COLUMN workflow_failed_count      bigint,
    ADD COLUMN workflow_skipped_count     bigint,
    ADD COLUMN workflow_requires_approval boolean,
    ADD COLUMN workflow_is_auto_approved  boolean,
    ADD COLUMN execution_version          bytea,
    ADD COLUMN execution_name             text COLLATE "C",
    ADD COLUMN execution_phase            text COLLATE "C",
    ADD COLUMN execution_reason           text,
    ADD COLUMN execution_message          text,
    ADD COLUMN execution_created_at       timestamptz,
    ADD COLUMN execution_started_at       timestamptz,
    ADD COLUMN execution_completed_at     timestamptz,
    ADD COLUMN execution_step_name        text COLLATE "C",
    ADD COLUMN execution_result           text;
COMMENT ON COLUMN incidents.analysis_version IS
    'Orders the versions of all AI analyses; the greatest one''s values stand here.';
COMMENT ON COLUMN incidents.workflow_version IS
    'Orders the versions of all workflow executions; the greatest one''s values stand here.';
COMMENT ON COLUMN incidents.execution_version IS
    'Orders the versions of all Kubernetes actions; the greatest one''s values stand here.';
COMMENT ON COLUMN incidents.action_timestamp IS
    'createdAt of the latest execution; until there is one, of the remediation, else the workflow, else the analysis.';
COMMENT ON COLUMN incidents.execution_status IS
    'pending, executing, completed, failed or rolled-back: of the latest execution; until there is one, of the workflow, else the remediation.';
COMMENT ON COLUMN incidents.target_name IS
    'With cluster, namespace and target_type: the remediation''s target; until that is known, the latest execution''s.';
COMMENT ON COLUMN incidents.signal_type IS
    'The remediation''s; until that is known, the analysis''.';
COMMENT ON COLUMN incidents.workflow_name IS 'The workflow that is executed, not the object that executes it.';

-- Below this the writes.

DROP FUNCTION write_remediation;
DROP FUNCTION embedding_id_of;

CREATE FUNCTION store_embedding(of_model text, of_text_hash bytea, written_embedding text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    stored_id bigint;
BEGIN
    INSERT INTO embeddings (model, text_hash, embedding)
    VALUES (of_model, of_text_hash, CASE
        WHEN starts_with(written_embedding, '{') THEN written_embedding::sparsevec::vector
        ELSE written_embedding::vector
    END)
    ON CONFLICT (model, text_hash) DO NOTHING
    RETURNING id INTO stored_id;
    IF stored_id IS NULL THEN
        SELECT id INTO STRICT stored_id
        FROM embeddings WHERE model = of_model AND text_hash = of_text_hash;
    END IF;
    RETURN stored_id;
END
$$;
COMMENT ON FUNCTION store_embedding(text, bytea, text) IS
    'The id of a vector, which is stored unless it is there. It is written as a vector or as a sparsevec.';

CREATE FUNCTION find_audit_record(
    of_kind text, of_created_at timestamptz, of_content_hash bytea)
RETURNS audit_records
LANGUAGE plpgsql
-- A plan that is kept locks every partition of every kind each time; one that is made for
-- the values locks the one that they are in.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    found_record audit_records;
BEGIN
    SELECT * INTO found_record FROM audit_records
    WHERE kind = of_kind AND created_at = of_created_at AND content_hash = of_content_hash;
    RETURN found_record;
END
$$;
COMMENT ON FUNCTION find_audit_record(text, timestamptz, bytea) IS
    'The record of a kind with this time and content; null if there is none.';

CREATE FUNCTION execution_status_of(phase text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE phase
    WHEN 'Pending' THEN 'pending'
    WHEN 'Processing' THEN 'executing'
    WHEN 'Completed' THEN 'completed'
    WHEN 'Failed' THEN 'failed'
END;
COMMENT ON FUNCTION execution_status_of(text) IS 'What a phase says about an execution.';

CREATE FUNCTION project_remediation(record audit_records, new_version bytea, facts jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO incidents AS known (
        correlation_id, remediation_version, remediation_name, remediation_phase,
        remediation_reason, remediation_message, created_at, started_at, completed_at,
        alert_name, alert_severity, environment, priority, fingerprint, signal_type,
        action_history_id, cluster, namespace, target_type, target_name, action_timestamp,
        execution_status)
    SELECT
        record.correlation_id, new_version, record.name, record.phase, fact.reason,
        fact.message, record.created_at, fact.started_at, fact.completed_at, fact.signal_name,
        record.severity, fact.environment, fact.priority, fact.fingerprint, fact.signal_type,
        action_history_id_of(
            record.cluster, fact.target_namespace, fact.target_type, fact.target_name),
        record.cluster, fact.target_namespace, fact.target_type, fact.target_name,
        record.created_at, execution_status_of(record.phase)
    FROM jsonb_to_record(facts) AS fact (
        reason text, message text, started_at timestamptz, completed_at timestamptz,
        signal_name text, signal_type text, environment text, priority text, fingerprint text,
        target_namespace text, target_type text, target_name text)
    ON CONFLICT (correlation_id) DO UPDATE SET
        remediation_version = EXCLUDED.remediation_version,
        remediation_name    = EXCLUDED.remediation_name,
        remediation_phase   = EXCLUDED.remediation_phase,
        remediation_reason  = EXCLUDED.remediation_reason,
        remediation_message = EXCLUDED.remediation_message,
        created_at          = EXCLUDED.created_at,
        started_at          = EXCLUDED.started_at,
        completed_at        = EXCLUDED.completed_at,
        alert_name          = EXCLUDED.alert_name,
        alert_severity      = EXCLUDED.alert_severity,
        environment         = EXCLUDED.environment,
        priority            = EXCLUDED.priority,
        fingerprint         = EXCLUDED.fingerprint,
        signal_type         = EXCLUDED.signal_type,
        action_history_id   = EXCLUDED.action_history_id,
        cluster             = EXCLUDED.cluster,
        namespace           = EXCLUDED.namespace,
        target_type         = EXCLUDED.target_type,
        target_name         = EXCLUDED.target_name,
        action_timestamp    = CASE
            WHEN known.execution_version IS NULL THEN EXCLUDED.action_timestamp
            ELSE known.action_timestamp
        END,
        execution_status    = CASE
            WHEN known.execution_version IS NULL AND known.workflow_version IS NULL
            THEN EXCLUDED.execution_status
            ELSE known.execution_status
        END
    WHERE known.remediation_version IS NULL
       OR known.remediation_version < EXCLUDED.remediation_version;
END
$$;
COMMENT ON FUNCTION project_remediation IS
    'What an incident takes from a remediation: the signal, the target, and until there is more, time and status.';

CREATE FUNCTION project_aianalysis(record audit_records, new_version bytea, facts jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO incidents AS known (
        correlation_id, analysis_version, analysis_name, analysis_phase, analysis_reason,
        analysis_message, analysis_created_at, analysis_started_at, analysis_completed_at,
        llm_provider, model_used, model_confidence, root_cause, recommended_action,
        investigation_id, analysis_requires_approval, signal_type, action_timestamp,
        execution_status)
    SELECT
        record.correlation_id, new_version, record.name, record.phase, fact.reason,
        fact.message, record.created_at, fact.started_at, fact.completed_at,
        fact.llm_provider, fact.llm_model, fact.confidence, fact.root_cause,
        fact.recommended_action, fact.investigation_id, fact.requires_approval,
        fact.signal_type, record.created_at, 'pending'
    FROM jsonb_to_record(facts) AS fact (
        reason text, message text, started_at timestamptz, completed_at timestamptz,
        llm_provider text, llm_model text, confidence double precision, root_cause text,
        recommended_action text, investigation_id text, requires_approval boolean,
        signal_type text)
    ON CONFLICT (correlation_id) DO UPDATE SET
        analysis_version           = EXCLUDED.analysis_version,
        analysis_name              = EXCLUDED.analysis_name,
        analysis_phase             = EXCLUDED.analysis_phase,
        analysis_reason            = EXCLUDED.analysis_reason,
        analysis_message           = EXCLUDED.analysis_message,
        analysis_created_at        = EXCLUDED.analysis_created_at,
        analysis_started_at        = EXCLUDED.analysis_started_at,
        analysis_completed_at      = EXCLUDED.analysis_completed_at,
        llm_provider               = EXCLUDED.llm_provider,
        model_used                 = EXCLUDED.model_used,
        model_confidence           = EXCLUDED.model_confidence,
        root_cause                 = EXCLUDED.root_cause,
        recommended_action         = EXCLUDED.recommended_action,
        investigation_id           = EXCLUDED.investigation_id,
        analysis_requires_approval = EXCLUDED.analysis_requires_approval,
        signal_type                = CASE
            WHEN known.remediation_version IS NULL THEN EXCLUDED.signal_type
            ELSE known.signal_type
        END,
        action_timestamp           = CASE
            WHEN known.execution_version IS NULL AND known.remediation_version IS NULL
                AND known.workflow_version IS NULL
            THEN EXCLUDED.action_timestamp
            ELSE known.action_timestamp
        END
    WHERE known.analysis_version IS NULL
       OR known.analysis_version < EXCLUDED.analysis_version;
END
$$;
COMMENT ON FUNCTION project_aianalysis IS
    'What an incident takes from an AI analysis: the model, what it found and what it recommends.';

CREATE FUNCTION project_workflow(record audit_records, new_version bytea, facts jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO incidents AS known (
        correlation_id, workflow_version, workflow_name, workflow_phase, workflow_reason,
        workflow_message, workflow_created_at, workflow_started_at, workflow_completed_at,
        workflow_step_count, workflow_current_step, workflow_completed_count,
        workflow_failed_count, workflow_skipped_count, workflow_requires_approval,
        workflow_is_auto_approved, action_timestamp, execution_status)
    SELECT
        record.correlation_id, new_version, fact.workflow_name, record.phase, fact.reason,
        fact.message, record.created_at, fact.started_at, fact.completed_at, fact.step_count,
        fact.current_step, fact.completed_count, fact.failed_count, fact.skipped_count,
        fact.requires_approval, fact.is_auto_approved, record.created_at,
        execution_status_of(record.phase)
    FROM jsonb_to_record(facts) AS fact (
        reason text, message text, started_at timestamptz, completed_at timestamptz,
        workflow_name text, step_count bigint, current_step bigint, completed_count bigint,
        failed_count bigint, skipped_count bigint, requires_approval boolean,
        is_auto_approved boolean)
    ON CONFLICT (correlation_id) DO UPDATE SET
        workflow_version           = EXCLUDED.workflow_version,
        workflow_name              = EXCLUDED.workflow_name,
        workflow_phase             = EXCLUDED.workflow_phase,
        workflow_reason            = EXCLUDED.workflow_reason,
        workflow_message           = EXCLUDED.workflow_message,
        workflow_created_at        = EXCLUDED.workflow_created_at,
        workflow_started_at        = EXCLUDED.workflow_started_at,
        workflow_completed_at      = EXCLUDED.workflow_completed_at,
        workflow_step_count        = EXCLUDED.workflow_step_count,
        workflow_current_step      = EXCLUDED.workflow_current_step,
        workflow_completed_count   = EXCLUDED.workflow_completed_count,
        workflow_failed_count      = EXCLUDED.workflow_failed_count,
        workflow_skipped_count     = EXCLUDED.workflow_skipped_count,
        workflow_requires_approval = EXCLUDED.workflow_requires_approval,
        workflow_is_auto_approved  = EXCLUDED.workflow_is_auto_approved,
        action_timestamp           = CASE
            WHEN known.execution_version IS NULL AND known.remediation_version IS NULL
            THEN EXCLUDED.action_timestamp
            ELSE known.action_timestamp
        END,
        execution_status           = CASE
            WHEN known.execution_version IS NULL THEN EXCLUDED.execution_status
            ELSE known.execution_status
        END
    WHERE known.workflow_version IS NULL
       OR known.workflow_version < EXCLUDED.workflow_version;
END
$$;
COMMENT ON FUNCTION project_workflow IS
    'What an incident takes from a workflow execution: how far it is, and until there is an execution, the status.';

CREATE FUNCTION project_execution(record audit_records, new_version bytea, facts jsonb)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO incidents AS known (
        correlation_id, execution_version, execution_name, execution_phase, execution_reason,
        execution_message, execution_created_at, execution_started_at, execution_completed_at,
        execution_step_name, execution_result, action_id, action_type, action_history_id,
        cluster, namespace, target_type, target_name, action_timestamp, execution_status)
    SELECT
        record.correlation_id, new_version, record.name, record.phase, fact.reason,
        fact.message, record.created_at, fact.started_at, fact.completed_at, fact.step_name,
        fact.action_result, fact.action_id, fact.action_type,
        action_history_id_of(
            record.cluster, fact.target_namespace, fact.target_type, fact.target_name),
        record.cluster, fact.target_namespace, fact.target_type, fact.target_name,
        record.created_at,
        CASE WHEN fact.is_rolled_back THEN 'rolled-back' ELSE execution_status_of(record.phase) END
    FROM jsonb_to_record(facts) AS fact (
        reason text, message text, started_at timestamptz, completed_at timestamptz,
        step_name text, action_result text, action_id uuid, action_type text,
        target_namespace text, target_type text, target_name text, is_rolled_back boolean)
    ON CONFLICT (correlation_id) DO UPDATE SET
        execution_version      = EXCLUDED.execution_version,
        execution_name         = EXCLUDED.execution_name,
        execution_phase        = EXCLUDED.execution_phase,
        execution_reason       = EXCLUDED.execution_reason,
        execution_message      = EXCLUDED.execution_message,
        execution_created_at   = EXCLUDED.execution_created_at,
        execution_started_at   = EXCLUDED.execution_started_at,
        execution_completed_at = EXCLUDED.execution_completed_at,
        execution_step_name    = EXCLUDED.execution_step_name,
        execution_result       = EXCLUDED.execution_result,
        action_id              = EXCLUDED.action_id,
        action_type            = EXCLUDED.action_type,
        action_timestamp       = EXCLUDED.action_timestamp,
        execution_status       = EXCLUDED.execution_status,
        action_history_id      = CASE
            WHEN known.remediation_version IS NULL THEN EXCLUDED.action_history_id
            ELSE known.action_history_id
        END,
        cluster                = CASE
            WHEN known.remediation_version IS NULL THEN EXCLUDED.cluster
            ELSE known.cluster
        END,
        namespace              = CASE
            WHEN known.remediation_version IS NULL THEN EXCLUDED.namespace
            ELSE known.namespace
        END,
        target_type            = CASE
            WHEN known.remediation_version IS NULL THEN EXCLUDED.target_type
            ELSE known.target_type
        END,
        target_name            = CASE
            WHEN known.remediation_version IS NULL THEN EXCLUDED.target_name
            ELSE known.target_name
        END
    WHERE known.execution_version IS NULL
       OR known.execution_version < EXCLUDED.execution_version;
END
$$;
COMMENT ON FUNCTION project_execution IS
    'What an incident takes from a Kubernetes action: the action, its time and status, and until a remediation is known, its target.';

CREATE FUNCTION write_audit_record(
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
            severity, cluster, incident_embedding_id)
        VALUES (
            new_kind, record_created_at, new_content_hash, new_content, new_correlation_id,
            new_namespace, new_name, new_phase, facts ->> 'severity', new_cluster,
            nextval('incident_embedding_ids'))
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
COMMENT ON FUNCTION write_audit_record IS
    'Stores a record of any kind, its embedding and what its incident says, or finds it stored. No row: its vector is not known and was not given, and nothing was stored.';
