-- The two roles of the service, and what each may do. They cannot log in: whoever runs the
-- service makes its users members of them. Roles belong to the whole server, so they may be
-- there already, made for another database or by an administrator.

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
                NULL; -- Made just now, by the migration of another database.
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

-- Records and vectors are added, and neither changed nor deleted but by functions that run as the owner.
GRANT SELECT, INSERT ON audit_records, embeddings, action_histories, incident_records
    TO data_storage_writer;
-- A record that is sent again after its incident was deleted begins another one.
GRANT UPDATE (incident_id) ON incident_records TO data_storage_writer;
GRANT USAGE ON SEQUENCE audit_record_ids, incident_ids TO data_storage_writer;
-- What they say is kept up to date.
GRANT SELECT, INSERT, UPDATE ON incidents, incident_versions, incident_actions TO data_storage_writer;
GRANT SELECT ON refinery_schema_history TO data_storage_writer;

GRANT SELECT ON
    audit_records, embeddings, incidents, incident_versions, incident_actions, incident_records,
    incident_summaries, incident_embeddings
    TO data_storage_reader;
