-- The search by meaning: the incidents of which a record's text is nearest to a query's.
--
-- Texts come again and again, and each is one vector with up to many thousands of incidents.
-- So the nearest texts are found first, and the incidents of each are taken from the nearest
-- text on. An incident is as similar as the most similar of its texts, which is the one it is
-- met at first. Where a filter lets few incidents pass, the texts of these are compared instead.
--
-- Texts are found by the signs of their vectors first, and then by the exact cosine: those of a
-- trained model in the HNSW index. Vectors of the local model are mostly zeros, and most pairs of
-- them at a right angle, so that a graph of neighbours leads nowhere: the signs of all of them
-- are compared.

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

CREATE FUNCTION sparse_form(embedding vector) RETURNS sparsevec
LANGUAGE sql IMMUTABLE
AS $$
    -- As many components as leave it in its row: those above zero, and those below.
    SELECT CASE
        WHEN bit_count(binary_quantize(embedding))
            + bit_count(binary_quantize(array_fill(0::real, ARRAY[1536])::vector - embedding)) <= 180
        THEN embedding::sparsevec
    END
$$;
COMMENT ON FUNCTION sparse_form(vector) IS 'A vector without its zeros, if that makes it short.';

ALTER TABLE embeddings
    ADD COLUMN signs bit(1536)
        GENERATED ALWAYS AS (binary_quantize(embedding)::bit(1536)) STORED,
    ADD COLUMN sparse sparsevec(1536)
        GENERATED ALWAYS AS (sparse_form(embedding)) STORED;
COMMENT ON COLUMN embeddings.signs IS 'Which components are above zero: what a search reads of all texts.';
COMMENT ON COLUMN embeddings.sparse IS
    'The vector without its zeros, where that is short: what a search reads of the nearest texts.';

DROP INDEX embeddings_nearest;
CREATE INDEX embeddings_nearest ON embeddings USING hnsw (signs bit_hamming_ops)
    WHERE sparse IS NULL;
COMMENT ON INDEX embeddings_nearest IS
    'Finds vectors that are not sparse by their signs; the exact distance ranks what it finds.';
CREATE INDEX embeddings_sparse ON embeddings (model) WHERE sparse IS NOT NULL;
COMMENT ON INDEX embeddings_sparse IS 'The sparse vectors of a model, whose signs are compared one by one.';

CREATE FUNCTION text_similarity_of(
    embedding vector, sparse sparsevec, query vector, sparse_query sparsevec)
RETURNS double precision
LANGUAGE sql IMMUTABLE
AS $$
    -- Where it is sparse, the vector itself, which lies apart from its row, is not read.
    SELECT least(greatest(1 - nullif(CASE
        WHEN sparse IS NULL THEN embedding <=> query
        ELSE sparse <=> sparse_query
    END, 'NaN'), 0), 1)
$$;
COMMENT ON FUNCTION text_similarity_of IS
    'How near a text is to a query, 0 to 1: the cosine. The opposite is as little alike as what has nothing in common, and what has no direction.';

DROP INDEX incident_embeddings_of_incident;
CREATE INDEX incident_embeddings_of_incident ON incident_embeddings (incident_id, embedding_id);
COMMENT ON INDEX incident_embeddings_of_incident IS 'The texts of an incident.';
CREATE INDEX incident_embeddings_of_embedding ON incident_embeddings (embedding_id, incident_id DESC);
COMMENT ON INDEX incident_embeddings_of_embedding IS 'The incidents of a text, the latest first.';

CREATE FUNCTION compare_incidents(candidates bigint[], query_model text, query vector)
RETURNS TABLE (incident_id bigint, similarity double precision)
LANGUAGE sql STABLE
SET enable_seqscan = off
AS $$
    WITH links AS MATERIALIZED (
        SELECT link.incident_id, link.embedding_id
        FROM unnest(candidates) AS candidate (id)
        JOIN incident_embeddings AS link ON link.incident_id = candidate.id
    ), texts AS MATERIALIZED (
        SELECT text.embedding_id, text_similarity_of(
            vectors.embedding, vectors.sparse, query, query::sparsevec) AS similarity
        FROM (SELECT DISTINCT embedding_id FROM links) AS text
        -- One by one: the planner does not know that vectors lie apart from their rows, and
        -- would think it cheap to read them all.
        CROSS JOIN LATERAL (
            SELECT embedding, sparse FROM embeddings
            WHERE id = text.embedding_id AND model = query_model
            OFFSET 0
        ) AS vectors
    )
    SELECT links.incident_id, max(texts.similarity)
    FROM links JOIN texts USING (embedding_id)
    GROUP BY links.incident_id
$$;
COMMENT ON FUNCTION compare_incidents IS 'How near incidents are to a query, exactly: all of their texts.';

CREATE FUNCTION latest_incidents_of_text(
    text_id bigint, filter incident_filter, blocks bigint[], bitmaps varbit[], found_max bigint)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
-- Called for one text after the other, with one plan: from the text's links on.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    IF blocks IS NULL THEN
        RETURN ARRAY(
            SELECT DISTINCT link.incident_id
            FROM incident_embeddings AS link
            JOIN incidents AS incident ON incident.id = link.incident_id
            WHERE link.embedding_id = text_id
              AND incident_matches(
                    incident.namespace, incident.cluster, incident.action_type,
                    incident.alert_name, incident.alert_severity,
                    incident.execution_status, incident.correlation_id,
                    incident.action_timestamp, filter)
            ORDER BY link.incident_id DESC
            LIMIT found_max);
    END IF;
    RETURN ARRAY(
        SELECT latest.incident_id
        FROM unnest(blocks, bitmaps) AS passing (block, incidents)
        CROSS JOIN LATERAL (
            SELECT DISTINCT link.incident_id
            FROM incident_embeddings AS link
            JOIN incidents AS incident ON incident.id = link.incident_id
            WHERE link.embedding_id = text_id
              AND link.incident_id BETWEEN block << 15 AND (block << 15) + 32767
              AND get_bit(passing.incidents, (link.incident_id & 32767)::integer) = 1
              AND incident_matches(
                    incident.namespace, incident.cluster, incident.action_type,
                    incident.alert_name, incident.alert_severity,
                    incident.execution_status, incident.correlation_id,
                    incident.action_timestamp, filter)
            ORDER BY link.incident_id DESC
            LIMIT found_max
        ) AS latest
        LIMIT found_max);
END
$$;
COMMENT ON FUNCTION latest_incidents_of_text IS
    'The latest incidents of a text that pass a filter: those of bitmaps, the latest block first, or where these are null, any.';

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
-- The order of the index is that of the signs, which the exact cosine corrects anyway.
SET hnsw.iterative_scan = 'relaxed_order'
SET hnsw.ef_search = 400
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    -- So many incidents are compared with the query, whatever texts they have.
    compared_max CONSTANT bigint := 20000;
    -- So many texts are compared with it, whatever incidents they have.
    texts_max    CONSTANT bigint := greatest(400, 10 * found_max);
    -- Signs say less of sparse vectors, which on the other hand are compared in no time.
    sparse_max   CONSTANT bigint := 1000;
    -- What is found among the first of these is surely near; what comes after them could have
    -- been passed by texts that are not near by their signs.
    sure_texts   CONSTANT bigint := texts_max / 4;
    is_filtered  boolean := filter IS DISTINCT FROM
        ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::incident_filter;
    query        vector := read_embedding(written_query);
    query_signs  bit(1536) := binary_quantize(query)::bit(1536);
    sparse_query sparsevec := query::sparsevec;
    first_day    text;
    last_day     text;
    state        incident_bitmaps_state;
    matches      bigint;
    -- Where the incidents are that pass the filter, as far as the bitmaps go.
    blocks       bigint[];
    bitmaps      varbit[];
    -- Those that are compared beside what the texts lead to.
    candidates   bigint[];
    nearest      record;
    is_sure      boolean := true;
    found_ids    bigint[] := '{}';
    found        double precision[] := '{}';
    more         bigint[];
BEGIN
    -- A vector without a direction is not near to anything.
    IF vector_norm(query) = 0 THEN
        RETURN;
    END IF;
    SELECT * INTO STRICT state FROM incident_bitmaps_state;
    IF is_filtered AND is_of_this_cluster(state) THEN
        matches := count_incidents(filter);
        IF filter.correlation_id IS NOT NULL THEN
            candidates := ARRAY(
                SELECT incident.id FROM incidents AS incident
                WHERE incident.correlation_id = filter.correlation_id);
        ELSIF matches <= compared_max THEN
            candidates := find_sparse_incidents(filter, state.included);
        ELSE
            IF filter.since IS NOT NULL OR filter.until IS NOT NULL THEN
                first_day := coalesce(facet_day(filter.since), '');
                last_day := coalesce(facet_day(filter.until), '~');
            END IF;
            SELECT array_agg(block ORDER BY block DESC), array_agg(incidents ORDER BY block DESC)
            INTO blocks, bitmaps
            FROM incident_bitmaps_of(filter, first_day, last_day)
            WHERE bit_count(incidents) > 0;
            candidates := ARRAY(SELECT incident_id FROM changes_since(state.included));
        END IF;
    END IF;

    IF matches IS NULL OR matches > compared_max THEN
        FOR nearest IN
            SELECT id, similarity, row_number() OVER best AS place
            FROM ((
                SELECT id FROM embeddings
                WHERE model = query_model AND sparse IS NULL
                ORDER BY signs <~> query_signs
                LIMIT texts_max
            ) UNION ALL (
                SELECT id FROM embeddings
                WHERE model = query_model AND sparse IS NOT NULL
                ORDER BY signs <~> query_signs
                LIMIT sparse_max
            )) AS nearest_by_signs
            CROSS JOIN LATERAL (
                SELECT embedding, sparse FROM embeddings
                WHERE embeddings.id = nearest_by_signs.id
                OFFSET 0
            ) AS texts,
                text_similarity_of(embedding, sparse, query, sparse_query) AS similarity
            WHERE similarity >= min_similarity
            WINDOW best AS (ORDER BY similarity DESC, id)
            ORDER BY place
            LIMIT texts_max
        LOOP
            more := latest_incidents_of_text(nearest.id, filter, blocks, bitmaps, found_max);
            more := ARRAY(
                SELECT met FROM unnest(more) AS met WHERE met <> ALL (found_ids)
                LIMIT found_max - cardinality(found_ids));
            found_ids := found_ids || more;
            found := found || array_fill(nearest.similarity, ARRAY[cardinality(more)]);
            is_sure := nearest.place <= sure_texts;
            EXIT WHEN cardinality(found_ids) >= found_max;
        END LOOP;
        IF is_filtered AND (cardinality(found_ids) < found_max OR NOT is_sure) THEN
            -- The incidents that pass are far from what is near: compare the latest of them.
            candidates := candidates || ARRAY(
                SELECT incident.id FROM incidents AS incident
                WHERE incident_matches(
                    incident.namespace, incident.cluster, incident.action_type,
                    incident.alert_name, incident.alert_severity,
                    incident.execution_status, incident.correlation_id,
                    incident.action_timestamp, filter)
                ORDER BY incident.action_timestamp DESC
                LIMIT compared_max);
        END IF;
    END IF;

    RETURN QUERY
    SELECT
        incident.id, incident.action_history_id, incident.action_id, incident.alert_name,
        incident.alert_severity, incident.action_type, incident.action_timestamp,
        incident.model_used, incident.model_confidence, incident.execution_status,
        incident.namespace, incident.cluster, incident.target_type, incident.target_name,
        incident.correlation_id, ranked.best
    FROM (
        SELECT incident_id, max(similarity) AS best
        FROM (
            SELECT incident_id, similarity FROM unnest(found_ids, found) AS met (incident_id, similarity)
            UNION ALL
            SELECT incident_id, similarity FROM compare_incidents(candidates, query_model, query)
        ) AS both_ways
        WHERE similarity >= min_similarity
        GROUP BY incident_id
        -- Of equally similar ones the latest.
        ORDER BY best DESC, incident_id DESC
    ) AS ranked
    JOIN incidents AS incident ON incident.id = ranked.incident_id
    WHERE incident_matches(
        incident.namespace, incident.cluster, incident.action_type, incident.alert_name,
        incident.alert_severity, incident.execution_status, incident.correlation_id,
        incident.action_timestamp, filter)
    ORDER BY ranked.best DESC, ranked.incident_id DESC
    LIMIT found_max;
END
$$;
COMMENT ON FUNCTION search_incidents IS
    'The incidents that pass a filter and are nearest in meaning, best first. Only texts that the same model embedded are compared.';
