-- What lists of incidents are asked for, and the indexes that answer them.

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
    'What the incidents of a list have in common; null does not matter. Both since and until are included.';

CREATE INDEX incidents_by_time ON incidents (opened_at DESC, id DESC);
COMMENT ON INDEX incidents_by_time IS 'The order of every list.';

-- Many incidents share each combination of these, so the index keeps it once with a list of its
-- incidents: 13 MB at a million. Any of the columns, leading or not, is looked for in all of it, and
-- any combination in one scan. An entry of an index has 2,704 bytes at most, and a character up to 4:
-- of what can be longer, the beginning is indexed.
CREATE INDEX incidents_by_facets ON incidents (
    namespace, left(alert_name, 100), execution_status, left(lower(alert_severity), 100), left(cluster, 100),
    left(environment, 100), left(lower(target_type), 100), left(workflow_name, 100));
COMMENT ON INDEX incidents_by_facets IS 'Incidents by what many have in common, in any combination.';

-- Without a list of pending entries, which every reader would have to read.
CREATE INDEX incidents_by_action_types ON incidents USING gin (action_types) WITH (fastupdate = off);
COMMENT ON INDEX incidents_by_action_types IS 'Incidents by what any of their executions does.';

-- What few have in common.
CREATE INDEX incidents_by_remediation ON incidents (remediation_name);
CREATE INDEX incidents_by_fingerprint ON incidents (fingerprint);
CREATE INDEX incidents_by_target_name ON incidents (target_name);
CREATE INDEX incidents_by_history ON incidents (action_history_id);
