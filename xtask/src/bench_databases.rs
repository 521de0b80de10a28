//! The databases that the benchmark measures.

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

use crate::address::{Address, URL_VARIABLE};
use crate::bench::bench_program;
use crate::database::{self, Database};
use crate::migrate;
use crate::process::run;
use crate::project::Project;
use crate::steps::Step;

/// The database that is written to.
const WRITES: &str = "data_storage_bench_writes";

/// The database that is written to and read at once, and whose log is measured: a copy of the first
/// that is read.
const MIXED: &str = "data_storage_bench_mixed";

/// Prefix of the databases that are read; the number of incidents follows.
const READS: &str = "data_storage_bench_";

/// Disk space of a data set with its indexes, its leaves of the tamper-evident log and PostgreSQL's
/// log of loading it, in bytes per incident.
const BYTES_PER_INCIDENT: u64 = 16_000;

/// Comment on a completely loaded database. Change it when `tools/dataset` makes other incidents.
const LOADED: &str = "data set 3 of the benchmark, loaded";

pub(crate) struct BenchDatabases {
    made: Vec<Made>,
}

struct Made {
    name: String,
    purpose: &'static str,
    incidents: u64,
    address: Address,
    /// Whether it stays for the next run.
    is_kept: bool,
}

impl BenchDatabases {
    /// Creates an empty database and one for each size, or reuses those that an earlier run kept.
    pub(crate) async fn set_up(
        project: &Project,
        database: &Database,
        sizes: &[u64],
        is_built: bool,
        step: &Step,
    ) -> Result<(Self, String)> {
        database.remove(WRITES).await?;
        let writes = database.create(WRITES).await?;
        migrate::apply(&writes, step).await?;
        let mut made = vec![Made {
            name: WRITES.to_owned(),
            purpose: "write",
            incidents: 0,
            address: writes,
            is_kept: false,
        }];
        let mut results = vec!["an empty one".to_owned()];
        for size in sizes {
            let name = format!("{READS}{size}");
            let kept = kept(database, &name, *size, step).await?;
            let how = if kept.is_some() { "kept" } else { "loaded" };
            let address = match kept {
                Some(address) => address,
                None => load(project, database, &name, *size, is_built, step).await?,
            };
            results.push(format!("{size} incidents ({how})"));
            made.push(Made {
                name,
                purpose: "read",
                incidents: *size,
                address,
                is_kept: database.is_embedded(),
            });
        }
        if let Some(size) = sizes.first() {
            database.remove(MIXED).await?;
            let template = format!("{READS}{size}");
            made.push(Made {
                name: MIXED.to_owned(),
                purpose: "mixed",
                incidents: *size,
                address: database.copy(&template, MIXED).await?,
                is_kept: false,
            });
        }
        Ok((Self { made }, results.join(", ")))
    }

    /// The databases, for the benchmark's plan.
    pub(crate) fn plan(&self) -> Value {
        let databases = self.made.iter().map(|made| {
            json!({
                "purpose": made.purpose,
                "incidents": made.incidents,
                "url": made.address.secret_url(),
            })
        });
        databases.collect()
    }

    /// Drops the databases that are not kept; only the embedded server keeps any.
    pub(crate) async fn clean_up(&self, database: &Database) -> Result<()> {
        for made in self.made.iter().filter(|made| !made.is_kept) {
            database.remove(&made.name).await?;
        }
        Ok(())
    }
}

/// The database of a running service, for the benchmark's plan.
pub(crate) async fn of_running_service(step: &Step) -> Result<(Value, String)> {
    let Some(address) = Address::from_environment()? else {
        bail!(
            "DATA_STORAGE_URL is set, but {URL_VARIABLE} is not. Set it to the service's database: \
             the benchmark reads it, and pgbench runs the same statements there."
        );
    };
    step.say(&format!("connecting to {}", address.shown()));
    let incidents = count(&address).await?;
    let plan = json!([{"purpose": "all", "incidents": incidents, "url": address.secret_url()}]);
    let result = format!("{incidents} incidents at {}", address.shown());
    Ok((plan, result))
}

/// Migrates the database of an earlier run; removes it if it is not complete.
async fn kept(database: &Database, name: &str, size: u64, step: &Step) -> Result<Option<Address>> {
    let Some(address) = database.find(name).await? else {
        return Ok(None);
    };
    let is_whole = database.comment_on(name).await?.as_deref() == Some(LOADED)
        && migrate::apply(&address, step).await.is_ok()
        && count(&address).await? == size;
    if is_whole {
        return Ok(Some(address));
    }
    database.remove(name).await?;
    Ok(None)
}

async fn load(
    project: &Project,
    database: &Database,
    name: &str,
    size: u64,
    is_built: bool,
    step: &Step,
) -> Result<Address> {
    let needed = size * BYTES_PER_INCIDENT;
    if database.is_embedded() {
        let disk = statvfs(&project.data).context("cannot read the free disk space")?;
        let free = disk.blocks_available() * disk.fragment_size();
        ensure!(
            free >= needed,
            "A database of {size} incidents needs about {} MiB, but only {} MiB are free in {}. \
             Free disk space, or use --quick, which needs less.",
            needed >> 20,
            free >> 20,
            project.data.display()
        );
    }
    let address = database.create(name).await?;
    migrate::apply(&address, step).await?;
    let mut bench = crate::process::command(bench_program(project, is_built, step).await?);
    bench
        .current_dir(&project.root)
        .env(URL_VARIABLE, address.secret_url())
        .args(["load", "--incidents", &size.to_string()]);
    let loaded = run(bench, step, None).await?;
    ensure!(
        loaded.success,
        "Loading {size} incidents failed: {}",
        loaded.last(5)
    );
    database.set_comment(name, LOADED).await?;
    Ok(address)
}

async fn count(address: &Address) -> Result<u64> {
    let counted: i64 = database::connect(address)
        .await?
        .query_one("SELECT count(*) FROM incidents", &[])
        .await
        .and_then(|row| row.try_get(0))
        .context("cannot count the incidents")?;
    Ok(u64::try_from(counted).unwrap_or(0))
}
