-- Semantic search: finds the incidents with the texts nearest to a query. Many incidents share a
-- text, so the search ranks texts, by code and then by exact cosine, and takes incidents from the
-- nearest text on. If few incidents match the filter, it compares their texts; otherwise it scans
-- the HNSW index for texts with matching incidents.

CREATE OR REPLACE FUNCTION rank_texts(
    text_ids bigint[], query vector, min_similarity double precision,
    OUT text_id bigint, OUT similarity double precision)
RETURNS SETOF record
LANGUAGE sql STABLE ROWS 800
SET enable_seqscan = off
AS $$
    SELECT * FROM (
        SELECT text.id, round((1 - (text.embedding <=> query))::numeric, 4)::double precision AS similarity
        FROM embeddings AS text WHERE text.id = ANY (text_ids)
    ) AS compared
    -- A vector of zeros gives NaN, which PostgreSQL sorts above all numbers.
    WHERE similarity > 0 AND similarity <= 1 AND similarity >= min_similarity
    ORDER BY similarity DESC, id DESC
$$;
COMMENT ON FUNCTION rank_texts IS
    'Similarity of texts to a query, rounded to 4 decimals, above 0 and at least min_similarity; nearest first.';

-- Not STABLE, which would forbid EXPLAIN.
CREATE OR REPLACE FUNCTION expected_incidents(conditions text, filter incident_filter)
RETURNS double precision
LANGUAGE plpgsql
AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM incidents AS incident WHERE %s', conditions)
    INTO plan USING filter;
    RETURN plan #>> '{0,Plan,Plan Rows}';
END
$$;
COMMENT ON FUNCTION expected_incidents IS 'The planner''s estimate of matching incidents.';

CREATE OR REPLACE FUNCTION texts_by_index(
    are_names boolean, conditions text, filter incident_filter, query_model text, query_code bit,
    texts_max bigint)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    -- Incidents checked per text, the latest first, or the earliest if the filter has an upper
    -- bound. A text without a match among them is skipped.
    links_max CONSTANT bigint := 200;
    texts     bigint[];
BEGIN
    EXECUTE format(
        'SELECT ARRAY(
             SELECT text.id FROM embeddings AS text
             WHERE %s text.is_name AND text.model = $2 AND EXISTS (
                 SELECT FROM (
                     SELECT link.incident_id FROM incident_records AS link
                     WHERE link.embedding_id = text.id
                     ORDER BY link.incident_id %s LIMIT $5
                 ) AS link
                 JOIN incidents AS incident ON incident.id = link.incident_id
                 WHERE %s
                 OFFSET 0)
             ORDER BY text.code <~> $3
             LIMIT $4)', CASE WHEN NOT are_names THEN 'NOT' END,
        CASE WHEN filter.until IS NULL THEN 'DESC' END, conditions)
    INTO texts USING filter, query_model, query_code, texts_max, links_max;
    RETURN texts;
END
$$;
COMMENT ON FUNCTION texts_by_index IS
    'Ids of the nearest names, or of the nearest other texts, by code, that have a matching incident.';

CREATE OR REPLACE FUNCTION search_incidents(
    written_filter  jsonb,
    query_model     text,
    query_text_hash bytea,
    written_query   text,
    found_max       bigint,
    min_similarity  double precision)
RETURNS json
LANGUAGE plpgsql STABLE
SET timezone = 'UTC'
SET enable_seqscan = off
SET jit = off
SET work_mem = '32MB'
AS $$
DECLARE
    -- Up to this many incidents, compares their texts without the index.
    few_max      CONSTANT bigint := 30000;
    -- Up to this many, compares their texts if the index finds too few.
    compared_max CONSTANT bigint := 100000;
    -- Texts ranked by exact cosine after an index scan, per index, and after a comparison of codes,
    -- whose texts may all be distant.
    sought_texts CONSTANT bigint := 100 + 5 * found_max;
    few_texts    CONSTANT bigint := 800;
    -- Texts per step of the index scan.
    ef_search    CONSTANT bigint := 400;
    -- Limits of visited texts: without, and with, a comparison as fallback.
    visited_max  CONSTANT bigint := 20000;
    tried_max    CONSTANT bigint := 2000;
    filter       incident_filter := jsonb_populate_record(NULL::incident_filter, written_filter);
    conditions   text := incident_conditions(filter);
    passing      text := format(
        'SELECT ARRAY(SELECT id FROM incidents AS incident WHERE %s LIMIT $2)', conditions);
    query        vector := CASE
        WHEN written_query IS NULL THEN (
            SELECT embedding FROM embeddings
            WHERE model = query_model AND text_hash = query_text_hash)
        ELSE read_embedding(written_query) END;
    query_code   bit(1536) := embedding_code(query);
    expected     double precision;
    few          bigint[];
    texts        bigint[];
    nearest      record;
    more         bigint[];
    nearest_ids  bigint[] := '{}';
    similarities double precision[] := '{}';
BEGIN
    IF query IS NULL THEN
        RETURN NULL;
    END IF;
    -- Set until the end of the transaction, since a SET clause would need a superuser to restore a
    -- dump. The exact cosine makes strict order unnecessary.
    PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true),
        set_config('hnsw.ef_search', ef_search::text, true);
    IF vector_norm(query) = 0 THEN
        RETURN '[]';
    END IF;
    IF NOT (filter IS NULL) THEN
        expected := expected_incidents(conditions, filter);
        IF expected <= few_max THEN
            EXECUTE passing INTO few USING filter, compared_max + 1;
        END IF;
    END IF;
    IF few IS NULL OR cardinality(few) > compared_max THEN
        PERFORM set_config('hnsw.max_scan_tuples',
            CASE WHEN few IS NULL AND expected <= compared_max THEN tried_max ELSE visited_max END::text, true);
        texts := texts_by_index(false, conditions, filter, query_model, query_code, sought_texts);
        IF few IS NULL AND NOT (filter IS NULL) AND cardinality(texts) < sought_texts THEN
            EXECUTE passing INTO few USING filter, compared_max + 1;
        END IF;
    END IF;
    IF cardinality(few) <= compared_max THEN
        WITH link AS MATERIALIZED (
            SELECT incident_id, embedding_id FROM incident_records WHERE incident_id = ANY (few)
        ), ranked AS (
            SELECT * FROM rank_texts(ARRAY(
                SELECT text.id
                FROM (SELECT DISTINCT embedding_id FROM link) AS of_few
                JOIN embeddings AS text ON text.id = of_few.embedding_id
                WHERE text.model = query_model
                -- The + 0 prevents use of the approximate index.
                ORDER BY (text.code <~> query_code) + 0
                LIMIT few_texts), query, min_similarity)
        )
        SELECT array_agg(incident_id), array_agg(similarity) INTO nearest_ids, similarities
        FROM (
            SELECT incident_id, max(similarity) AS similarity
            FROM ranked JOIN link ON link.embedding_id = ranked.text_id
            GROUP BY incident_id
            ORDER BY similarity DESC, incident_id DESC
            LIMIT found_max
        ) AS best;
    ELSE
        texts := texts
            || texts_by_index(true, conditions, filter, query_model, query_code, sought_texts);
        -- The approximate index may miss even the query's own text.
        texts := texts || ARRAY(
            SELECT id FROM embeddings
            WHERE model = query_model AND text_hash = query_text_hash AND id <> ALL (texts));
        FOR nearest IN SELECT * FROM rank_texts(texts, query, min_similarity) LOOP
            EXECUTE format(
                'SELECT ARRAY(
                     SELECT DISTINCT link.incident_id FROM incident_records AS link
                     JOIN incidents AS incident ON incident.id = link.incident_id
                     WHERE link.embedding_id = $2 AND link.incident_id <> ALL ($3) AND %s
                     ORDER BY link.incident_id DESC LIMIT $4)', conditions)
            INTO more
            USING filter, nearest.text_id, nearest_ids, found_max - cardinality(nearest_ids);
            nearest_ids := nearest_ids || more;
            similarities := similarities || array_fill(nearest.similarity, ARRAY[cardinality(more)]);
            EXIT WHEN cardinality(nearest_ids) >= found_max;
        END LOOP;
    END IF;
    RETURN (
        SELECT coalesce(json_agg(found_incident ORDER BY similarity DESC, id DESC), '[]')
        FROM (
            SELECT incident.*, best.similarity
            FROM unnest(nearest_ids, similarities) AS best (incident_id, similarity)
            JOIN incident_summaries AS incident ON incident.id = best.incident_id
        ) AS found_incident);
END
$$;
COMMENT ON FUNCTION search_incidents IS
    'Returns the matching incidents nearest in meaning, best first, and latest first within a text. Compares only vectors of query_model. Returns null if the query''s vector is neither stored nor given.';

CREATE OR REPLACE FUNCTION find_similar_incidents(
    of_incident_id bigint,
    written_filter jsonb,
    found_max      bigint,
    min_similarity double precision,
    unknown_max    bigint)
RETURNS json
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $$
DECLARE
    own_model text;
    own_hash  bytea;
    nearest   json;
    found_ids bigint[];
    outcomes  json;
BEGIN
    PERFORM FROM incidents WHERE id = of_incident_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The text of analyses without findings is equal for all of them, so it comes last.
    SELECT text.model, text.text_hash INTO own_model, own_hash
    FROM incident_records AS link
    JOIN embeddings AS text ON text.id = link.embedding_id
    LEFT JOIN incident_versions AS shown ON shown.incident_id = link.incident_id
    WHERE link.incident_id = of_incident_id
    ORDER BY text.text_hash = sha256('analysis without findings'),
        CASE link.id
            WHEN (shown.aianalysis).record_id THEN 1
            WHEN (shown.remediation).record_id THEN 2
            WHEN (shown.workflow).record_id THEN 3
            WHEN (shown.execution).record_id THEN 4
            ELSE 5
        END, link.id DESC
    LIMIT 1;
    -- One more, since the incident itself is among the nearest.
    SELECT coalesce(json_agg(incident ORDER BY place), '[]'), array_agg((incident ->> 'id')::bigint)
    INTO nearest, found_ids
    FROM (
        SELECT incident, place
        FROM json_array_elements(search_incidents(
            written_filter, own_model, own_hash, NULL, found_max + 1, min_similarity
        )) WITH ORDINALITY AS others (incident, place)
        WHERE (incident ->> 'id')::bigint <> of_incident_id
        ORDER BY place
        LIMIT found_max
    ) AS similar_ones;
    EXECUTE outcomes_query(
        'SELECT id, workflow_name, execution_status FROM incidents WHERE id = ANY ($1)')
    INTO outcomes USING found_ids;
    RETURN json_build_object(
        'data', nearest, 'embedding_model', own_model,
        'unknown_texts', count_unknown_texts(own_model, unknown_max), 'outcomes', outcomes);
END
$$;
COMMENT ON FUNCTION find_similar_incidents IS
    'Returns the matching incidents nearest in meaning to an incident''s analysis, else signal, workflow or action, without itself, and how their executions ended; null if it does not exist.';
