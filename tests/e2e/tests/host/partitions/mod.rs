//! Maintenance of the month partitions on a real database.

mod leaving;
mod locks;
mod months;
mod retention;
mod service;

use std::collections::BTreeSet;

use e2e::Database;

pub(crate) const AUDIT_TABLES: [&str; 5] = [
    "aianalysis_audit",
    "event_audit",
    "execution_audit",
    "remediation_audit",
    "workflow_audit",
];

/// Months since year 0.
#[derive(Clone, Copy)]
pub(crate) struct Month(i32);

impl Month {
    /// Returns the month of a date such as 2028-02-29.
    fn of(date: &str) -> Self {
        let mut parts = date.split('-').map(|part| part.parse::<i32>().unwrap());
        Self(parts.next().unwrap() * 12 + parts.next().unwrap() - 1)
    }

    pub(crate) fn plus(self, months: i32) -> Self {
        Self(self.0 + months)
    }

    fn year(self) -> i32 {
        self.0 / 12
    }

    fn number(self) -> i32 {
        self.0 % 12 + 1
    }

    pub(crate) fn day(self, day: u32) -> String {
        format!("{:04}-{:02}-{day:02}T12:00:00Z", self.year(), self.number())
    }

    pub(crate) fn partition_of(self, table: &str) -> String {
        format!("{table}_{:04}_{:02}", self.year(), self.number())
    }
}

fn partitions(table: &str, first: Month, last: Month) -> BTreeSet<String> {
    (first.0..=last.0)
        .map(|month| Month(month).partition_of(table))
        .collect()
}

async fn database_without_partitions() -> Database {
    let database = Database::create().await;
    database
        .execute(
            "DO $$ DECLARE part regclass; BEGIN
                 FOR part IN
                     SELECT month_partition FROM pg_inherits, month_partitions_of(inhrelid)
                     WHERE inhparent = 'audit_records'::regclass
                 LOOP
                     EXECUTE format('DROP TABLE %s', part);
                 END LOOP;
             END $$",
        )
        .await;
    database
}

/// A database with partitions from some months back to the next month, and this month.
pub(crate) async fn database_with_months(months_back: i32) -> (Database, Month) {
    let database = database_without_partitions().await;
    let row = database.connect().await;
    let row = row.query_one("SELECT (now() AT TIME ZONE 'UTC')::date::text", &[]);
    let this_month = Month::of(row.await.unwrap().get(0));
    let first = this_month.plus(-months_back).day(1);
    let call = call_as_of(&first[..10], months_back + 1, None);
    database.execute(&call).await;
    (database, this_month)
}

fn call_as_of(today: &str, months_ahead: i32, retention_months: Option<i32>) -> String {
    let retention = retention_months.map_or("NULL".to_owned(), |months| months.to_string());
    format!("CALL maintain_audit_partitions_as_of('{today}', {months_ahead}, {retention})")
}

pub(crate) async fn attached(database: &Database, table: &str) -> BTreeSet<String> {
    let query = format!("SELECT month_partition::text FROM month_partitions_of('{table}')");
    let rows = database.connect().await.query(&query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn insert_record(database: &Database, kind: &str, created_at: &str) -> i64 {
    insert_record_of(database, kind, created_at, ["req", "default", "name"]).await
}

/// Inserts a record with a correlation id, a namespace and a name.
pub(crate) async fn insert_record_of(
    database: &Database,
    kind: &str,
    created_at: &str,
    [correlation_id, namespace, name]: [&str; 3],
) -> i64 {
    database
        .count(&format!(
            "INSERT INTO audit_records (
                 kind, created_at, content_hash, content, correlation_id, namespace, name, phase,
                 cluster, log_nonce)
             VALUES (
                 '{kind}', '{created_at}', sha256(gen_random_uuid()::text::bytea), '{{}}',
                 '{correlation_id}', '{namespace}', '{name}', 'Pending', 'local',
                 uuid_send(gen_random_uuid()))
             RETURNING id"
        ))
        .await
}

async fn partition_of(database: &Database, id: i64) -> String {
    let query = format!("SELECT tableoid::regclass::text FROM audit_records WHERE id = {id}");
    let rows = database.connect().await.query(&query, &[]).await.unwrap();
    assert_eq!(rows.len(), 1, "record {id} is there once");
    rows[0].get(0)
}

async fn records(database: &Database) -> Vec<String> {
    let query = "SELECT stored::text FROM audit_records AS stored ORDER BY id";
    let rows = database.connect().await.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
