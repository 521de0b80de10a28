-- Vectors of the records' texts, one per model and text.

-- In the baseline, since an index and a column store the results.
-- In PL/pgSQL, which keeps its plans: an SQL function would be planned anew for each new vector.
CREATE FUNCTION embedding_code(embedding vector) RETURNS bit(1536)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    dimensions integer;
    -- In units of the root mean square of all components. They divide a normal distribution into
    -- equally likely parts.
    levels     double precision[];
    level      double precision;
    -- Of length 1, so that the root mean square of its components is 1 / sqrt(dimensions).
    unit       vector;
    code       bit varying := '';
BEGIN
    IF vector_norm(subvector(embedding, 769, 768)) <> 0 THEN
        RETURN binary_quantize(embedding);
    ELSIF vector_norm(subvector(embedding, 385, 1152)) <> 0 THEN
        dimensions := 768;
        levels := '{-0.43, 0.43}';
    ELSIF vector_norm(subvector(embedding, 193, 1344)) <> 0 THEN
        dimensions := 384;
        levels := '{-0.84, -0.25, 0.25, 0.84}';
    ELSE
        dimensions := 192;
        levels := '{-1.22, -0.76, -0.43, -0.14, 0.14, 0.43, 0.76, 1.22}';
    END IF;
    unit := l2_normalize(subvector(embedding, 1, dimensions));
    FOREACH level IN ARRAY levels LOOP
        code := code || binary_quantize(
            unit - array_fill((level / sqrt(dimensions))::real, ARRAY[dimensions])::vector);
    END LOOP;
    RETURN code;
END
$$;
SELECT keep_search_path('embedding_code(vector)');
COMMENT ON FUNCTION embedding_code(vector) IS
    'A vector in 1,536 bits: the sign of each component. Vectors padded from 768, 384 or 192 dimensions get two, four or eight levels per component.';

CREATE TABLE embeddings (
    id        bigint        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model     text          NOT NULL COLLATE "C",
    text_hash sha256_digest NOT NULL,
    -- Compressed: pgvector's default would store 6 KB of a vector that is mostly padding.
    embedding vector(1536)  STORAGE EXTENDED NOT NULL,
    code      bit(1536)     GENERATED ALWAYS AS (embedding_code(embedding)) STORED,
    is_name   boolean       NOT NULL,
    made_at   timestamptz   NOT NULL DEFAULT now(),
    UNIQUE (model, text_hash)
);
COMMENT ON TABLE embeddings IS
    'One vector per model and text. Not partitioned, since an HNSW index covers one table.';
COMMENT ON COLUMN embeddings.model IS
    'Model of the vector; only vectors of one model are comparable.';
COMMENT ON COLUMN embeddings.text_hash IS 'SHA-256 of the embedded text.';
COMMENT ON COLUMN embeddings.code IS
    'The vector in 192 bytes, stored inline, which a search compares first.';
COMMENT ON COLUMN embeddings.is_name IS
    'Whether the text consists of names (of a signal, a workflow, an action with its target) and fixed words, and so is shared by many records.';

-- Full-precision HNSW is too slow for the writes: codes find candidates, exact cosine ranks them.
CREATE INDEX embeddings_nearest ON embeddings USING hnsw (code bit_hamming_ops) WHERE NOT is_name;
COMMENT ON INDEX embeddings_nearest IS
    'Finds candidates of a search by the Hamming distance of codes.';
-- A separate index: a graph of sentences misses a sixth of the few and distant names.
CREATE INDEX embeddings_nearest_names ON embeddings USING hnsw (code bit_hamming_ops) WHERE is_name;
COMMENT ON INDEX embeddings_nearest_names IS 'Finds candidates of a search among names.';
