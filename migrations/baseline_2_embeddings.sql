-- Vectors of the records' texts, one per model and text.

-- In the baseline, since an index and a column store the results.
CREATE FUNCTION components_above(level double precision, embedding vector) RETURNS bit varying
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN binary_quantize(
    l2_normalize(embedding) - array_fill(
        (level / sqrt(vector_dims(embedding)))::real, ARRAY[vector_dims(embedding)])::vector);
COMMENT ON FUNCTION components_above(double precision, vector) IS
    'Which components exceed a level, in units of the root mean square of all components.';

CREATE FUNCTION embedding_code(embedding vector) RETURNS bit(1536)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- The levels divide a normal distribution into equally likely parts.
RETURN (CASE
    WHEN vector_norm(subvector(embedding, 193, 1344)) = 0 THEN
        components_above(-1.22, subvector(embedding, 1, 192))
        || components_above(-0.76, subvector(embedding, 1, 192))
        || components_above(-0.43, subvector(embedding, 1, 192))
        || components_above(-0.14, subvector(embedding, 1, 192))
        || components_above(0.14, subvector(embedding, 1, 192))
        || components_above(0.43, subvector(embedding, 1, 192))
        || components_above(0.76, subvector(embedding, 1, 192))
        || components_above(1.22, subvector(embedding, 1, 192))
    WHEN vector_norm(subvector(embedding, 385, 1152)) = 0 THEN
        components_above(-0.84, subvector(embedding, 1, 384))
        || components_above(-0.25, subvector(embedding, 1, 384))
        || components_above(0.25, subvector(embedding, 1, 384))
        || components_above(0.84, subvector(embedding, 1, 384))
    WHEN vector_norm(subvector(embedding, 769, 768)) = 0 THEN
        components_above(-0.43, subvector(embedding, 1, 768))
        || components_above(0.43, subvector(embedding, 1, 768))
    ELSE binary_quantize(embedding)
END)::bit(1536);
COMMENT ON FUNCTION embedding_code(vector) IS
    'A vector in 1,536 bits: the sign of each component. Vectors padded from 768, 384 or 192 dimensions get two, four or eight levels per component.';

CREATE TABLE embeddings (
    id        bigint        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model     text          NOT NULL COLLATE "C",
    text_hash sha256_digest NOT NULL,
    embedding vector(1536)  NOT NULL,
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
