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
SET lock_timeout = '1500ms'
SET enable_seqscan = off
AS $$
DECLARE
    of_text_hash bytea;
    new_id       bigint;
    moved        bigint;
BEGIN
    SELECT text_hash INTO of_text_hash FROM embeddings WHERE id = old_id AND model <> new_model;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    BEGIN
        UPDATE embeddings
        SET model = new_model, embedding = read_embedding(written_embedding), made_at = now()
        WHERE id = old_id AND model <> new_model;
        RETURN true;
    EXCEPTION WHEN unique_violation THEN
        SELECT id INTO new_id FROM embeddings WHERE model = new_model AND text_hash = of_text_hash;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the vector is gone' USING ERRCODE = 'serialization_failure';
        END IF;
    END;
    -- A record of the same text came since: its vector is everybody's now.
    UPDATE incident_records SET embedding_id = new_id
    WHERE id IN (
        SELECT id FROM incident_records WHERE embedding_id = old_id
        ORDER BY incident_id DESC LIMIT links_max);
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved > 0 THEN
        RETURN false;
    END IF;
    -- Nobody adds a link meanwhile: a write that has looked the vector up looks again when it does.
    LOCK TABLE incident_records IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM embeddings AS text
    WHERE id = old_id AND NOT EXISTS (
        SELECT FROM incident_records WHERE embedding_id = text.id);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION renew_embedding IS
    'Replaces a vector by another model''s of the same text. Answers whether that is done: where the other model has one already, links are moved to it, so many at a time.';

DO $$
BEGIN
    -- What the caller made in its temporary schema is not found in place of the service's tables.
    EXECUTE format(
        'ALTER FUNCTION renew_embedding SET search_path = %s, pg_temp', current_setting('search_path'));
END
$$;
REVOKE EXECUTE ON FUNCTION renew_embedding FROM PUBLIC;
GRANT EXECUTE ON FUNCTION renew_embedding TO data_storage_writer;
