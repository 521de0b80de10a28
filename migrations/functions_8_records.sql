-- Reads records as they were sent, with what their proof in the log needs.

CREATE OR REPLACE FUNCTION record_json(
    link incident_records, record audit_records, embedding_model text, leaf_index bigint)
RETURNS json
LANGUAGE sql IMMUTABLE
-- Times as Unix time in microseconds, exact for every date.
RETURN json_build_object(
    'id', (record).id,
    'kind', (record).kind,
    'incident_id', (link).incident_id,
    'recorded_at', (extract(epoch FROM (record).recorded_at) * 1000000)::bigint,
    'recorded_by', (record).recorded_by,
    'embedding_model', embedding_model,
    'content', (record).content::json,
    'correlation_id', (record).correlation_id,
    'content_hash', encode((record).content_hash, 'base64'),
    'created_at', (extract(epoch FROM (record).created_at) * 1000000)::bigint,
    'cluster', (record).cluster,
    'log_nonce', encode((record).log_nonce, 'base64'),
    'leaf_index', leaf_index);
COMMENT ON FUNCTION record_json(incident_records, audit_records, text, bigint) IS
    'A record with its incident, its model and, once it is in the log, the index of its leaf.';

CREATE OR REPLACE FUNCTION find_record(of_id bigint) RETURNS json
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
-- Locks only the partition concerned.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    link incident_records;
BEGIN
    SELECT * INTO link FROM incident_records WHERE id = of_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT record_json(
            link, record,
            (SELECT model FROM embeddings WHERE id = link.embedding_id),
            (SELECT leaf_index FROM log_entries WHERE record_id = of_id))
        FROM audit_records AS record
        WHERE record.id = of_id AND record.kind = link.kind AND record.created_at = link.created_at
          AND record.content_hash = link.content_hash);
END
$$;
COMMENT ON FUNCTION find_record(bigint) IS 'A record by its id; null if there is none.';

CREATE OR REPLACE FUNCTION list_records(
    after_index bigint, leaves_max bigint, bytes_max bigint, OUT records json, OUT next_index bigint, OUT log_size bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    last_index bigint;
    first_time timestamptz;
    last_time  timestamptz;
BEGIN
    SELECT size INTO STRICT log_size FROM log_head WHERE is_only;
    last_index := least(after_index + leaves_max, log_size - 1);
    SELECT min(created_at), max(created_at) INTO first_time, last_time
    FROM log_entries AS leaf JOIN incident_records AS link ON link.id = leaf.record_id
    WHERE leaf.leaf_index > after_index AND leaf.leaf_index <= last_index;

    SELECT
        coalesce(json_agg(
            record_json(link, record, (SELECT model FROM embeddings WHERE id = (link).embedding_id), leaf_index)
            ORDER BY leaf_index) FILTER (WHERE bytes_before < bytes_max), '[]'),
        coalesce(min(leaf_index) FILTER (WHERE bytes_before >= bytes_max) - 1, last_index)
    INTO records, last_index
    FROM (
        SELECT link, record, leaf.leaf_index,
            sum(octet_length(record.content)) OVER (ORDER BY leaf.leaf_index) - octet_length(record.content)
                AS bytes_before
        FROM log_entries AS leaf
        JOIN incident_records AS link ON link.id = leaf.record_id
        JOIN audit_records AS record
            ON record.kind = link.kind AND record.created_at = link.created_at
            AND record.content_hash = link.content_hash AND record.id = link.id
            AND record.created_at BETWEEN first_time AND last_time
        WHERE leaf.leaf_index > after_index AND leaf.leaf_index <= last_index
    ) AS page;
    next_index := CASE WHEN last_index < log_size - 1 THEN last_index END;
END
$$;
COMMENT ON FUNCTION list_records IS
    'Records in the order of the log: those of up to leaves_max leaves after an index, fewer once their contents exceed bytes_max. Also returns the index to go on after, null at the end of the log, and the size of the log.';
