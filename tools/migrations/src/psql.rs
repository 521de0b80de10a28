//! The migrations as a psql script, for environments with only PostgreSQL's client, such as a
//! Kubernetes Job.

use crate::{
    ADVISORY_LOCK, CREATE_FUNCTIONS_TABLE, FUNCTIONS, FUNCTIONS_NAME, FUNCTIONS_TABLE, File,
    HISTORY_TABLE, LOCK_SECONDS_MAX, MIGRATIONS, OTHER_MIGRATION_SECONDS_MAX,
    STATEMENT_SECONDS_MAX, functions_checksum, migrations,
};

/// File name of the script, beside the migrations that it includes.
pub const PSQL_SCRIPT_FILE: &str = "migrate.psql";

/// Returns a psql script that does the same as [`apply`](crate::apply), with the same lock and the
/// same rows in [`HISTORY_TABLE`], so that either can continue the other's work. It includes the
/// migrations' files from its own folder.
///
/// # Errors
///
/// The library refuses the name of a migration.
pub fn psql_script() -> anyhow::Result<String> {
    let all = migrations()?;
    let known: Vec<_> = all
        .iter()
        .map(|migration| {
            format!(
                "({}, '{}', '{}')",
                migration.version(),
                migration.name(),
                migration.checksum()
            )
        })
        .collect();
    let mut script = PREPARE
        .replace("%LOCK%", &ADVISORY_LOCK.to_string())
        .replace("%OTHER%", &OTHER_MIGRATION_SECONDS_MAX.to_string())
        .replace("%LOCK_SECONDS%", &LOCK_SECONDS_MAX.to_string())
        .replace("%STATEMENT_SECONDS%", &STATEMENT_SECONDS_MAX.to_string())
        .replace("%KNOWN%", &known.join(",\n        "))
        .replace("%CREATE_FUNCTIONS_TABLE%", CREATE_FUNCTIONS_TABLE)
        .replace("%HISTORY%", HISTORY_TABLE);
    for (migration, (.., files)) in all.iter().zip(MIGRATIONS) {
        script.push('\n');
        script.push_str(
            &MIGRATION
                .replace("%HISTORY%", HISTORY_TABLE)
                .replace("%VERSION%", &migration.version().to_string())
                .replace("%NAME%", migration.name())
                .replace("%CHECKSUM%", &migration.checksum().to_string())
                .replace("%FILES%", &includes(files)),
        );
    }
    script.push('\n');
    script.push_str(
        &APPLY_FUNCTIONS
            .replace("%TABLE%", FUNCTIONS_TABLE)
            .replace("%CHECKSUM%", &functions_checksum()?)
            .replace("%FILES%", &includes(FUNCTIONS))
            .replace("%NAME%", FUNCTIONS_NAME),
    );
    Ok(script)
}

fn includes(files: &[File]) -> String {
    let lines: Vec<_> = files
        .iter()
        .map(|file| format!("    \\ir {}", file.name))
        .collect();
    lines.join("\n")
}

const PREPARE: &str = r"-- Brings a database to this version's schema, with psql 15 or newer:
--
--     psql --no-psqlrc --file=migrate.psql
--
-- Written by `cargo xtask migrations-script`: do not edit. It does what `cargo xtask migrate`
-- does, with the same lock and the same rows in %HISTORY%, so that either can go on
-- where the other stopped. Each migration is a transaction of its own, together with its row, and so
-- are the functions.
-- Of two that start at once the second waits, and then finds nothing to do.

\set ON_ERROR_STOP on
\set QUIET on
\set VERBOSITY terse
\set AUTOCOMMIT on
-- Of the results of statements, nothing is shown.
\o /dev/null
SET client_min_messages = warning;

SET lock_timeout = '%OTHER%s';
SELECT pg_advisory_lock(%LOCK%);
SET lock_timeout = '%LOCK_SECONDS%s';
SET statement_timeout = '%STATEMENT_SECONDS%s';

CREATE TABLE IF NOT EXISTS %HISTORY%(
    version int4 PRIMARY KEY,
    name VARCHAR(255),
    applied_on VARCHAR(255),
    checksum VARCHAR(255));
%CREATE_FUNCTIONS_TABLE%;

-- What was applied has to be what is here, and nothing may be missing below it.
DO $$
DECLARE
    wrong text;
BEGIN
    WITH known (version, name, checksum) AS (VALUES
        %KNOWN%
    ), applied AS (
        SELECT version, name, checksum FROM %HISTORY%
    )
    SELECT message INTO wrong
    FROM (
        SELECT version, format(
            'the database has the migration V%s__%s, which this version has not, or not as it was applied',
            version, applied.name) AS message
        FROM applied LEFT JOIN known USING (version)
        WHERE (known.name, known.checksum) IS DISTINCT FROM (applied.name, applied.checksum)
        UNION ALL
        SELECT version, format('the migration V%s__%s was left out, and later ones were applied',
            version, known.name)
        FROM known LEFT JOIN applied USING (version)
        WHERE applied.version IS NULL AND known.version < (SELECT max(version) FROM applied)
    ) AS found
    ORDER BY version
    LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong;
    END IF;
END
$$;
";

const MIGRATION: &str = r#"SELECT NOT EXISTS (SELECT FROM %HISTORY% WHERE version = %VERSION%) AS pending \gset
\if :pending
    BEGIN;
%FILES%
    INSERT INTO %HISTORY% (version, name, applied_on, checksum)
    VALUES (%VERSION%, '%NAME%',
        to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '%CHECKSUM%');
    COMMIT;
    \echo applied V%VERSION%__%NAME%
\endif
"#;

const APPLY_FUNCTIONS: &str = r#"SELECT NOT EXISTS (SELECT FROM %TABLE% WHERE checksum = '%CHECKSUM%') AS pending \gset
\if :pending
    BEGIN;
%FILES%
    DELETE FROM %TABLE%;
    INSERT INTO %TABLE% (checksum) VALUES ('%CHECKSUM%');
    COMMIT;
    \echo applied %NAME%
\endif
"#;
