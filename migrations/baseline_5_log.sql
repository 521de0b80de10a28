-- The tamper-evident log (docs/log.md), and holds, which keep records from retention.

CREATE DOMAIN log_entry AS text COLLATE "C" CHECK (octet_length(VALUE) BETWEEN 1 AND 65535);
COMMENT ON DOMAIN log_entry IS 'Canonical JSON, whose hash is a leaf of the log.';

CREATE TABLE log_pending (
    id        bigint    GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id bigint,
    entry     log_entry NOT NULL
) WITH (
    -- Rows live for a second.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000);
COMMENT ON TABLE log_pending IS
    'Entries that the next round adds to the log, by id.';
COMMENT ON COLUMN log_pending.record_id IS 'Id of the record, hold or release; null for other entries.';

CREATE TABLE log_entries (
    leaf_index bigint    PRIMARY KEY,
    record_id  bigint    UNIQUE,
    entry      log_entry NOT NULL
);
COMMENT ON TABLE log_entries IS
    'The leaves of the log: what each commits to, without content.';

CREATE TABLE log_tiles (
    level      smallint NOT NULL,
    tile_index bigint   NOT NULL,
    hashes     bytea    NOT NULL
        CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (level, tile_index)
);
-- Hashes do not compress.
ALTER TABLE log_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE log_tiles IS
    'Hashes of the Merkle tree, 256 of every eighth level per row (c2sp.org/tlog-tiles).';

CREATE TABLE log_head (
    is_only    boolean     PRIMARY KEY DEFAULT true CHECK (is_only),
    size       bigint      NOT NULL DEFAULT 0,
    checkpoint text,
    signed_at  timestamptz
);
INSERT INTO log_head DEFAULT VALUES;
COMMENT ON TABLE log_head IS 'One row: the last checkpoint.';
COMMENT ON COLUMN log_head.size IS 'Number of leaves that the checkpoint covers.';

CREATE TABLE log_rounds (
    is_only       boolean     PRIMARY KEY DEFAULT true CHECK (is_only),
    next_round_at timestamptz NOT NULL DEFAULT '-infinity',
    origin        text
);
INSERT INTO log_rounds DEFAULT VALUES;
COMMENT ON TABLE log_rounds IS 'One row, which elects the writes that run rounds.';
COMMENT ON COLUMN log_rounds.next_round_at IS 'The first write from here on is elected.';
COMMENT ON COLUMN log_rounds.origin IS 'Origin of the last checkpoint.';

CREATE TABLE holds (
    id             bigint        PRIMARY KEY DEFAULT nextval('audit_record_ids'),
    content        text          NOT NULL CHECK (content IS JSON OBJECT),
    content_hash   sha256_digest NOT NULL,
    recorded_at    timestamptz   NOT NULL DEFAULT now(),
    recorded_by    user_name,
    log_nonce      log_nonce     NOT NULL
);
COMMENT ON TABLE holds IS
    'Holds, append-only: retention keeps months with records that match everything that a hold names.';
COMMENT ON COLUMN holds.id IS 'Unique among holds and records.';
COMMENT ON COLUMN holds.content IS
    'The hold as it was sent, in canonical form (RFC 8785). Retention reads it: it alone is what the log commits to.';

CREATE TABLE hold_releases (
    hold_id     bigint      PRIMARY KEY REFERENCES holds,
    id          bigint      NOT NULL UNIQUE DEFAULT nextval('audit_record_ids'),
    reason      text        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by user_name,
    log_nonce   log_nonce   NOT NULL
);
COMMENT ON TABLE hold_releases IS 'Holds that were released, append-only.';
COMMENT ON COLUMN hold_releases.id IS 'Names the release in the log; unique among holds and records.';
