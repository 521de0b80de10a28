-- Rounds, which extend the log and store signed checkpoints, and what proofs need (docs/log.md).
-- The caller signs: the database never has the key.

CREATE OR REPLACE FUNCTION log_incarnation() RETURNS text
LANGUAGE sql STABLE
-- A dump that is restored is another database, perhaps of another system; a recovery to a point in
-- time and a failover begin another timeline.
RETURN format('%s-%s-%s',
    (SELECT system_identifier FROM pg_control_system()),
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint,
    (SELECT oid FROM pg_database WHERE datname = current_database()));
COMMENT ON FUNCTION log_incarnation() IS
    'Names this database as one that continues nothing else, as far as PostgreSQL knows: system identifier, timeline, database OID. Fails on a standby.';

CREATE OR REPLACE FUNCTION log_tile_text(of_level integer, of_index bigint) RETURNS text
LANGUAGE sql STABLE
RETURN coalesce((
    SELECT translate(encode(hashes, 'base64'), E'\n', '')
    FROM log_tiles WHERE level = of_level AND tile_index = of_index), '');
COMMENT ON FUNCTION log_tile_text(integer, bigint) IS 'A tile in base64; empty if there is none.';

CREATE OR REPLACE FUNCTION begin_log_round(
    entries_max bigint,
    OUT incarnation text, OUT checkpoint text, OUT edge text[], OUT pending_ids bigint[], OUT entries text[])
-- One snapshot.
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET enable_seqscan = off
AS $$
DECLARE
    head log_head;
BEGIN
    incarnation := log_incarnation();
    SELECT * INTO STRICT head FROM log_head WHERE is_only;
    checkpoint := head.checkpoint;
    edge := ARRAY(
        SELECT log_tile_text(level, head.size >> (8 * (level + 1)))
        FROM generate_series(0, 6) AS level ORDER BY level);
    SELECT coalesce(array_agg(id ORDER BY id), '{}'), coalesce(array_agg(entry::text ORDER BY id), '{}')
    INTO pending_ids, entries
    FROM (SELECT id, entry FROM log_pending ORDER BY id LIMIT entries_max) AS pending;
END
$$;
COMMENT ON FUNCTION begin_log_round(bigint) IS
    'What a round begins with: incarnation of the database, last checkpoint, partial tile of each level in base64, and pending entries, by id.';

CREATE OR REPLACE FUNCTION finish_log_round(
    of_incarnation  text,
    old_size        bigint,
    old_checkpoint  text,
    origin_entry    text,
    taken_ids       bigint[],
    tile_levels     integer[],
    tile_indexes    bigint[],
    written_tiles   text[],
    new_size        bigint,
    new_checkpoint  text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off
AS $$
DECLARE
    first_index bigint := old_size + num_nonnulls(origin_entry);
    new_origin  text   := split_part(new_checkpoint, E'\n', 1);
    added       bigint;
    written     bigint;
BEGIN
    -- A round that began before a failover is void: its checkpoint names the incarnation before.
    IF of_incarnation <> log_incarnation() THEN
        RETURN false;
    END IF;
    -- Waits for a concurrent round, which makes this one void.
    UPDATE log_head SET size = new_size, checkpoint = new_checkpoint, signed_at = clock_timestamp()
    WHERE is_only AND size = old_size AND checkpoint IS NOT DISTINCT FROM old_checkpoint;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF origin_entry IS NOT NULL THEN
        INSERT INTO log_entries (leaf_index, entry) VALUES (old_size, origin_entry);
    END IF;
    WITH taken AS (
        DELETE FROM log_pending WHERE id = ANY (taken_ids) RETURNING id, record_id, entry
    )
    INSERT INTO log_entries (leaf_index, record_id, entry)
    SELECT first_index + place.position - 1, taken.record_id, taken.entry
    FROM unnest(taken_ids) WITH ORDINALITY AS place (id, position) JOIN taken USING (id);
    GET DIAGNOSTICS added = ROW_COUNT;
    INSERT INTO log_tiles AS known (level, tile_index, hashes)
    SELECT level, tile_index, decode(written_tile, 'base64')
    FROM unnest(tile_levels, tile_indexes, written_tiles) AS tile (level, tile_index, written_tile)
    ON CONFLICT (level, tile_index) DO UPDATE SET hashes = EXCLUDED.hashes
    -- Tiles only grow.
    WHERE substr(EXCLUDED.hashes, 1, octet_length(known.hashes)) = known.hashes;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF first_index + added <> new_size OR added <> cardinality(taken_ids)
        OR written <> cardinality(tile_levels)
    THEN
        RAISE EXCEPTION 'the round does not extend the log' USING ERRCODE = 'data_exception';
    END IF;
    UPDATE log_rounds SET origin = new_origin WHERE is_only AND origin IS DISTINCT FROM new_origin;
    RETURN true;
END
$$;
COMMENT ON FUNCTION finish_log_round IS
    'Appends entries, tiles and a checkpoint. Returns false and changes nothing if the log does not end with the old checkpoint any more, or the database is another incarnation.';

CREATE OR REPLACE FUNCTION log_path(of_index bigint, of_size bigint) RETURNS json
LANGUAGE sql STABLE
SET enable_seqscan = off
AS $$
    SELECT coalesce(json_agg(json_build_object(
        'level', level, 'index', tile_index, 'hashes', translate(encode(hashes, 'base64'), E'\n', ''))), '[]')
    FROM generate_series(0, 6) AS of_level
    JOIN log_tiles ON level = of_level AND tile_index IN (
        of_index >> (8 * (of_level + 1)), of_size >> (8 * (of_level + 1)), (of_size - 1) >> (8 * (of_level + 1)))
$$;
COMMENT ON FUNCTION log_path(bigint, bigint) IS
    'The tiles above a leaf and at the right edge of a tree: all that a proof between them needs.';

CREATE OR REPLACE FUNCTION find_log_proof(
    of_record_id bigint,
    OUT is_known boolean, OUT leaf_index bigint, OUT entry text, OUT checkpoint text, OUT tiles text)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET enable_seqscan = off
AS $$
DECLARE
    leaf log_entries;
    head log_head;
BEGIN
    SELECT * INTO leaf FROM log_entries WHERE record_id = of_record_id;
    IF NOT FOUND THEN
        -- Without a scan of what is pending: what is stored and has no leaf is pending.
        is_known := EXISTS (SELECT FROM incident_records WHERE id = of_record_id)
            OR EXISTS (SELECT FROM holds WHERE id = of_record_id)
            OR EXISTS (SELECT FROM hold_releases WHERE id = of_record_id);
        RETURN;
    END IF;
    SELECT * INTO STRICT head FROM log_head WHERE is_only;
    is_known := true;
    leaf_index := leaf.leaf_index;
    entry := leaf.entry;
    checkpoint := head.checkpoint;
    tiles := log_path(leaf.leaf_index, head.size)::text;
END
$$;
COMMENT ON FUNCTION find_log_proof(bigint) IS
    'What the proof of a record or hold needs; only is_known if it is pending, not even that if it is unknown.';

CREATE OR REPLACE FUNCTION find_log_consistency(from_size bigint, OUT checkpoint text, OUT tiles text)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
AS $$
DECLARE
    head log_head;
BEGIN
    SELECT * INTO STRICT head FROM log_head WHERE is_only;
    checkpoint := head.checkpoint;
    tiles := log_path(greatest(from_size - 1, 0), head.size)::text;
END
$$;
COMMENT ON FUNCTION find_log_consistency(bigint) IS
    'What a proof needs that the log of another size is its beginning.';

CREATE OR REPLACE FUNCTION find_log_tile(of_level integer, of_index bigint, of_width integer) RETURNS bytea
LANGUAGE sql STABLE
RETURN (
    SELECT substr(hashes, 1, of_width * 32) FROM log_tiles
    WHERE level = of_level AND tile_index = of_index AND octet_length(hashes) >= of_width * 32);
COMMENT ON FUNCTION find_log_tile(integer, bigint, integer) IS
    'The first hashes of a tile; null if it has fewer.';

CREATE OR REPLACE FUNCTION find_log_entries(of_index bigint, of_width integer) RETURNS bytea
LANGUAGE sql STABLE
SET enable_seqscan = off
AS $$
    SELECT CASE WHEN count(*) = of_width THEN
        -- Each after its length in two bytes.
        string_agg(substr(int4send(octet_length(entry)), 3) || convert_to(entry, 'UTF8'), '' ORDER BY leaf_index)
    END
    FROM log_entries, (SELECT size FROM log_head WHERE is_only) AS head
    WHERE leaf_index >= of_index * 256 AND leaf_index < of_index * 256 + of_width AND leaf_index < head.size
$$;
COMMENT ON FUNCTION find_log_entries(bigint, integer) IS
    'The first entries of a bundle of 256; null if it has fewer.';

CREATE OR REPLACE FUNCTION log_status(
    counted_max bigint,
    OUT checkpoint text, OUT signed_at bigint, OUT pending bigint, OUT pending_since text)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
AS $$
DECLARE
    head log_head;
BEGIN
    SELECT * INTO STRICT head FROM log_head WHERE is_only;
    checkpoint := head.checkpoint;
    signed_at := (extract(epoch FROM head.signed_at) * 1000000)::bigint;
    SELECT count(*) INTO pending FROM (SELECT FROM log_pending LIMIT counted_max) AS pending;
    pending_since := (
        SELECT substring(entry FROM '"recorded_at":"([^"]+)"') FROM log_pending ORDER BY id LIMIT 1);
END
$$;
COMMENT ON FUNCTION log_status(bigint) IS
    'The last checkpoint and when it was signed (Unix time in microseconds), the number of pending entries up to counted_max, and when the oldest of them was recorded.';

CREATE OR REPLACE FUNCTION rebuild_log_tiles() RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    tile_level  integer := 0;
    hash_count  bigint;
    node_hashes bytea[];
    repaired    bigint := 0;
    changed     bigint;
BEGIN
    LOCK TABLE log_head IN SHARE ROW EXCLUSIVE MODE;
    SELECT size INTO STRICT hash_count FROM log_head WHERE is_only;
    CREATE TEMPORARY TABLE level_hashes ON COMMIT DROP AS
    SELECT leaf_index AS hash_index, sha256('\x00'::bytea || convert_to(entry, 'UTF8')) AS hash
    FROM log_entries WHERE leaf_index < hash_count;
    LOOP
        INSERT INTO log_tiles AS known (level, tile_index, hashes)
        SELECT tile_level, hash_index >> 8, string_agg(hash, '' ORDER BY hash_index)
        FROM level_hashes GROUP BY hash_index >> 8
        ON CONFLICT (level, tile_index) DO UPDATE SET hashes = EXCLUDED.hashes
        WHERE known.hashes <> EXCLUDED.hashes;
        GET DIAGNOSTICS changed = ROW_COUNT;
        repaired := repaired + changed;
        -- Halves the level eight times: each hash of the next one spans a full tile.
        DELETE FROM level_hashes WHERE hash_index >= hash_count >> 8 << 8;
        hash_count := hash_count >> 8;
        tile_level := tile_level + 1;
        EXIT WHEN hash_count = 0;
        FOR halving IN 1 .. 8 LOOP
            CREATE TEMPORARY TABLE halved_hashes ON COMMIT DROP AS
            SELECT hash_index >> 1 AS hash_index, sha256('\x01'::bytea || string_agg(hash, '' ORDER BY hash_index)) AS hash
            FROM level_hashes GROUP BY hash_index >> 1;
            DROP TABLE level_hashes;
            ALTER TABLE halved_hashes RENAME TO level_hashes;
        END LOOP;
    END LOOP;
    RETURN format('tiles repaired: %s', repaired);
END
$$;
COMMENT ON FUNCTION rebuild_log_tiles() IS
    'Computes all tiles from the entries, after a tile was damaged; the next round checks that they give the signed root. For the owner.';

DO $$
DECLARE
    function regprocedure;
BEGIN
    FOREACH function IN ARRAY ARRAY[
        'begin_log_round(bigint)',
        'finish_log_round(text, bigint, text, text, bigint[], integer[], bigint[], text[], bigint, text)',
        'find_log_proof(bigint)', 'find_log_consistency(bigint)', 'log_status(bigint)']::regprocedure[]
    LOOP
        PERFORM keep_search_path(function);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO data_storage_writer', function);
    END LOOP;
    GRANT EXECUTE ON FUNCTION log_status(bigint) TO data_storage_reader;
    REVOKE EXECUTE ON FUNCTION rebuild_log_tiles() FROM PUBLIC;
END
$$;
