-- What a write costs beside the rows it stores.

-- The answer is one value: a function that answers a table is read through a join and a buffer, which
-- the caller's statement, prepared anew for each request, has to be planned for.
--
-- The vector is stored after the record. Before, a record of a new text was first looked for among
-- those stored, which takes a plan of its own, though the insert tells the same.
CREATE FUNCTION write_audit_record_3(
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
RETURNS bigint[]
LANGUAGE plpgsql
-- The plans live as long as the session. One that was made while a table had a page or two
-- would read the whole table long after it has grown.
SET enable_seqscan = off
AS $$
DECLARE
    attempts_max       CONSTANT integer := 5;
    record             audit_records;
    record_created_at  timestamptz := new_created_at AT TIME ZONE 'UTC';
    vector_id          bigint;
    stored_incident_id bigint;
    is_replayed        boolean := false;
    is_embedding_new   boolean := false;
BEGIN
    SELECT id INTO vector_id
    FROM embeddings WHERE model = embedding_model AND text_hash = embedding_text_hash;
    IF vector_id IS NULL AND written_embedding IS NULL THEN
        record := find_audit_record(new_kind, record_created_at, new_content_hash);
        IF record.id IS NULL THEN
            RETURN NULL;
        END IF;
        is_replayed := true;
    END IF;

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

    IF is_replayed THEN
        SELECT incident_id INTO STRICT stored_incident_id
        FROM incident_embeddings WHERE id = record.incident_embedding_id;
    ELSE
        IF vector_id IS NULL THEN
            vector_id := store_embedding(embedding_model, embedding_text_hash, written_embedding);
            is_embedding_new := true;
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
            record.incident_embedding_id, stored_incident_id, vector_id, new_kind, record.id,
            CASE new_kind WHEN 'remediation' THEN new_name ELSE fact.remediation_request_ref END,
            fact.target_namespace, fact.target_type, fact.target_name, fact.signal_type,
            fact.root_cause
        FROM jsonb_to_record(facts) AS fact (
            remediation_request_ref text, target_namespace text, target_type text,
            target_name text, signal_type text, root_cause text);
    END IF;
    RETURN ARRAY[
        record.id,
        record.incident_embedding_id,
        (extract(epoch FROM record.recorded_at) * 1000000)::bigint,
        stored_incident_id,
        is_replayed::integer,
        is_embedding_new::integer];
END
$$;
COMMENT ON FUNCTION write_audit_record_3 IS
    'Stores a record of any kind, who sent it, its embedding and what its incident says, or finds it stored. Answers the record''s id, that of its row in incident_embeddings, when it was stored (microseconds since 1970), its incident''s id, 1 where an earlier call stored it, else 0, and 1 where its vector was not there before, else 0. Null: its vector is not known and was not given, and nothing was stored.';

CREATE OR REPLACE FUNCTION write_audit_record_2(
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
AS $$
DECLARE
    stored bigint[] := write_audit_record_3(
        new_kind, new_created_at, new_content_hash, new_content, new_version, new_correlation_id,
        new_namespace, new_name, new_phase, new_cluster, facts, embedding_model,
        embedding_text_hash, written_embedding, new_recorded_by);
BEGIN
    IF stored IS NOT NULL THEN
        stored_record_id := stored[1];
        stored_embedding_id := stored[2];
        stored_at := TIMESTAMP 'epoch' + stored[3] * INTERVAL '1 microsecond';
        stored_incident_id := stored[4];
        is_replayed := stored[5] = 1;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION write_audit_record_2 IS
    'What replicas of the last version call: write_audit_record_3, answered as a table. To be dropped when none does.';

-- No replica calls it any more.
DROP FUNCTION write_audit_record;

-- A bitmap is 4 KiB. To make one per incident and value, only to set a bit in it, took most of what
-- indexing took: now bits are gathered in words of 256 first, and most incidents that change
-- together are neighbours.
CREATE FUNCTION bitmap_of_word(bits bit, word bigint) RETURNS bit
LANGUAGE sql IMMUTABLE
RETURN overlay(0::bit(32768) PLACING bits FROM ((word & 127) * 256 + 1)::integer);
COMMENT ON FUNCTION bitmap_of_word IS
    'The block of a bitmap that has this word of 256 bits, which stand for the incidents from 256 word on, and zeros.';

CREATE OR REPLACE FUNCTION index_incident_changes() RETURNS bigint
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
    ), flipped_words AS (
        SELECT facet, value, incident_id >> 8 AS word,
            bit_or(set_bit(0::bit(256), (incident_id & 255)::integer, 1)) AS bits
        FROM flipped
        GROUP BY facet, value, incident_id >> 8
    ), flipped_bits AS (
        INSERT INTO incident_bitmaps AS known (facet, value, block, incidents)
        SELECT facet, value, word >> 7, bit_or(bitmap_of_word(bits, word))
        FROM flipped_words
        GROUP BY facet, value, word >> 7
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

CREATE OR REPLACE FUNCTION rebuild_incident_index() RETURNS bigint
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
    ), words AS (
        SELECT facet, value, id >> 8 AS word,
            bit_or(set_bit(0::bit(256), (id & 255)::integer, 1)) AS bits
        FROM incidents, facets_of(
            namespace, cluster, action_type, alert_name, alert_severity,
            execution_status, action_timestamp)
        GROUP BY facet, value, id >> 8
    ), new_bitmaps AS (
        INSERT INTO incident_bitmaps (facet, value, block, incidents)
        SELECT facet, value, word >> 7, bit_or(bitmap_of_word(bits, word))
        FROM words
        GROUP BY facet, value, word >> 7
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
