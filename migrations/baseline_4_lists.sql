-- Filters of lists, and the indexes for them.

CREATE TYPE incident_filter AS (
    namespace         text COLLATE "C",
    cluster           text COLLATE "C",
    alert_name        text COLLATE "C",
    environment       text COLLATE "C",
    workflow_name     text COLLATE "C",
    remediation_name  text COLLATE "C",
    fingerprint       text COLLATE "C",
    target_type       text COLLATE "C",
    target_name       text COLLATE "C",
    action_type       text COLLATE "C",
    severity          text COLLATE "C",
    status            text COLLATE "C",
    correlation_id    text COLLATE "C",
    action_history_id bigint,
    since             timestamptz,
    until             timestamptz
);
COMMENT ON TYPE incident_filter IS
    'Conditions of a list or search; nulls match anything. since and until are inclusive.';

CREATE TYPE record_filter AS (
    kind           text COLLATE "C",
    namespace      text COLLATE "C",
    name           text COLLATE "C",
    correlation_id text COLLATE "C",
    since          timestamptz,
    until          timestamptz
);
COMMENT ON TYPE record_filter IS
    'Conditions of a list of records; nulls match anything. since and until are of recorded_at, and inclusive.';

CREATE INDEX incidents_by_time ON incidents (opened_at DESC, id DESC);
COMMENT ON INDEX incidents_by_time IS 'Supports the order of every list.';

-- Deduplication of few combinations keeps the index small (13 MB per million incidents), so scans
-- by any column are fast. Prefixes keep entries below 2,704 bytes at 4 bytes per character.
CREATE INDEX incidents_by_facets ON incidents (
    namespace, left(alert_name, 100), execution_status, left(lower(alert_severity), 100), left(cluster, 100),
    left(environment, 100), left(lower(target_type), 100), left(workflow_name, 100));
COMMENT ON INDEX incidents_by_facets IS 'Finds incidents by any combination of values that many incidents share.';

-- Without fastupdate, whose pending list every reader would scan.
CREATE INDEX incidents_by_action_types ON incidents USING gin (action_types) WITH (fastupdate = off);
COMMENT ON INDEX incidents_by_action_types IS 'Finds incidents by the action types of their executions.';

-- Values that few incidents share.
CREATE INDEX incidents_by_remediation ON incidents (remediation_name);
CREATE INDEX incidents_by_fingerprint ON incidents (fingerprint);
CREATE INDEX incidents_by_target_name ON incidents (target_name);
CREATE INDEX incidents_by_history ON incidents (action_history_id);
