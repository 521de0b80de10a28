-- The vectors of the records' texts, each once per model and text.

CREATE TABLE embeddings (
    id        bigint       GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model     text         NOT NULL COLLATE "C",
    text_hash bytea        NOT NULL CHECK (octet_length(text_hash) = 32),
    embedding vector(1536) NOT NULL,
    signs     bit(1536)    GENERATED ALWAYS AS (binary_quantize(embedding)::bit(1536)) STORED,
    made_at   timestamptz  NOT NULL DEFAULT now(),
    UNIQUE (model, text_hash)
);
COMMENT ON TABLE embeddings IS
    'Every vector once per model and text. Not partitioned: an HNSW index serves one table.';
COMMENT ON COLUMN embeddings.model IS
    'The model that made the vector; only vectors of one model may be compared.';
COMMENT ON COLUMN embeddings.text_hash IS 'SHA-256 of the text that was embedded.';
COMMENT ON COLUMN embeddings.signs IS
    'Which components are above zero: what a search compares first, and lies in the row itself.';

-- Full-precision HNSW cannot keep up with the writes. The signs find the candidates, the exact
-- cosine ranks them.
CREATE INDEX embeddings_nearest ON embeddings USING hnsw (signs bit_hamming_ops);
COMMENT ON INDEX embeddings_nearest IS
    'Candidates of a search by meaning, by the sign bits of their vectors.';
