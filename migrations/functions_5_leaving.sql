-- Removes the links of a detached month's records, and what has no links any more.

CREATE OR REPLACE FUNCTION remove_record_links(
    record_ids bigint[], OUT incidents_removed bigint, OUT vectors_removed bigint)
LANGUAGE plpgsql
SET lock_timeout = '1500ms'
-- Excludes plans that read a whole table while others wait.
SET enable_seqscan = off
AS $$
DECLARE
    incident_ids bigint[];
    vector_ids   bigint[];
BEGIN
    -- Waits for an autovacuum, or cancels it, before blocking others.
    LOCK TABLE incident_records IN SHARE UPDATE EXCLUSIVE MODE;
    -- Locks incidents before links, like a write.
    PERFORM FROM incidents
    WHERE id IN (SELECT incident_id FROM incident_records WHERE id = ANY (record_ids))
    ORDER BY correlation_id FOR UPDATE;
    -- Prevents new links. A write that has looked up a vector checks it again before linking it.
    LOCK TABLE incident_records IN SHARE ROW EXCLUSIVE MODE;
    WITH removed AS (
        DELETE FROM incident_records WHERE id = ANY (record_ids)
        RETURNING incident_id, embedding_id
    )
    SELECT array_agg(DISTINCT incident_id), array_agg(DISTINCT embedding_id)
    INTO incident_ids, vector_ids FROM removed;

    DELETE FROM incidents AS incident
    WHERE id = ANY (incident_ids) AND NOT EXISTS (
        SELECT FROM incident_records WHERE incident_id = incident.id);
    GET DIAGNOSTICS incidents_removed = ROW_COUNT;

    DELETE FROM embeddings AS text
    WHERE id = ANY (vector_ids) AND NOT EXISTS (
        SELECT FROM incident_records WHERE embedding_id = text.id);
    GET DIAGNOSTICS vectors_removed = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION remove_record_links(bigint[]) IS
    'Removes links of detached records, and incidents and vectors that lose their last link; fails with 55P03 if a lock times out. Returns the numbers of removed incidents and vectors.';

CREATE OR REPLACE PROCEDURE remove_what_left()
LANGUAGE plpgsql
AS $$
DECLARE
    batch_records CONSTANT integer := 500;
    detached          detached_partitions;
    batch             bigint[];
    last_id           bigint;
    records_removed   bigint;
    incidents_removed bigint;
    vectors_removed   bigint;
    removed           record;
BEGIN
    LOOP
        COMMIT;
        PERFORM pg_advisory_xact_lock('audit_records'::regclass::bigint);
        SELECT * INTO detached FROM detached_partitions WHERE cleared_at IS NULL ORDER BY id LIMIT 1;
        EXIT WHEN NOT FOUND;
        last_id := 0;
        records_removed := 0;
        incidents_removed := 0;
        vectors_removed := 0;
        LOOP
            -- Keeps late records of the month, which are not in the detached table.
            batch := ARRAY(
                SELECT link.id FROM incident_records AS link
                WHERE link.id > last_id AND link.kind = detached.kind
                  AND link.created_at >= detached.begins_at AND link.created_at < detached.ends_at
                  AND NOT EXISTS (
                      SELECT FROM audit_records AS record
                      WHERE record.id = link.id AND record.kind = link.kind
                        AND record.kind = detached.kind
                        AND record.created_at >= detached.begins_at
                        AND record.created_at < detached.ends_at
                        AND record.created_at = link.created_at
                        AND record.content_hash = link.content_hash)
                ORDER BY link.id LIMIT batch_records);
            EXIT WHEN cardinality(batch) = 0;
            BEGIN
                removed := remove_record_links(batch);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING 'the incidents are in use: what left with % is left to the next run',
                    detached.partition_name;
                RETURN;
            END;
            COMMIT;
            PERFORM pg_advisory_xact_lock('audit_records'::regclass::bigint);
            last_id := batch[cardinality(batch)];
            records_removed := records_removed + cardinality(batch);
            incidents_removed := incidents_removed + removed.incidents_removed;
            vectors_removed := vectors_removed + removed.vectors_removed;
        END LOOP;
        UPDATE detached_partitions SET cleared_at = clock_timestamp() WHERE id = detached.id;
        RAISE NOTICE 'removed what left with %: links of % records, % incidents, % vectors',
            detached.partition_name, records_removed, incidents_removed, vectors_removed;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE remove_what_left() IS
    'Removes what only records of detached months refer to, in small steps with a transaction each.';
