-- Reads records as they were sent, with what their proof in the log needs.

CREATE OR REPLACE FUNCTION record_json(
    link incident_records, record audit_records, embedding_model text, leaf_index bigint)
RETURNS json
LANGUAGE sql STABLE
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

CREATE OR REPLACE FUNCTION records_page(
    ids bigint[], filter record_filter, records_max bigint, bytes_max bigint, OUT records json, OUT last_id bigint)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    first_time timestamptz;
    last_time  timestamptz;
BEGIN
    SELECT min(created_at), max(created_at) INTO first_time, last_time
    FROM incident_records WHERE id = ANY (ids) AND (filter.kind IS NULL OR kind = filter.kind);
    -- OFFSET 0 makes each record a lookup: a join could read everything between two times.
    IF NOT (filter IS NULL) THEN
        ids := ARRAY(
            SELECT listed.id
            FROM unnest(ids) WITH ORDINALITY AS listed (id, place)
            CROSS JOIN LATERAL (
                SELECT kind, created_at, content_hash FROM incident_records
                WHERE id = listed.id AND (filter.kind IS NULL OR kind = filter.kind)
                OFFSET 0
            ) AS link
            CROSS JOIN LATERAL (
                SELECT FROM audit_records AS record
                WHERE record.kind = link.kind AND record.created_at = link.created_at
                  AND record.content_hash = link.content_hash AND record.id = listed.id
                  AND record.created_at BETWEEN first_time AND last_time
                  AND (filter.kind IS NULL OR record.kind = filter.kind)
                  AND (filter.namespace IS NULL OR record.namespace = filter.namespace)
                  AND (filter.name IS NULL OR record.name = filter.name)
                  AND (filter.correlation_id IS NULL OR record.correlation_id = filter.correlation_id)
                  AND (filter.since IS NULL OR record.recorded_at >= filter.since)
                  AND (filter.until IS NULL OR record.recorded_at <= filter.until)
                OFFSET 0
            ) AS passing
            ORDER BY listed.place LIMIT records_max + 1);
    END IF;
    IF cardinality(ids) > records_max THEN
        ids := ids[: records_max];
        last_id := ids[records_max];
    END IF;

    SELECT
        coalesce(json_agg(
            record_json(
                link, record,
                (SELECT model FROM embeddings WHERE id = (link).embedding_id),
                (SELECT leaf_index FROM log_entries WHERE record_id = (link).id))
            ORDER BY place) FILTER (WHERE bytes_before < bytes_max), '[]'),
        CASE WHEN max(bytes_before) >= bytes_max
            THEN ids[max(place) FILTER (WHERE bytes_before < bytes_max)]
            ELSE last_id
        END
    INTO records, last_id
    FROM (
        SELECT link, record, listed.place,
            sum(octet_length((record).content)) OVER (ORDER BY listed.place) - octet_length((record).content)
                AS bytes_before
        FROM unnest(ids) WITH ORDINALITY AS listed (id, place)
        CROSS JOIN LATERAL (
            SELECT link FROM incident_records AS link WHERE link.id = listed.id OFFSET 0
        ) AS of_link
        CROSS JOIN LATERAL (
            SELECT record FROM audit_records AS record
            WHERE record.kind = (link).kind AND record.created_at = (link).created_at
              AND record.content_hash = (link).content_hash AND record.id = listed.id
              AND record.created_at BETWEEN first_time AND last_time
            OFFSET 0
        ) AS of_record
    ) AS page;
END
$$;
COMMENT ON FUNCTION records_page IS
    'Those of these records that pass a filter, in the given order: up to records_max, fewer once their contents exceed bytes_max. last_id is the last of them if others are left. Relies on the settings of its callers.';

CREATE OR REPLACE FUNCTION list_records(
    written_filter  jsonb,
    after_index     bigint,
    records_max     bigint,
    read_max        bigint,
    bytes_max       bigint,
    OUT records     json,
    OUT last_index  bigint,
    OUT log_size    bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET jit = off
-- Locks only the partitions concerned.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    filter      record_filter := jsonb_populate_record(NULL::record_filter, written_filter);
    of_incident bigint[];
    ids         bigint[];
    last_id     bigint;
BEGIN
    SELECT size INTO STRICT log_size FROM log_head WHERE is_only;
    IF filter.correlation_id IS NOT NULL THEN
        of_incident := ARRAY(
            SELECT id FROM incident_records
            WHERE incident_id = (SELECT id FROM incidents WHERE correlation_id = filter.correlation_id)
            LIMIT read_max + 1);
    END IF;
    IF cardinality(of_incident) <= read_max THEN
        last_index := log_size - 1;
        ids := ARRAY(
            SELECT record_id FROM log_entries
            -- The + 0 prevents a scan of all that follows.
            WHERE record_id = ANY (of_incident) AND leaf_index + 0 > after_index
            ORDER BY leaf_index + 0);
    ELSE
        last_index := least(
            after_index + CASE WHEN filter IS NULL THEN records_max ELSE read_max END, log_size - 1);
        ids := ARRAY(
            SELECT record_id FROM log_entries
            WHERE leaf_index > after_index AND leaf_index <= last_index AND record_id IS NOT NULL
            ORDER BY leaf_index);
    END IF;
    SELECT page.records, page.last_id INTO records, last_id
    FROM records_page(ids, filter, records_max, bytes_max) AS page;
    last_index := coalesce(
        (SELECT leaf_index FROM log_entries WHERE record_id = last_id),
        -- A standby may lag behind what the caller has read.
        greatest(last_index, after_index));
END
$$;
COMMENT ON FUNCTION list_records IS
    'Records that pass a filter, in the order of the log, after an index: up to records_max, fewer once their contents exceed bytes_max, and those of up to read_max leaves. Also returns the index to go on after and the size of the log.';

CREATE OR REPLACE FUNCTION list_incident_records(
    of_incident_id     bigint,
    of_kind            text,
    after_id           bigint,
    records_max        bigint,
    read_max           bigint,
    bytes_max          bigint,
    OUT records        json,
    OUT next_id        bigint,
    OUT correlation_id text)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    filter  record_filter;
    ids_max bigint := CASE WHEN of_kind IS NULL THEN records_max ELSE read_max END;
    ids     bigint[];
BEGIN
    SELECT incident.correlation_id INTO correlation_id FROM incidents AS incident WHERE id = of_incident_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    filter.kind := of_kind;
    ids := ARRAY(
        SELECT id FROM incident_records WHERE incident_id = of_incident_id AND id > after_id
        ORDER BY id LIMIT ids_max + 1);
    IF cardinality(ids) > ids_max THEN
        ids := ids[: ids_max];
        next_id := ids[ids_max];
    END IF;
    SELECT page.records, coalesce(page.last_id, next_id) INTO records, next_id
    FROM records_page(ids, filter, records_max, bytes_max) AS page;
END
$$;
COMMENT ON FUNCTION list_incident_records IS
    'Records of an incident by id, after one, and of one kind if it is not null: up to records_max, fewer once their contents exceed bytes_max, and those among up to read_max. Also returns the id to go on after, null at the end, and the incident''s correlation id; only nulls if there is no such incident.';
