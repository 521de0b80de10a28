-- Audit records: append-only, one table per kind, partitioned by month (UTC) of created_at. No
-- foreign keys: one statement writes all related rows, retention detaches whole months, and checks
-- would lock rows that all writers of an incident or text share.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE FUNCTION keep_search_path(function regprocedure) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION %s SET search_path = %s, pg_temp', function, array_to_string(
            ARRAY(SELECT quote_ident(name) FROM unnest(current_schemas(false)) AS name), ', '));
END
$$;
COMMENT ON FUNCTION keep_search_path(regprocedure) IS
    'Lets a function find what the caller of this one finds, whoever runs it: a restore has no search_path, and objects in a temporary schema could shadow others.';

-- Domains, since PostgreSQL prepares the checks of a table anew for each statement that writes to it.
CREATE DOMAIN sha256_digest AS bytea CHECK (octet_length(VALUE) = 32);
COMMENT ON DOMAIN sha256_digest IS 'A SHA-256 hash.';
CREATE DOMAIN log_nonce AS bytea CHECK (octet_length(VALUE) = 16);
COMMENT ON DOMAIN log_nonce IS
    'Random bytes that keep a commitment in the log from being guessed once its record has left.';
CREATE DOMAIN user_name AS text COLLATE "C" CHECK (char_length(VALUE) BETWEEN 1 AND 1024);
COMMENT ON DOMAIN user_name IS 'Whom the Kubernetes API server identified by a bearer token.';

CREATE SEQUENCE audit_record_ids AS bigint;
COMMENT ON SEQUENCE audit_record_ids IS
    'Ids of audit records, unique across kinds.';

CREATE TABLE audit_records (
    kind           text          NOT NULL COLLATE "C",
    id             bigint        NOT NULL DEFAULT nextval('audit_record_ids'),
    created_at     timestamptz   NOT NULL,
    content_hash   sha256_digest NOT NULL,
    recorded_at    timestamptz   NOT NULL DEFAULT now(),
    recorded_by    user_name,
    correlation_id text          NOT NULL COLLATE "C",
    namespace      text          NOT NULL COLLATE "C",
    name           text          NOT NULL COLLATE "C",
    phase          text          NOT NULL COLLATE "C",
    cluster        text          NOT NULL COLLATE "C",
    content        text          NOT NULL,
    log_nonce      log_nonce     NOT NULL
) PARTITION BY LIST (kind);
COMMENT ON TABLE audit_records IS
    'Every version of every record, append-only; one table per kind, partitioned by month of created_at.';
COMMENT ON COLUMN audit_records.kind IS 'remediation, aianalysis, workflow, execution or event.';
COMMENT ON COLUMN audit_records.id IS 'The id returned to the sender.';
COMMENT ON COLUMN audit_records.created_at IS
    'The record''s createdAt, truncated to the microsecond; content keeps the original.';
COMMENT ON COLUMN audit_records.content_hash IS
    'SHA-256 of content. Identifies a replay together with kind and created_at.';
COMMENT ON COLUMN audit_records.recorded_at IS 'When the service stored the record.';
COMMENT ON COLUMN audit_records.recorded_by IS
    'The user who first sent the record, as the Kubernetes API server identified the bearer token; null if access control was disabled.';
COMMENT ON COLUMN audit_records.cluster IS
    'The record''s cluster, else that of its label, else the service''s own.';
COMMENT ON COLUMN audit_records.content IS
    'The record as it was sent, in canonical form (RFC 8785).';

-- Creates each kind's table, its default partition, and months from the last one to a year ahead.
-- maintain_audit_partitions() creates later ones.
DO $$
DECLARE
    kind  text;
    month timestamp;
BEGIN
    FOREACH kind IN ARRAY ARRAY['remediation', 'aianalysis', 'workflow', 'execution', 'event'] LOOP
        EXECUTE format(
            'CREATE TABLE %1$s_audit PARTITION OF audit_records (PRIMARY KEY (created_at, content_hash))
                 FOR VALUES IN (%1$L) PARTITION BY RANGE (created_at);
             COMMENT ON TABLE %1$s_audit IS ''The records of the kind %1$s, partitioned by month of created_at.'';
             CREATE TABLE %1$s_audit_default PARTITION OF %1$s_audit DEFAULT;
             COMMENT ON TABLE %1$s_audit_default IS ''Records of months that have no partition.''',
            kind);
        FOR month IN
            SELECT generate_series(this_month - interval '1 month', this_month + interval '1 year', '1 month')
            FROM date_trunc('month', now() AT TIME ZONE 'UTC') AS this_month
        LOOP
            EXECUTE format(
                'CREATE TABLE %1$s_audit_%2$s PARTITION OF %1$s_audit FOR VALUES FROM (%3$L) TO (%4$L)',
                kind, to_char(month, 'YYYY_MM'), month::text || '+00',
                (month + interval '1 month')::text || '+00');
        END LOOP;
    END LOOP;
END
$$;

CREATE TABLE detached_partitions (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition_name text        NOT NULL COLLATE "C",
    kind           text        NOT NULL COLLATE "C",
    begins_at      timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL,
    detached_at    timestamptz NOT NULL DEFAULT now(),
    cleared_at     timestamptz
);
COMMENT ON TABLE detached_partitions IS
    'Months that retention has detached.';
COMMENT ON COLUMN detached_partitions.cleared_at IS
    'When all rows were removed that only the month''s records referred to.';
