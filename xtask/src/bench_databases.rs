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

/// The database that is written to while it is read: a copy of the first of those that are read.
const MIXED: &str = "data_storage_bench_mixed";

/// What the names of the databases that are read begin with; the number of incidents follows.
const READS: &str = "data_storage_bench_";

/// What a data set takes on disk with its indexes and the log of loading it, in bytes per incident.
const BYTES_PER_INCIDENT: u64 = 13_000;

/// What a database is said to be once it is loaded: whole. To be changed when `tools/dataset` makes
/// other incidents.
const LOADED: &str = "data set 2 of the benchmark, loaded";

/// The databases of a run.
pub(crate) struct BenchDatabases {
    made: Vec<Made>,
}

struct Made {
    name: String,
    purpose: &'static str,
    incidents: u64,
    address: Address,
    /// Whether the next run finds it.
    is_kept: bool,
}

impl BenchDatabases {
    /// Makes an empty database, and those of as many incidents as `sizes` says, or finds them kept.
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

    /// As the plan has them.
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

    /// Removes what is not kept: from somebody else's server everything.
    pub(crate) async fn clean_up(&self, database: &Database) -> Result<()> {
        for made in self.made.iter().filter(|made| !made.is_kept) {
            database.remove(&made.name).await?;
        }
        Ok(())
    }
}

/// The database of a service that is up already, as the plan has it.
pub(crate) async fn of_running_service(step: &Step) -> Result<(Value, String)> {
    let Some(address) = Address::from_environment()? else {
        bail!(
            "DATA_STORAGE_URL names a service, and {URL_VARIABLE} must name its database: what is \
             stored is looked at there, and pgbench runs the same statements."
        );
    };
    step.say(&format!("connecting to {}", address.shown()));
    let incidents = count(&address).await?;
    let plan = json!([{"purpose": "all", "incidents": incidents, "url": address.secret_url()}]);
    let result = format!("{incidents} incidents at {}", address.shown());
    Ok((plan, result))
}

/// The database of a name, if it is what an earlier run made, brought up to date.
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
        let disk = statvfs(&project.data).context("ask how much of the disk is free")?;
        let free = disk.blocks_available() * disk.fragment_size();
        ensure!(
            free >= needed,
            "A database of {size} incidents takes about {} MiB, and {} MiB are free at {}. Make \
             room, or measure without it: --quick.",
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
        .context("count the incidents")?;
    Ok(u64::try_from(counted).unwrap_or(0))
}
