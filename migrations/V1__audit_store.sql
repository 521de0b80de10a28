-- The audit store: the remediation records, the embeddings of their texts, and the
-- incidents that the records describe.
--
-- No foreign keys: the rows that belong together are written by one statement, which is
-- what keeps them together; a check on every write would lock the shared rows that all
-- writers of one target or one text refer to, and whole months of records are detached
-- when their retention ends.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE SEQUENCE audit_record_ids AS bigint;
COMMENT ON SEQUENCE audit_record_ids IS
    'Ids of audit records, one sequence for all kinds: an id names one record.';

CREATE SEQUENCE incident_embedding_ids AS bigint;
COMMENT ON SEQUENCE incident_embedding_ids IS
    'Ids of incident_embeddings; drawn while the record is inserted, so that the record can carry it.';

CREATE TABLE remediation_audit (
    id                    bigint      NOT NULL DEFAULT nextval('audit_record_ids'),
    created_at            timestamptz NOT NULL,
    content_hash          bytea       NOT NULL CHECK (octet_length(content_hash) = 32),
    recorded_at           timestamptz NOT NULL DEFAULT now(),
    correlation_id        text        NOT NULL COLLATE "C",
    namespace             text        NOT NULL COLLATE "C",
    name                  text        NOT NULL COLLATE "C",
    phase                 text        NOT NULL COLLATE "C",
    severity              text        COLLATE "C",
    cluster               text        NOT NULL COLLATE "C",
    content               text        NOT NULL,
    incident_embedding_id bigint      NOT NULL,
    PRIMARY KEY (created_at, content_hash)
) PARTITION BY RANGE (created_at);

COMMENT ON TABLE remediation_audit IS
    'Append-only: every version of every remediation request that was reported, by month of created_at.';
COMMENT ON COLUMN remediation_audit.id IS 'The id that the writer was answered.';
COMMENT ON COLUMN remediation_audit.created_at IS
    'The record''s createdAt, to the microsecond; content has it as it was sent.';
COMMENT ON COLUMN remediation_audit.content_hash IS
    'SHA-256 of content. With created_at it makes a repeated request the same record.';
COMMENT ON COLUMN remediation_audit.recorded_at IS 'When this service stored the record.';
COMMENT ON COLUMN remediation_audit.severity IS
    'The severity in force: the record''s own, else its label''s, else its priority''s; null when none says.';
COMMENT ON COLUMN remediation_audit.cluster IS
    'The cluster in force: the record''s own, else its label''s, else the service''s own cluster.';
COMMENT ON COLUMN remediation_audit.content IS
    'The whole record as it was sent, as canonical JSON (RFC 8785).';
COMMENT ON COLUMN remediation_audit.incident_embedding_id IS
    'The record''s row in incident_embeddings, and through it its incident.';

CREATE TABLE remediation_audit_default PARTITION OF remediation_audit DEFAULT;
COMMENT ON TABLE remediation_audit_default IS
    'Records of a month that has no partition, so that an odd date never loses a record.';

CREATE FUNCTION create_month_partitions(audit_table regclass, first_month date, months integer)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    month          date;
    parent_schema  text;
    parent_name    text;
    partition_name text;
    created        integer := 0;
BEGIN
    SELECT nspname, relname INTO STRICT parent_schema, parent_name
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid = audit_table;
    FOR number IN 0 .. months - 1 LOOP
        month := (date_trunc('month', first_month::timestamp) + make_interval(months => number))::date;
        partition_name := parent_name || to_char(month, '_YYYY_MM');
        IF to_regclass(format('%I.%I', parent_schema, partition_name)) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
                parent_schema, partition_name, audit_table,
                month || ' 00:00:00+00', (month + interval '1 month')::date || ' 00:00:00+00');
            created := created + 1;
        END IF;
    END LOOP;
    RETURN created;
END
$$;
COMMENT ON FUNCTION create_month_partitions(regclass, date, integer) IS
    'Creates the partitions of an audit table that are missing for a run of months (UTC); answers how many it made.';

SELECT create_month_partitions(
    'remediation_audit', (now() AT TIME ZONE 'UTC' - interval '1 month')::date, 14);

CREATE TABLE embeddings (
    id        bigint       GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model     text         NOT NULL COLLATE "C",
    text_hash bytea        NOT NULL CHECK (octet_length(text_hash) = 32),
    embedding vector(1536) NOT NULL,
    made_at   timestamptz  NOT NULL DEFAULT now(),
    UNIQUE (model, text_hash)
);
COMMENT ON TABLE embeddings IS
    'Every vector once per model and text. Not partitioned: an HNSW index serves one table.';
COMMENT ON COLUMN embeddings.model IS
    'The model that made the vector; only vectors of one model may be compared.';
COMMENT ON COLUMN embeddings.text_hash IS 'SHA-256 of the text that was embedded.';

-- Full-precision HNSW cannot keep up with the writes; candidates are found by their sign
-- bits and ranked by the exact cosine.
CREATE INDEX embeddings_nearest ON embeddings
    USING hnsw ((binary_quantize(embedding)::bit(1536)) bit_hamming_ops);
COMMENT ON INDEX embeddings_nearest IS
    'Candidates of a search by meaning, by the sign bits of their vectors.';

CREATE TABLE action_histories (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster     text   NOT NULL COLLATE "C",
    namespace   text   NOT NULL COLLATE "C",
    target_type text   NOT NULL COLLATE "C",
    target_name text   NOT NULL COLLATE "C",
    target_hash bytea  NOT NULL UNIQUE CHECK (octet_length(target_hash) = 32)
);
COMMENT ON TABLE action_histories IS
    'One row per remediated target: a stable number for all incidents of one target.';
COMMENT ON COLUMN action_histories.target_hash IS
    'SHA-256 of the four columns as a JSON array: they can be too long together for an index.';

CREATE TABLE incidents (
    id                  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    correlation_id      text        NOT NULL COLLATE "C" UNIQUE,
    action_history_id   bigint,
    action_id           uuid,
    alert_name          text        COLLATE "C",
    alert_severity      text        COLLATE "C",
    action_type         text        COLLATE "C",
    action_timestamp    timestamptz NOT NULL,
    model_used          text        COLLATE "C",
    model_confidence    double precision,
    execution_status    text        NOT NULL COLLATE "C",
    namespace           text        COLLATE "C",
    cluster             text        COLLATE "C",
    target_type         text        COLLATE "C",
    target_name         text        COLLATE "C",
    signal_type         text        COLLATE "C",
    environment         text        COLLATE "C",
    priority            text        COLLATE "C",
    fingerprint         text        COLLATE "C",
    remediation_version bytea,
    remediation_name    text        COLLATE "C",
    remediation_phase   text        COLLATE "C",
    remediation_reason  text,
    remediation_message text,
    created_at          timestamptz,
    started_at          timestamptz,
    completed_at        timestamptz
) WITH (fillfactor = 80);
COMMENT ON TABLE incidents IS
    'What the records of one correlation id say, kept up to date by the writes themselves.';
COMMENT ON COLUMN incidents.remediation_version IS
    'Orders the versions of a remediation request as bytes; the greatest one''s values stand here, in whatever order the records came.';
COMMENT ON COLUMN incidents.action_timestamp IS
    'When the action happened, as far as is known; a remediation''s createdAt until then.';
COMMENT ON COLUMN incidents.execution_status IS
    'pending, executing, completed, failed or rolled-back.';
COMMENT ON COLUMN incidents.created_at IS 'createdAt of the remediation request.';

CREATE TABLE incident_embeddings (
    id                     bigint NOT NULL PRIMARY KEY,
    incident_id            bigint NOT NULL,
    embedding_id           bigint NOT NULL,
    record_kind            text   NOT NULL COLLATE "C",
    record_id              bigint NOT NULL,
    remediation_request_id text   COLLATE "C",
    namespace              text   COLLATE "C",
    target_type            text   COLLATE "C",
    target_name            text   COLLATE "C",
    signal_type            text   COLLATE "C",
    root_cause             text
);
COMMENT ON TABLE incident_embeddings IS
    'One row per stored record: its incident, its vector, and what a search filters by.';
COMMENT ON COLUMN incident_embeddings.embedding_id IS 'The vector, in embeddings.';
COMMENT ON COLUMN incident_embeddings.remediation_request_id IS
    'The name of the remediation request that the record is of.';

CREATE INDEX incident_embeddings_of_incident ON incident_embeddings (incident_id);
COMMENT ON INDEX incident_embeddings_of_incident IS 'The records of an incident.';

ALTER SEQUENCE incident_embedding_ids OWNED BY incident_embeddings.id;
