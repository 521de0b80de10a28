-- Projections of the records of each correlation id, maintained by the writes.

CREATE TYPE record_version AS (
    record_id    bigint,
    object       text COLLATE "C",
    created_at   timestamptz,
    started_at   timestamptz,
    phase        text,
    completed_at timestamptz,
    progress     bigint
);
COMMENT ON TYPE record_version IS
    'A record''s position among the versions of its object; supersedes() compares two.';
COMMENT ON COLUMN record_version.object IS
    'The object that the record describes: namespace/name.';
COMMENT ON COLUMN record_version.started_at IS 'Start of the attempt that the record describes, if known.';
COMMENT ON COLUMN record_version.progress IS
    'Progress within the phase, on a scale of the kind.';

CREATE TYPE incident_change AS (
    kind       text COLLATE "C",
    version    record_version,
    projection jsonb
);
COMMENT ON TYPE incident_change IS 'What a record changes of its incident.';

CREATE TABLE action_histories (
    id          bigint        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster     text          NOT NULL COLLATE "C",
    namespace   text          NOT NULL COLLATE "C",
    target_type text          NOT NULL COLLATE "C",
    target_name text          NOT NULL COLLATE "C",
    target_hash sha256_digest NOT NULL UNIQUE
);
COMMENT ON TABLE action_histories IS
    'One row per target, with a stable number for all its incidents.';
COMMENT ON COLUMN action_histories.namespace IS 'Empty for a target without a namespace, such as a node.';
COMMENT ON COLUMN action_histories.target_type IS 'As first sent; types compare case-insensitively.';
COMMENT ON COLUMN action_histories.target_hash IS
    'SHA-256 of the four columns as a JSON array, with the type in lower case; together they can exceed the size limit of an index entry.';

CREATE SEQUENCE incident_ids AS bigint;

CREATE TABLE incidents (
    id                  bigint      PRIMARY KEY DEFAULT nextval('incident_ids'),
    correlation_id      text        NOT NULL COLLATE "C" UNIQUE,
    opened_at           timestamptz NOT NULL,
    remediation_name    text        COLLATE "C",
    alert_name          text        COLLATE "C",
    alert_severity      text        COLLATE "C",
    signal_type         text        COLLATE "C",
    environment         text        COLLATE "C",
    fingerprint         text        COLLATE "C",
    completed_at        timestamptz,
    action_history_id   bigint,
    cluster             text        COLLATE "C",
    namespace           text        COLLATE "C",
    target_type         text        COLLATE "C",
    target_name         text        COLLATE "C",
    model_used          text        COLLATE "C",
    model_confidence    double precision,
    workflow_name       text        COLLATE "C",
    action_id           uuid,
    action_type         text        COLLATE "C",
    action_timestamp    timestamptz,
    action_types        text[]      NOT NULL COLLATE "C" DEFAULT '{}',
    execution_status    text        NOT NULL COLLATE "C" DEFAULT 'pending'
) WITH (fillfactor = 80);
ALTER SEQUENCE incident_ids OWNED BY incidents.id;
COMMENT ON TABLE incidents IS
    'What the records of one correlation id say: per kind, the latest version of the latest object.';
COMMENT ON COLUMN incidents.opened_at IS 'The earliest created_at of its records.';
COMMENT ON COLUMN incidents.completed_at IS 'When the remediation request ended.';
COMMENT ON COLUMN incidents.signal_type IS 'From the remediation, or from the analysis until there is one.';
COMMENT ON COLUMN incidents.target_name IS
    'With cluster, namespace and target_type: the target of the remediation, or of the latest execution until there is one.';
COMMENT ON COLUMN incidents.namespace IS 'Empty for a target without a namespace; null if the target is unknown.';
COMMENT ON COLUMN incidents.workflow_name IS 'The executed workflow, not the object that executes it.';
COMMENT ON COLUMN incidents.action_timestamp IS 'created_at of the latest execution.';
COMMENT ON COLUMN incidents.action_types IS 'Distinct action types of all its executions.';
COMMENT ON COLUMN incidents.execution_status IS
    'pending, executing, completed, failed or rolled-back: of the latest execution, else of the workflow, else of the remediation.';

-- Separate from incidents, since lists and searches do not need it.
CREATE TABLE incident_versions (
    incident_id bigint PRIMARY KEY REFERENCES incidents ON DELETE CASCADE,
    remediation record_version,
    aianalysis  record_version,
    workflow    record_version,
    execution   record_version
) WITH (fillfactor = 80);
COMMENT ON TABLE incident_versions IS 'The version that an incident shows, per kind.';

CREATE VIEW incident_summaries AS
SELECT
    id, opened_at, action_history_id, action_id, alert_name, alert_severity, action_type,
    action_timestamp, model_used, model_confidence, execution_status, namespace, cluster,
    environment, target_type, target_name, fingerprint, remediation_name, workflow_name,
    completed_at, correlation_id
FROM incidents;
COMMENT ON VIEW incident_summaries IS 'Incidents as lists show them.';

CREATE TABLE incident_actions (
    incident_id bigint         NOT NULL REFERENCES incidents ON DELETE CASCADE,
    action_id   uuid           NOT NULL,
    action_type text           NOT NULL COLLATE "C",
    status      text           NOT NULL COLLATE "C",
    version     record_version NOT NULL,
    PRIMARY KEY (incident_id, action_id)
);
COMMENT ON TABLE incident_actions IS 'Every execution of an incident, in the version that shows.';
COMMENT ON COLUMN incident_actions.action_id IS 'Derived from the incident and the execution''s namespace and name.';
COMMENT ON COLUMN incident_actions.status IS 'Values as in incidents.execution_status.';

CREATE TABLE incident_records (
    id                     bigint      PRIMARY KEY,
    incident_id            bigint      NOT NULL,
    embedding_id           bigint      NOT NULL,
    kind                   text        NOT NULL COLLATE "C",
    created_at             timestamptz NOT NULL,
    content_hash           bytea       NOT NULL,
    remediation_request_id text        COLLATE "C",
    namespace              text        COLLATE "C",
    target_type            text        COLLATE "C",
    target_name            text        COLLATE "C",
    signal_type            text        COLLATE "C",
    root_cause             text
);
COMMENT ON TABLE incident_records IS
    'Incident and vector of each record, and the target, signal and cause that the record itself states.';
COMMENT ON COLUMN incident_records.id IS 'The record''s id. Locates the record together with kind, created_at and content_hash.';
COMMENT ON COLUMN incident_records.remediation_request_id IS
    'Name of the remediation request, if the record states it.';

CREATE INDEX incident_records_of_incident ON incident_records (incident_id, id) INCLUDE (embedding_id);
COMMENT ON INDEX incident_records_of_incident IS 'Finds the records of an incident in order, and their texts.';
CREATE INDEX incident_records_of_embedding ON incident_records (embedding_id, incident_id DESC);
COMMENT ON INDEX incident_records_of_embedding IS 'Finds the incidents of a text, latest first.';

CREATE VIEW incident_embeddings AS
SELECT
    record.id, record.incident_id, record.embedding_id, record.kind AS record_kind,
    record.id AS record_id,
    coalesce(record.remediation_request_id, incident.remediation_name) AS remediation_request_id,
    coalesce(record.namespace, incident.namespace) AS namespace,
    coalesce(record.target_type, incident.target_type) AS target_type,
    coalesce(record.target_name, incident.target_name) AS target_name,
    coalesce(record.signal_type, incident.signal_type) AS signal_type,
    coalesce(record.root_cause, analysis.root_cause) AS root_cause,
    text.model, text.embedding
FROM incident_records AS record
LEFT JOIN incidents AS incident ON incident.id = record.incident_id
LEFT JOIN incident_versions AS shown ON shown.incident_id = record.incident_id
LEFT JOIN incident_records AS analysis ON analysis.id = (shown.aianalysis).record_id
LEFT JOIN embeddings AS text ON text.id = record.embedding_id;
COMMENT ON VIEW incident_embeddings IS
    'One row per record: its vector, and its target, signal and cause, taken from its incident where the record has none.';

-- Arguments and results of the functions that write.

CREATE TYPE audit_write AS (
    kind           text COLLATE "C",
    created_at     timestamptz,
    content_hash   bytea,
    content        text,
    correlation_id text COLLATE "C",
    namespace      text COLLATE "C",
    name           text COLLATE "C",
    phase          text COLLATE "C",
    started_at     timestamptz,
    completed_at   timestamptz,
    progress       bigint,
    cluster        text COLLATE "C",
    projection     jsonb,
    model          text COLLATE "C",
    text_hash      bytea,
    is_name        boolean,
    embedding      text,
    log_nonce      bytea,
    commitment     text COLLATE "C"
);
COMMENT ON TYPE audit_write IS 'A record to be stored.';
COMMENT ON COLUMN audit_write.projection IS 'Keys are columns of incidents and incident_records.';
COMMENT ON COLUMN audit_write.is_name IS 'As in embeddings.';
COMMENT ON COLUMN audit_write.embedding IS
    'The vector of its text; null if it is expected to be stored, or another record of the write has it.';

CREATE TYPE audit_replay AS (
    number      bigint,
    record_id   bigint,
    recorded_at timestamptz,
    incident_id bigint,
    cluster     text COLLATE "C",
    recorded_by text COLLATE "C",
    log_nonce   bytea,
    leaf_index  bigint
);
COMMENT ON TYPE audit_replay IS 'A record that was stored before, by its number among those of the write, from 1.';
