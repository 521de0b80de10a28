-- pg_restore makes everything with an empty search_path. The body of this function, which a column
-- of `embeddings` is made by, was a text that named pgvector's functions without their schema, so a
-- dump could not be restored. Now it is parsed here, once, and a dump has the full names.

CREATE OR REPLACE FUNCTION sparse_form(embedding vector) RETURNS sparsevec
LANGUAGE sql IMMUTABLE
-- As many components as leave it in its row: those above zero, and those below.
RETURN CASE
    WHEN bit_count(binary_quantize(embedding))
        + bit_count(binary_quantize(array_fill(0::real, ARRAY[1536])::vector - embedding)) <= 180
    THEN embedding::sparsevec
END;
