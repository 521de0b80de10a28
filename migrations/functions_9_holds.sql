-- Holds: what retention must keep (docs/maintenance.md).

CREATE OR REPLACE FUNCTION hold_json(hold holds) RETURNS json
LANGUAGE sql STABLE
RETURN json_build_object(
    'id', (hold).id,
    'content', (hold).content::json,
    'recorded_at', (extract(epoch FROM (hold).recorded_at) * 1000000)::bigint,
    'recorded_by', (hold).recorded_by,
    'log_nonce', encode((hold).log_nonce, 'base64'),
    'leaf_index', (SELECT leaf_index FROM log_entries WHERE record_id = (hold).id),
    'release', (
        SELECT json_build_object(
            'id', id,
            'reason', reason,
            'recorded_at', (extract(epoch FROM recorded_at) * 1000000)::bigint,
            'recorded_by', recorded_by,
            'log_nonce', encode(log_nonce, 'base64'),
            'leaf_index', (SELECT leaf_index FROM log_entries WHERE record_id = release.id))
        FROM hold_releases AS release WHERE hold_id = (hold).id));
COMMENT ON FUNCTION hold_json(holds) IS 'A hold, and its release if it was released.';

CREATE OR REPLACE FUNCTION place_hold(
    new_content      text,
    new_content_hash bytea,
    new_recorded_by  text,
    new_log_nonce    bytea,
    new_commitment   text,
    OUT hold         json,
    OUT is_replayed  boolean,
    OUT log_origin   text)
LANGUAGE plpgsql
AS $$
DECLARE
    placed holds;
BEGIN
    -- One of several equal requests places the hold, the others find it.
    PERFORM pg_advisory_xact_lock('holds'::regclass::bigint);
    SELECT * INTO placed FROM holds
    WHERE content_hash = new_content_hash
      AND NOT EXISTS (SELECT FROM hold_releases WHERE hold_id = holds.id)
    ORDER BY id LIMIT 1;
    is_replayed := FOUND;
    IF NOT is_replayed THEN
        -- A hold that retention could not read would stop it.
        PERFORM hold_time(new_content::jsonb, field) FROM unnest('{since,until,expiresAt}'::text[]) AS field;
        INSERT INTO holds (content, content_hash, recorded_by, log_nonce)
        VALUES (new_content, new_content_hash, new_recorded_by, new_log_nonce)
        RETURNING * INTO placed;
        INSERT INTO log_pending (record_id, entry) VALUES (placed.id, format(
            '{"commitment":"%s","id":%s,"kind":"hold","recorded_at":"%s","version":1}',
            new_commitment, placed.id, log_time(placed.recorded_at)));
    END IF;
    hold := hold_json(placed);
    log_origin := (SELECT origin FROM log_rounds WHERE is_only);
END
$$;
COMMENT ON FUNCTION place_hold IS
    'Places a hold, or finds the same one if it was placed and not released. Also returns the origin of the log, null before its first checkpoint.';

CREATE OR REPLACE FUNCTION release_hold(
    of_hold_id      bigint,
    new_reason      text,
    new_recorded_by text,
    new_log_nonce   bytea,
    new_commitment  text,
    OUT hold        json,
    OUT is_replayed boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    placed   holds;
    released hold_releases;
BEGIN
    SELECT * INTO placed FROM holds WHERE id = of_hold_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO hold_releases (hold_id, reason, recorded_by, log_nonce)
    VALUES (of_hold_id, new_reason, new_recorded_by, new_log_nonce)
    ON CONFLICT (hold_id) DO NOTHING
    RETURNING * INTO released;
    is_replayed := NOT FOUND;
    IF NOT is_replayed THEN
        INSERT INTO log_pending (record_id, entry) VALUES (released.id, format(
            '{"commitment":"%s","id":%s,"kind":"hold_release","recorded_at":"%s","version":1}',
            new_commitment, of_hold_id, log_time(released.recorded_at)));
    END IF;
    hold := hold_json(placed);
END
$$;
COMMENT ON FUNCTION release_hold IS
    'Releases a hold, or finds it released. Returns null if there is no such hold.';

CREATE OR REPLACE FUNCTION list_holds(after_id bigint, listed_max bigint) RETURNS json
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(json_agg(hold_json(hold) ORDER BY hold.id), '[]')
    FROM holds AS hold
    WHERE id IN (SELECT id FROM holds WHERE id > after_id ORDER BY id LIMIT listed_max)
$$;
COMMENT ON FUNCTION list_holds(bigint, bigint) IS 'Holds by id, with their releases.';

CREATE OR REPLACE FUNCTION find_hold(of_hold_id bigint) RETURNS json
LANGUAGE sql STABLE
AS $$
    SELECT hold_json(hold) FROM holds AS hold WHERE id = of_hold_id
$$;
COMMENT ON FUNCTION find_hold(bigint) IS 'A hold by its id, with its release; null if there is none.';

CREATE OR REPLACE FUNCTION hold_text(content jsonb, field text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN nullif(content ->> field, '');
COMMENT ON FUNCTION hold_text(jsonb, text) IS 'A field of a hold; null if it is not set.';

CREATE OR REPLACE FUNCTION hold_time(content jsonb, field text) RETURNS timestamptz
LANGUAGE sql STABLE
-- Truncated to the microsecond, as a record's created_at. Go's zero time means that the field is not
-- set.
RETURN nullif(
    regexp_replace(hold_text(content, field), '([.][0-9]{6})[0-9]+', '\1')::timestamptz,
    '0001-01-01 00:00:00+00'::timestamptz);
COMMENT ON FUNCTION hold_time(jsonb, text) IS 'A time of a hold; null if it is not set.';

CREATE OR REPLACE FUNCTION holds_on(records regclass, after_id bigint) RETURNS bigint[]
LANGUAGE plpgsql
AS $$
DECLARE
    found_ids bigint[];
BEGIN
    EXECUTE format(
        'WITH hold AS MATERIALIZED (
             SELECT id,
                 hold_text(content, ''correlationId'') AS correlation_id,
                 hold_text(content, ''namespace'') AS namespace, hold_text(content, ''name'') AS name,
                 hold_time(content, ''since'') AS since, hold_time(content, ''until'') AS until,
                 hold_time(content, ''expiresAt'') AS expires_at
             FROM (SELECT id, content::jsonb AS content FROM holds WHERE id > $1) AS placed
             WHERE NOT EXISTS (SELECT FROM hold_releases WHERE hold_id = placed.id)
         )
         SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM hold
         WHERE (expires_at IS NULL OR expires_at > clock_timestamp())
           AND EXISTS (
               SELECT FROM %s AS record
               WHERE (hold.correlation_id IS NULL OR record.correlation_id = hold.correlation_id)
                 AND (hold.namespace IS NULL OR record.namespace = hold.namespace)
                 AND (hold.name IS NULL OR record.name = hold.name)
                 AND (hold.since IS NULL OR record.created_at >= hold.since)
                 AND (hold.until IS NULL OR record.created_at <= hold.until))', records)
    INTO found_ids USING after_id;
    RETURN found_ids;
END
$$;
COMMENT ON FUNCTION holds_on(regclass, bigint) IS
    'Holds in force with an id above after_id that match a record of a partition.';
