-- Embedding texts again: those whose vector another model made than the one that searches. The local
-- model stood in while the provider was down, or another model was configured before.

CREATE OR REPLACE FUNCTION count_unknown_texts(of_model text, counted_max bigint) RETURNS bigint
LANGUAGE sql STABLE
SET enable_seqscan = off
AS $$
    SELECT count(*) FROM (
        -- Two ranges of an index rather than all of it.
        (SELECT FROM embeddings WHERE model < of_model LIMIT counted_max)
        UNION ALL
        (SELECT FROM embeddings WHERE model > of_model LIMIT counted_max)
        LIMIT counted_max
    ) AS unknown
$$;
COMMENT ON FUNCTION count_unknown_texts IS
    'How many texts have a vector of another model, counted so far.';

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
    'Texts that have a vector of another model, by id, each with a record that it is the text of; null where none is left.';

CREATE OR REPLACE FUNCTION renew_embedding(
    old_id bigint, new_model text, written_embedding text, links_max bigint)
RETURNS boolean
LANGUAGE plpgsql
-- The service may add vectors, and change them in this way only. The search path is set below.
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
            RETURN false; -- A write was faster.
        END;
    END IF;
    -- A record of the same text came since: its vector is everybody's now. It may leave with its last
    -- record while this waits; then nothing is moved.
    UPDATE incident_records SET embedding_id = new_id
    WHERE EXISTS (SELECT FROM embeddings WHERE id = new_id) AND id IN (
        SELECT id FROM incident_records WHERE embedding_id = old_id
        ORDER BY incident_id DESC LIMIT links_max);
    RETURN FOUND IS FALSE AND EXISTS (SELECT FROM embeddings WHERE id = new_id);
END
$$;
COMMENT ON FUNCTION renew_embedding IS
    'Replaces a vector by another model''s of the same text. Answers whether that is done: where the other model has one already, links are moved to it, so many at a time, until none is left.';

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
    -- As when records leave: an autovacuum is waited for, or sent off, while nobody is kept out; and
    -- then nobody adds a link. A write that has looked the vector up looks again when it does.
    LOCK TABLE incident_records IN SHARE UPDATE EXCLUSIVE MODE;
    LOCK TABLE incident_records IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM embeddings AS text
    WHERE id = of_id AND NOT EXISTS (
        SELECT FROM incident_records WHERE embedding_id = text.id);
    RETURN FOUND;
EXCEPTION WHEN lock_not_available THEN
    RETURN false; -- Left to the next run.
END
$$;
COMMENT ON FUNCTION remove_unused_embedding IS
    'Removes a vector that no record refers to any more. Answers whether it did: not where one refers to it, or a lock takes long.';

DO $$
DECLARE
    function regprocedure;
BEGIN
    -- What the caller made in its temporary schema is not found in place of the service's tables.
    FOREACH function IN ARRAY ARRAY[
        'renew_embedding(bigint, text, text, bigint)', 'remove_unused_embedding(bigint)']::regprocedure[]
    LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SET search_path = %s, pg_temp', function, current_setting('search_path'));
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO data_storage_writer', function);
    END LOOP;
END
$$;
