//! Compares migrations and maintenance by psql with those by this crate, and restores dumps.
//!
//! The tests need `DATABASE_URL` for a server whose programs are on this machine and whose role may
//! create databases: `cargo xtask test` provides one.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

mod database;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use migrations::{Maintenance, PSQL_SCRIPT_FILE, apply, maintain, psql_script};

use crate::database::{Database, FOLDER, applied, connect, script, text};

const ALL_APPLIED: [&str; 2] = ["applied V1__baseline", "applied functions"];

const WAIT_MAX: Duration = Duration::from_secs(60);

fn assert_same(one: &str, other: &str) {
    let lines = |schema: &str| schema.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (one, other) = (lines(one), lines(other));
    let differing: Vec<_> = one.symmetric_difference(&other).collect();
    assert_eq!(differing, Vec::<&String>::new());
}

fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(FOLDER).unwrap() {
        let file = entry.unwrap().path();
        if file
            .extension()
            .is_some_and(|extension| ["sql", "psql"].iter().any(|one| extension == *one))
        {
            fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    folder
}

#[test]
fn the_script_that_is_checked_in_is_up_to_date() {
    let there = fs::read_to_string(script()).unwrap();
    assert_eq!(
        there,
        psql_script().unwrap(),
        "run `cargo xtask migrations-script`"
    );
}

#[tokio::test]
async fn after_psql_there_is_nothing_left_to_apply_and_the_schema_is_the_same() {
    let by_psql = Database::create().await;
    assert_eq!(by_psql.migrate(), ALL_APPLIED);

    let now = apply(&by_psql.url).await.unwrap();
    assert_eq!(now.migrations, Vec::<String>::new());

    let by_crate = Database::create().await;
    let now = apply(&by_crate.url).await.unwrap();
    let said = now.migrations.iter().map(|one| format!("applied {one}"));
    assert_eq!(said.collect::<Vec<_>>(), ALL_APPLIED);
    assert_eq!(by_psql.history().await, by_crate.history().await);
    assert_eq!(by_psql.functions().await.0, by_crate.functions().await.0);
    assert_same(&by_psql.schema(), &by_crate.schema());
}

#[tokio::test]
async fn after_this_crate_there_is_nothing_left_for_psql() {
    let database = Database::create().await;
    apply(&database.url).await.unwrap();
    let before = database.schema();
    assert_eq!(database.migrate(), Vec::<String>::new());
    assert_same(&database.schema(), &before);
}

const OTHER_FUNCTIONS: &str = "
    CREATE OR REPLACE FUNCTION phase_rank(phase text) RETURNS integer
    LANGUAGE sql IMMUTABLE RETURN 7;
    UPDATE schema_functions SET checksum = 'of another version';";

#[tokio::test]
async fn functions_that_changed_are_applied_again_by_psql_and_by_this_crate() {
    let database = Database::create().await;
    apply(&database.url).await.unwrap();
    let (before, (checksum, _)) = (database.schema(), database.functions().await);

    database.execute(OTHER_FUNCTIONS).await;
    assert_eq!(database.migrate(), ["applied functions"]);
    assert_same(&database.schema(), &before);
    assert_eq!(database.functions().await.0, checksum);

    database.execute(OTHER_FUNCTIONS).await;
    assert_eq!(
        apply(&database.url).await.unwrap().migrations,
        ["functions"]
    );
    assert_same(&database.schema(), &before);
    assert_eq!(database.functions().await.0, checksum);
}

#[tokio::test]
async fn functions_that_did_not_change_are_left_alone() {
    let database = Database::create().await;
    apply(&database.url).await.unwrap();
    let applied = database.functions().await;
    assert_eq!(database.migrate(), Vec::<String>::new());
    let again = apply(&database.url).await.unwrap();
    assert_eq!(again.migrations, Vec::<String>::new());
    assert_eq!(database.functions().await, applied);
}

#[tokio::test]
async fn psql_goes_on_where_functions_that_fail_left_the_database() {
    let database = Database::create().await;
    let copy = copy();
    let broken = copy.path().join("functions_5_leaving.sql");
    fs::write(&broken, "CREATE TABLE half_done (id int);\nSELECT 1 / 0;\n").unwrap();

    let output = database
        .psql(&copy.path().join(PSQL_SCRIPT_FILE))
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("division by zero"));
    assert_eq!(text(&output.stdout), "applied V1__baseline\n");
    assert_eq!(database.history().await.len(), 1);
    let schema = database.schema();
    for undone in ["half_done", "phase_rank"] {
        assert!(!schema.contains(undone), "{undone}");
    }

    assert_eq!(database.migrate(), ["applied functions"]);
}

#[tokio::test]
async fn of_all_that_start_at_once_one_applies_each_thing() {
    let database = Database::create().await;
    for expected in [ALL_APPLIED.as_slice(), &["applied functions"]] {
        let psqls = [(); 2].map(|()| database.psql(&script()).spawn().unwrap());
        let (one, other) = tokio::join!(apply(&database.url), apply(&database.url));
        let mut lines: Vec<_> = [one, other]
            .into_iter()
            .flat_map(|applied| applied.unwrap().migrations)
            .map(|migration| format!("applied {migration}"))
            .collect();
        for psql in psqls {
            lines.extend(applied(&psql.wait_with_output().unwrap()));
        }
        lines.sort_unstable();
        assert_eq!(lines, expected);
        database.execute(OTHER_FUNCTIONS).await;
    }
}

#[tokio::test]
async fn psql_waits_for_whoever_is_migrating_and_then_finds_nothing_to_do() {
    let database = Database::create().await;
    let other = connect(&database.url).await;
    // Takes the lock as the psql script does.
    let script = psql_script().unwrap();
    let lock = script.split_once("pg_advisory_lock(").unwrap().1;
    let lock = lock.split_once(')').unwrap().0;
    other
        .batch_execute(&format!("SELECT pg_advisory_lock({lock})"))
        .await
        .unwrap();
    let psql = database.psql(&crate::script()).spawn().unwrap();
    let begun = Instant::now();
    while other
        .query_one(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            &[],
        )
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(begun.elapsed() < WAIT_MAX, "psql does not wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let url = database.url.clone();
    // This call waits for psql's lock.
    let crates = tokio::spawn(async move { apply(&url).await });
    other
        .batch_execute(&format!("SELECT pg_advisory_unlock({lock})"))
        .await
        .unwrap();

    assert_eq!(applied(&psql.wait_with_output().unwrap()), ALL_APPLIED);
    assert_eq!(
        crates.await.unwrap().unwrap().migrations,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_database_with_other_migrations_is_refused() {
    for (change, said) in [
        (
            "UPDATE refinery_schema_history SET checksum = '1'",
            "V1__baseline, which this version has not, or not as it was applied",
        ),
        (
            "INSERT INTO refinery_schema_history VALUES (9000, 'of_the_future', '2026-11-01T10:00:00Z', '1')",
            "V9000__of_the_future, which this version has not",
        ),
        (
            "UPDATE refinery_schema_history SET version = 9000",
            "V1__baseline was left out",
        ),
    ] {
        let database = Database::create().await;
        apply(&database.url).await.unwrap();
        database.execute(change).await;
        database.execute(OTHER_FUNCTIONS).await;
        let before = (database.history().await, database.functions().await);

        let output = database.psql(&script()).output().unwrap();

        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let error = text(&output.stderr);
        assert!(error.contains(said), "{error}");
        assert!(apply(&database.url).await.is_err(), "{change}");
        let after = (database.history().await, database.functions().await);
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn psql_maintains_the_partitions_as_this_crate_does() {
    let by_psql = Database::create().await;
    apply(&by_psql.url).await.unwrap();
    let maintenance = Path::new(FOLDER).join("maintain.psql");
    let run = |months: &str, retention: Option<&str>| {
        let mut psql = by_psql.psql(&maintenance);
        psql.env("MONTHS_AHEAD", months);
        match retention {
            Some(retention) => psql.env("RETENTION_MONTHS", retention),
            None => psql.env_remove("RETENTION_MONTHS"),
        };
        psql.output().unwrap()
    };
    let output = run("15", Some(""));
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stderr).contains("NOTICE"), "{output:?}");

    let by_crate = Database::create().await;
    apply(&by_crate.url).await.unwrap();
    let options = Maintenance {
        months_ahead: 15,
        retention_months: None,
    };
    maintain(&by_crate.url, options).await.unwrap();
    assert_same(&by_psql.schema(), &by_crate.schema());

    let again = run("15", None);
    assert!(again.status.success(), "{again:?}");
    assert_same(&by_psql.schema(), &by_crate.schema());
    for (months, retention) in [("0", None), ("many", None), ("12", Some("0"))] {
        let output = run(months, retention);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
    }
}

#[tokio::test]
async fn a_dump_is_restored_whole() {
    let database = Database::create().await;
    apply(&database.url).await.unwrap();
    let client = connect(&database.url).await;
    client
        .batch_execute(
            "INSERT INTO embeddings (model, text_hash, embedding, is_name) VALUES
                 ('padded', sha256('a'), '[1]'::vector || array_fill(0::real, ARRAY[1535])::vector, true),
                 ('dense', sha256('b'), array_fill(0.5::real, ARRAY[1536])::vector, false)",
        )
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    let dumped = database
        .command("pg_dump")
        .arg("--format=custom")
        .arg("--file")
        .arg(&file)
        .status()
        .unwrap();
    assert!(dumped.success());

    let restored = Database::create().await;
    let output = restored
        .command("pg_restore")
        .arg("--exit-on-error")
        .arg(&file)
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", text(&output.stderr));
    // Dumps differ in redundant parentheses.
    let plain = |schema: String| schema.replace(['(', ')'], "");
    assert_same(&plain(restored.schema()), &plain(database.schema()));
    let vectors = "SELECT model, embedding::text, code::text FROM embeddings ORDER BY model";
    let there: Vec<_> = client.query(vectors, &[]).await.unwrap();
    let here = connect(&restored.url).await;
    let here = here.query(vectors, &[]).await.unwrap();
    assert_eq!(here.len(), 2);
    for (here, there) in here.iter().zip(&there) {
        for column in 0..3 {
            assert_eq!(
                here.get::<_, Option<String>>(column),
                there.get::<_, Option<String>>(column)
            );
        }
    }
    assert_eq!(
        apply(&restored.url).await.unwrap().migrations,
        Vec::<String>::new()
    );
}
