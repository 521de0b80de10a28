-- The search by meaning: the incidents of which a record's text is nearest to a query's.
--
-- Texts come again and again, and each is one vector with up to many thousands of incidents.
-- So the nearest texts are found first, by the sign bits in the HNSW index and then by the
-- exact cosine, and the incidents of each are taken from the nearest text on. An incident is
-- as similar as the most similar of its texts, which is the one it is met at first.

CREATE FUNCTION read_embedding(written text) RETURNS vector
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE
        WHEN starts_with(written, '{') THEN written::sparsevec::vector
        ELSE written::vector
    END
$$;
COMMENT ON FUNCTION read_embedding(text) IS 'A vector that is written as a vector or as a sparsevec.';

CREATE OR REPLACE FUNCTION store_embedding(of_model text, of_text_hash bytea, written_embedding text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    stored_id bigint;
BEGIN
    INSERT INTO embeddings (model, text_hash, embedding)
    VALUES (of_model, of_text_hash, read_embedding(written_embedding))
    ON CONFLICT (model, text_hash) DO NOTHING
    RETURNING id INTO stored_id;
    IF stored_id IS NULL THEN
        SELECT id INTO STRICT stored_id
        FROM embeddings WHERE model = of_model AND text_hash = of_text_hash;
    END IF;
    RETURN stored_id;
END
$$;

CREATE FUNCTION text_similarity_of(embedding vector, query vector) RETURNS double precision
LANGUAGE sql IMMUTABLE
AS $$ SELECT least(greatest(1 - (embedding <=> query), 0), 1) $$;
COMMENT ON FUNCTION text_similarity_of(vector, vector) IS
    'How near a text is to a query, 0 to 1: the cosine. The opposite is as little alike as what has nothing in common.';

CREATE INDEX incident_embeddings_of_embedding ON incident_embeddings (embedding_id, incident_id DESC);
COMMENT ON INDEX incident_embeddings_of_embedding IS 'The incidents of a text, the latest first.';

CREATE FUNCTION search_incidents(
    filter         incident_filter,
    query_model    text,
    written_query  text,
    found_max      bigint,
    min_similarity double precision)
RETURNS TABLE (
    id                bigint,
    action_history_id bigint,
    action_id         uuid,
    alert_name        text,
    alert_severity    text,
    action_type       text,
    action_timestamp  timestamptz,
    model_used        text,
    model_confidence  double precision,
    execution_status  text,
    namespace         text,
    cluster           text,
    target_type       text,
    target_name       text,
    correlation_id    text,
    similarity        double precision)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
-- The order of the index is that of the bits, which the exact cosine corrects anyway.
SET hnsw.iterative_scan = 'relaxed_order'
SET hnsw.ef_search = 200
AS $$
#variable_conflict use_column
DECLARE
    -- The incidents of so few are all compared, whatever texts they have.
    sparse_max      CONSTANT bigint := 1000;
    -- How many texts are looked at; each time the incidents of the last so many were not enough.
    texts_max       CONSTANT integer[] := ARRAY[200, 2000, 20000];
    -- Of one text, so many of its latest incidents are looked at.
    of_one_text_max CONSTANT bigint := 5000;
    is_filtered     boolean := filter IS DISTINCT FROM
        ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::incident_filter;
    query           vector := read_embedding(written_query);
    query_bits      bit(1536) := binary_quantize(query)::bit(1536);
    state           incident_bitmaps_state;
    matches         bigint;
    candidates      bigint[];
    texts           integer;
    seen_texts      bigint;
    nearest         record;
    found_ids       bigint[] := '{}';
    found           double precision[] := '{}';
    more            bigint[];
BEGIN
    -- A vector without a direction is not near to anything.
    IF vector_norm(query) = 0 THEN
        RETURN;
    END IF;
    SELECT * INTO STRICT state FROM incident_bitmaps_state;
    IF is_filtered AND is_of_this_cluster(state) THEN
        matches := count_incidents(filter);
    END IF;
    IF matches <= sparse_max THEN
        candidates := CASE
            WHEN filter.correlation_id IS NULL THEN find_sparse_incidents(
                filter, state.included)
            ELSE ARRAY(
                SELECT incident.id FROM incidents AS incident
                WHERE incident.correlation_id = filter.correlation_id)
        END;
        SELECT array_agg(incident_id ORDER BY best DESC), array_agg(best ORDER BY best DESC)
        INTO found_ids, found
        FROM (
            SELECT incident_id, max(text_similarity) AS best
            FROM incident_embeddings
            JOIN incidents AS incident ON incident.id = incident_id
            JOIN (
                SELECT embeddings.id AS text_id, text_similarity_of(embedding, query) AS text_similarity
                FROM embeddings
                WHERE model = query_model AND vector_norm(embedding) > 0 AND embeddings.id IN (
                    SELECT embedding_id FROM incident_embeddings
                    WHERE incident_id = ANY (candidates))
            ) AS texts ON text_id = embedding_id
            WHERE incident_id = ANY (candidates)
              AND text_similarity >= min_similarity
              AND incident_matches(
                    incident.namespace, incident.cluster, incident.action_type,
                    incident.alert_name, incident.alert_severity, incident.execution_status,
                    incident.correlation_id, incident.action_timestamp, filter)
            GROUP BY incident_id
        ) AS compared;
    ELSE
        FOREACH texts IN ARRAY texts_max LOOP
            found_ids := '{}';
            found := '{}';
            seen_texts := 0;
            FOR nearest IN
                SELECT text_id, text_similarity, count(*) OVER () AS texts_found
                FROM (
                    SELECT embeddings.id AS text_id, text_similarity_of(embedding, query) AS text_similarity
                    FROM embeddings
                    WHERE model = query_model AND vector_norm(embedding) > 0
                    ORDER BY binary_quantize(embedding)::bit(1536) <~> query_bits
                    LIMIT texts
                ) AS nearest_by_bits
                ORDER BY text_similarity DESC, text_id
            LOOP
                seen_texts := nearest.texts_found;
                EXIT WHEN cardinality(found_ids) >= found_max
                    OR nearest.text_similarity < min_similarity;
                SELECT array_agg(incident_id) INTO more
                FROM (
                    SELECT DISTINCT incident_id
                    FROM (
                        SELECT incident_id FROM incident_embeddings
                        WHERE embedding_id = nearest.text_id
                        ORDER BY incident_id DESC
                        LIMIT of_one_text_max
                    ) AS latest JOIN incidents AS incident ON incident.id = incident_id
                    WHERE incident_matches(
                        incident.namespace, incident.cluster, incident.action_type,
                        incident.alert_name, incident.alert_severity,
                        incident.execution_status, incident.correlation_id,
                        incident.action_timestamp, filter)
                      AND incident_id <> ALL (found_ids)
                    ORDER BY incident_id DESC
                    LIMIT found_max - cardinality(found_ids)
                ) AS latest_matches;
                found_ids := found_ids || coalesce(more, '{}');
                found := found || array_fill(
                    nearest.text_similarity, ARRAY[coalesce(cardinality(more), 0)]);
            END LOOP;
            EXIT WHEN cardinality(found_ids) >= found_max OR seen_texts < texts
                OR nearest.text_similarity < min_similarity;
        END LOOP;
    END IF;

    RETURN QUERY
    SELECT
        incident.id, incident.action_history_id, incident.action_id, incident.alert_name,
        incident.alert_severity, incident.action_type, incident.action_timestamp,
        incident.model_used, incident.model_confidence, incident.execution_status,
        incident.namespace, incident.cluster, incident.target_type, incident.target_name,
        incident.correlation_id, best
    FROM unnest(found_ids, found) AS ranked (incident_id, best)
    JOIN incidents AS incident ON incident.id = incident_id
    ORDER BY best DESC, incident.action_timestamp DESC, incident.id
    LIMIT found_max;
END
$$;
COMMENT ON FUNCTION search_incidents IS
    'The incidents that pass a filter and are nearest in meaning, best first. Only texts that the same model embedded are compared.';
