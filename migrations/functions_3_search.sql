-- The search by meaning: the incidents of which a record's text is nearest to a query's.
--
-- Texts come again and again, and each is one vector with up to many thousands of incidents. So the
-- nearest texts are found first, by the codes of their vectors and then by the exact cosine, and the
-- incidents of each are taken from the nearest text on: an incident is as similar as the most similar
-- of its texts, which is the one it is met at first. Where few incidents pass the filter, the texts
-- of these are compared, else the HNSW index leads to texts of incidents that pass.

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
    -- What has no direction is not a number, which PostgreSQL has for the greatest.
    WHERE similarity > 0 AND similarity <= 1 AND similarity >= min_similarity
    ORDER BY similarity DESC, id DESC
$$;
COMMENT ON FUNCTION rank_texts IS
    'How near texts are to a query: the cosine to 4 decimals, above 0 and not below a minimum; nearest first.';

-- Not STABLE, in which EXPLAIN is refused.
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
COMMENT ON FUNCTION expected_incidents IS 'How many incidents the planner expects to pass.';

CREATE OR REPLACE FUNCTION texts_by_index(
    are_names boolean, conditions text, filter incident_filter, query_model text, query_code bit,
    texts_max bigint)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    -- A text that many incidents share is taken for one of none that pass if none of so many do: of
    -- the latest, or of the earliest where it is those that may pass.
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
    'The names, or the other texts, that are nearest by their codes and that an incident has that passes.';

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
    -- Of so many incidents the texts are compared without asking the index.
    few_max      CONSTANT bigint := 30000;
    -- And of so many where the index finds too little.
    compared_max CONSTANT bigint := 100000;
    -- So many texts, the nearest by their codes, are compared by the exact cosine: of names and of
    -- others that the index finds, and of those of few incidents, which may all be far away.
    sought_texts CONSTANT bigint := 100 + 5 * found_max;
    few_texts    CONSTANT bigint := 800;
    -- So many texts the index finds at a time.
    ef_search    CONSTANT bigint := 400;
    -- So many texts are looked at in the index at most: fewer where comparing is left.
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
    -- Until the end of the statement. The order of the index is that of the codes, which the exact
    -- cosine corrects anyway. (As a clause of the function it would need a superuser to restore.)
    PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true),
        set_config('hnsw.ef_search', ef_search::text, true);
    -- A vector without a direction is not near to anything.
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
                -- Not in a form that the index could answer, as it may miss some.
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
        -- The index may miss even the query's own text.
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
    'The incidents that pass a filter and are nearest in meaning, best first. Of the incidents of one text the latest are preferred. Only texts that the same model embedded are compared. Null: the query''s vector is not known and was not given.';
