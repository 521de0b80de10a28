-- The vectors of the records' texts, each once per model and text.

-- Part of the baseline and not of the functions, as what they answer is stored.
CREATE FUNCTION components_above(level double precision, embedding vector) RETURNS bit varying
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN binary_quantize(
    l2_normalize(embedding) - array_fill(
        (level / sqrt(vector_dims(embedding)))::real, ARRAY[vector_dims(embedding)])::vector);
COMMENT ON FUNCTION components_above(double precision, vector) IS
    'Which components are above a level, where 1 is how long they are on average.';

CREATE FUNCTION embedding_code(embedding vector) RETURNS bit(1536)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- The levels part a normal distribution into equally likely pieces. A sparse vector that happens to
-- end in zeros is not a padded one.
RETURN (CASE
    WHEN bit_count(binary_quantize(embedding)) < 48 THEN binary_quantize(embedding)
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
    'A vector in 1,536 bits: of each component whether it is above zero. A vector that is padded has room for more levels: two, four or eight for one of 768, 384 or 192 dimensions.';

CREATE TABLE embeddings (
    id        bigint       GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model     text         NOT NULL COLLATE "C",
    text_hash bytea        NOT NULL CHECK (octet_length(text_hash) = 32),
    embedding vector(1536) NOT NULL,
    code      bit(1536)    GENERATED ALWAYS AS (embedding_code(embedding)) STORED,
    is_name   boolean      NOT NULL,
    made_at   timestamptz  NOT NULL DEFAULT now(),
    UNIQUE (model, text_hash)
);
COMMENT ON TABLE embeddings IS
    'Every vector once per model and text. Not partitioned: an HNSW index serves one table.';
COMMENT ON COLUMN embeddings.model IS
    'The model that made the vector; only vectors of one model may be compared.';
COMMENT ON COLUMN embeddings.text_hash IS 'SHA-256 of the text that was embedded.';
COMMENT ON COLUMN embeddings.code IS
    'The vector in 192 bytes: what a search compares first, and lies in the row itself.';
COMMENT ON COLUMN embeddings.is_name IS
    'Whether the text is that of a signal, a workflow or an action: a name that many records share.';

-- Full-precision HNSW cannot keep up with the writes. The codes find the candidates, the exact
-- cosine ranks them.
CREATE INDEX embeddings_nearest ON embeddings USING hnsw (code bit_hamming_ops) WHERE NOT is_name;
COMMENT ON INDEX embeddings_nearest IS
    'Candidates of a search by meaning, by how many bits of their codes differ.';
-- Names are few and far from sentences, whose graph loses sight of every sixth of them.
CREATE INDEX embeddings_nearest_names ON embeddings USING hnsw (code bit_hamming_ops) WHERE is_name;
COMMENT ON INDEX embeddings_nearest_names IS 'The same of names.';
