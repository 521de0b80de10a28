-- What lists of incidents are asked for, and the indexes that answer them.

CREATE TYPE incident_filter AS (
    namespace         text,
    cluster           text,
    alert_name        text,
    environment       text,
    workflow_name     text,
    remediation_name  text,
    fingerprint       text,
    target_type       text,
    target_name       text,
    action_type       text,
    severity          text,
    status            text,
    correlation_id    text,
    action_history_id bigint,
    since             timestamptz,
    until             timestamptz
);
COMMENT ON TYPE incident_filter IS
    'What the incidents of a list have in common; null does not matter. Both since and until are included.';

CREATE INDEX incidents_by_time ON incidents (opened_at DESC, id DESC);
COMMENT ON INDEX incidents_by_time IS 'The order of every list.';

-- Many incidents share each combination of these, so the index keeps it once with a list of its
-- incidents: 13 MB at a million. Any of the columns, leading or not, is looked for in all of it, and
-- any combination in one scan.
CREATE INDEX incidents_by_facets ON incidents (
    namespace, alert_name, execution_status, lower(alert_severity), cluster, environment,
    lower(target_type), workflow_name);
COMMENT ON INDEX incidents_by_facets IS 'Incidents by what many have in common, in any combination.';

-- Without a list of pending entries, which every reader would have to read.
CREATE INDEX incidents_by_action_types ON incidents USING gin (action_types) WITH (fastupdate = off);
COMMENT ON INDEX incidents_by_action_types IS 'Incidents by what any of their executions does.';

-- What few have in common.
CREATE INDEX incidents_by_remediation ON incidents (remediation_name);
CREATE INDEX incidents_by_fingerprint ON incidents (fingerprint);
CREATE INDEX incidents_by_target_name ON incidents (target_name);
CREATE INDEX incidents_by_history ON incidents (action_history_id);
