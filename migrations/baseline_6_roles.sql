-- The roles of the service and their privileges. The roles cannot log in: the operator grants them
-- to login users. Roles are global, so another database or an administrator may have created them.

DO $$
DECLARE
    missing_role text;
BEGIN
    FOREACH missing_role IN ARRAY ARRAY['data_storage_writer', 'data_storage_reader'] LOOP
        CONTINUE WHEN to_regrole(missing_role) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', missing_role);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- Another database's migration has just created it.
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role % does not exist, and this user may not make it', missing_role
                    USING ERRCODE = 'insufficient_privilege',
                    HINT = format('Let an administrator run: CREATE ROLE %I NOLOGIN', missing_role);
        END;
    END LOOP;
    EXECUTE format(
        'GRANT USAGE ON SCHEMA %I TO data_storage_writer, data_storage_reader', current_schema());
END
$$;

-- Records and vectors are append-only, except through functions that run as the owner.
GRANT SELECT, INSERT ON audit_records, embeddings, action_histories, incident_records
    TO data_storage_writer;
-- Replaying a record whose incident was deleted starts a new incident.
GRANT UPDATE (incident_id) ON incident_records TO data_storage_writer;
GRANT USAGE ON SEQUENCE audit_record_ids, incident_ids TO data_storage_writer;
GRANT SELECT, INSERT, UPDATE ON incidents, incident_versions, incident_actions TO data_storage_writer;
-- Entries of the log are only added. Rounds run as the owner (functions_7_log.sql).
GRANT INSERT ON log_pending TO data_storage_writer;
GRANT SELECT, UPDATE (next_round_at) ON log_rounds TO data_storage_writer;
GRANT SELECT ON log_entries, log_tiles, log_head, log_pending TO data_storage_writer, data_storage_reader;
GRANT SELECT, INSERT ON holds, hold_releases TO data_storage_writer;
GRANT SELECT ON refinery_schema_history TO data_storage_writer;

GRANT SELECT ON
    audit_records, embeddings, incidents, incident_versions, incident_actions, incident_records,
    holds, hold_releases, incident_summaries, incident_embeddings
    TO data_storage_reader;
