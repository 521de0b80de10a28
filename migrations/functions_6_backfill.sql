-- Embeds stored texts again with the configured model.

CREATE OR REPLACE FUNCTION count_unknown_texts(of_model text, counted_max bigint) RETURNS bigint
LANGUAGE sql STABLE
SET enable_seqscan = off
AS $$
    SELECT count(*) FROM (
        -- Two range scans instead of a full index scan.
        (SELECT FROM embeddings WHERE model < of_model LIMIT counted_max)
        UNION ALL
        (SELECT FROM embeddings WHERE model > of_model LIMIT counted_max)
        LIMIT counted_max
    ) AS unknown
$$;
COMMENT ON FUNCTION count_unknown_texts IS
    'Counts texts that another model embedded, up to counted_max.';

CREATE OR REPLACE FUNCTION find_unknown_texts(of_model text, after_id bigint, found_max bigint)
RETURNS json
LANGUAGE sql STABLE
SET enable_seqscan = off
AS $$
    SELECT coalesce(json_agg(unknown ORDER BY id), '[]') FROM (
        SELECT text.id, encode(text.text_hash, 'hex') AS text_hash, record.kind, record.content
        FROM embeddings AS text
        LEFT JOIN LATERAL (
            SELECT record.kind, record.content
            FROM incident_records AS link
            JOIN audit_records AS record USING (id, kind, created_at, content_hash)
            WHERE link.embedding_id = text.id
            ORDER BY link.incident_id DESC
            LIMIT 1
        ) AS record ON true
        WHERE text.id > after_id AND text.model <> of_model
        ORDER BY text.id
        LIMIT found_max
    ) AS unknown
$$;
COMMENT ON FUNCTION find_unknown_texts IS
    'Texts that another model embedded, by id, each with a record that contains it, or null if there is none.';

CREATE OR REPLACE FUNCTION renew_embedding(
    old_id bigint, new_model text, written_embedding text, links_max bigint)
RETURNS boolean
LANGUAGE plpgsql
-- Lets the service change vectors in this way only. The search path is set below.
SECURITY DEFINER
SET enable_seqscan = off
AS $$
DECLARE
    of_text_hash bytea;
    new_id       bigint;
BEGIN
    SELECT text_hash INTO of_text_hash FROM embeddings WHERE id = old_id AND model <> new_model;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    SELECT id INTO new_id FROM embeddings WHERE model = new_model AND text_hash = of_text_hash;
    IF new_id IS NULL THEN
        BEGIN
            UPDATE embeddings
            SET model = new_model, embedding = read_embedding(written_embedding), made_at = now()
            WHERE id = old_id AND model <> new_model;
            RETURN true;
        EXCEPTION WHEN unique_violation THEN
            RETURN false; -- A concurrent write stored it.
        END;
    END IF;
    -- Moves links to the vector that a newer record has stored, unless it is gone meanwhile.
    UPDATE incident_records SET embedding_id = new_id
    WHERE EXISTS (SELECT FROM embeddings WHERE id = new_id) AND id IN (
        SELECT id FROM incident_records WHERE embedding_id = old_id
        ORDER BY incident_id DESC LIMIT links_max);
    RETURN FOUND IS FALSE AND EXISTS (SELECT FROM embeddings WHERE id = new_id);
END
$$;
COMMENT ON FUNCTION renew_embedding IS
    'Replaces a vector by another model''s vector of the same text. Returns whether that is complete: if the new vector exists, each call moves up to links_max links to it until none is left.';

CREATE OR REPLACE FUNCTION remove_unused_embedding(of_id bigint) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET lock_timeout = '1500ms'
SET enable_seqscan = off
AS $$
BEGIN
    IF EXISTS (SELECT FROM incident_records WHERE embedding_id = of_id) THEN
        RETURN false;
    END IF;
    -- Waits for an autovacuum, or cancels it, before blocking others. Then prevents new links; a
    -- write that has looked up the vector checks it again before linking it.
    LOCK TABLE incident_records IN SHARE UPDATE EXCLUSIVE MODE;
    LOCK TABLE incident_records IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM embeddings AS text
    WHERE id = of_id AND NOT EXISTS (
        SELECT FROM incident_records WHERE embedding_id = text.id);
    RETURN FOUND;
EXCEPTION WHEN lock_not_available THEN
    RETURN false; -- The next run retries.
END
$$;
COMMENT ON FUNCTION remove_unused_embedding IS
    'Removes a vector without records. Returns whether it did: not if a record refers to it or a lock times out.';

DO $$
DECLARE
    function regprocedure;
BEGIN
    FOREACH function IN ARRAY ARRAY[
        'renew_embedding(bigint, text, text, bigint)', 'remove_unused_embedding(bigint)']::regprocedure[]
    LOOP
        PERFORM keep_search_path(function);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO data_storage_writer', function);
    END LOOP;
END
$$;
