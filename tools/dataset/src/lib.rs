//! Made-up incidents as a fleet of clusters has them, the same again for the same seed on every
//! machine, and what loads them into a database as if the service had written them.
//!
//! What they are made of, and why:
//!
//! - **The fleet**: 12 clusters (9 of production), 24 namespaces with 17 services each, a service
//!   in about two thirds of the clusters, 20 nodes per cluster: about 3,000 targets. Nodes have no
//!   namespace. How often
//!   something happens to one follows Zipf and Mandelbrot, 1 / (rank + 10): the first has one in
//!   fifty incidents, half of all targets about one in ten thousand or less. Filters by a target,
//!   a namespace or a cluster so find very many rows or very few.
//! - **What goes wrong**: `alerts.toml`. A service has 3 to 6 alerts of its sort, the first twice
//!   as often as the second, and each alert one to three causes, 6 to 3 to 1. An alert decides
//!   the severity, and a cause the action and the workflow, as they do where rules and runbooks
//!   are written per alert. Outside of production half of the alerts are a step less bad. One in
//!   five incidents is critical, one in three high, one in six low.
//! - **Texts**: causes name the service and what it depends on, so that incidents repeat per
//!   service, and the same service in other clusters repeats them. Some name the release, which
//!   changes every 7 to 60 days, some a percentage of eight. One in four analyses adds what only
//!   that incident has. At 20,000 incidents that makes 9,301 distinct embedded texts, at 1,000,000
//!   it makes 265,109 (seed 1): of three analyses two say what another one said.
//! - **Ends**: 88.0 % completed, 5.5 % failed, 3.0 % rolled back, 2.0 % executing, and 1.5 %
//!   pending, in thirds just received, being analysed, and waiting for somebody's approval. Those
//!   that are open lie all over the year: what is still open after days was given up.
//! - **Arrival**: one year, more than three times as many in the busiest hour of the day as in the
//!   quietest, half as many at weekends, and 150 storms of 10 to 45 minutes, in which one cause
//!   hits many targets of one cluster: one in 15 incidents. Times are whole seconds, as Kubernetes
//!   writes them, so some are equal.
//! - **Records**: one report of each object, its last: four of an incident that has ended or is
//!   being executed, one or two of one that is pending, 3.97 on average; 0.7 to 1.2 KB of JSON
//!   each, mostly 1.0 to 1.1.
//!
//! Everything is drawn with ChaCha8 and whole numbers. A change that changes the data fails the
//! test `the_same_seed_makes_the_same_records`.

mod alerts;
mod calendar;
mod dice;
mod fleet;
mod load;
mod model;
mod record;
mod reports;
mod schema;
mod story;

use anyhow::{Result, ensure};
use chrono::NaiveDate;
use serde_json::Value;

use crate::calendar::Calendar;
use crate::dice::Source;
use crate::fleet::Fleet;
pub use crate::load::{Loaded, load};
pub use crate::model::Model;
pub use crate::record::{Parsed, parse};
pub use crate::schema::{Size, sizes};
use crate::story::Story;

/// No more incidents than this: their keys have eight digits.
pub const INCIDENTS_MAX: u64 = 1 << 32;

/// The cluster of a record that names none; every record here names its own.
pub(crate) const CLUSTER: &str = "local";

/// A record as its controller sends it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its kind, as paths name it.
    pub kind: &'static str,
    /// The record.
    pub record: Value,
}

/// So many incidents of one year.
#[derive(Debug)]
pub struct Dataset {
    incidents: u64,
    calendar: Calendar,
    fleet: Fleet,
    chance: Source,
    storms: Source,
}

impl Dataset {
    /// The incidents of the year that ends when `until` begins (UTC). Another seed makes another
    /// fleet with other incidents.
    ///
    /// # Errors
    ///
    /// No incidents, or more than [`INCIDENTS_MAX`].
    pub fn new(seed: u64, incidents: u64, until: NaiveDate) -> Result<Self> {
        ensure!(
            (1..=INCIDENTS_MAX).contains(&incidents),
            "a data set has 1 to {INCIDENTS_MAX} incidents"
        );
        Ok(Self {
            incidents,
            calendar: Calendar::new(seed, until),
            fleet: Fleet::new(seed)?,
            chance: Source::new(seed, "incidents"),
            storms: Source::new(seed, "causes of storms"),
        })
    }

    /// How many there are.
    pub fn incidents(&self) -> u64 {
        self.incidents
    }

    /// The months that it has records in.
    pub(crate) fn months(&self) -> Vec<NaiveDate> {
        self.calendar.months()
    }

    /// The records of an incident, in the order in which their objects are made. Incidents are
    /// numbered from 0 in the order in which they arrive.
    ///
    /// # Errors
    ///
    /// Only where `alerts.toml` and the code do not go together.
    pub fn reports(&self, number: u64) -> Result<Vec<Report>> {
        let mut dice = self.chance.dice(number);
        let (arrived_at, storm) = self.calendar.arrival(number, self.incidents, &mut dice);
        let storm = storm.map(|storm| self.storms.dice(storm.number));
        let story = Story::new(&self.fleet, number, arrived_at, storm, &mut dice)?;
        reports::write(&story, &mut dice)
    }
}

#[cfg(test)]
mod tests;
