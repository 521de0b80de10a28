//! Generates incidents of a fleet of clusters, and loads them as the service would write them. A
//! seed produces the same data on every machine.
//!
//! - **Fleet**: 12 clusters (9 of production), 24 namespaces with 17 services each, 20 nodes per
//!   cluster without a namespace. A service runs in two thirds of the clusters, which makes about
//!   3,000 targets. Their weights are 1 / (rank + 10), so filters match very many rows or very few.
//! - **Causes**: `alerts.toml`. A service has 3 to 6 alerts, with one to three causes each at
//!   6:3:1. The alert decides the severity, the cause decides action and workflow. Outside
//!   production, half of the alerts are one step less severe. One in five incidents is critical,
//!   one in three high, one in six low.
//! - **Texts**: causes name the service, its dependency, its release (every 7 to 60 days) or one of
//!   eight percentages, so they repeat per service. One in four analyses adds a detail of its own.
//!   With seed 1, 1,000,000 incidents have 265,258 distinct embedded texts.
//! - **Outcomes**: 88.0 % completed, 5.5 % failed, 3.0 % rolled back, 2.0 % executing, 1.5 %
//!   pending (equally received, analysing and awaiting approval). Open incidents spread over the
//!   year.
//! - **Arrival**: one year, three times as many incidents in the busiest hour as in the quietest,
//!   half as many at weekends, and 150 storms of 10 to 45 minutes with one in 15 incidents. Times
//!   are whole seconds, so some are equal.
//! - **Records**: the last version of each object: four per ended or executing incident, one or two
//!   per pending one, 3.97 on average, 0.7 to 1.2 KB of JSON each.
//!
//! All numbers come from ChaCha8 and integer arithmetic. A change of the data fails the test
//! `the_same_seed_makes_the_same_records`.

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
pub use crate::record::parse;
pub use crate::schema::{Size, sizes};
use crate::story::Story;

/// Maximum number of incidents: their keys have eight digits.
pub const INCIDENTS_MAX: u64 = 1 << 32;

/// Cluster of records that name none. Generated records always name one.
pub(crate) const CLUSTER: &str = "local";

/// A record as a controller sends it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Kind, as paths name it.
    pub kind: &'static str,
    /// The record.
    pub record: Value,
}

/// Incidents of one year.
#[derive(Debug)]
pub struct Dataset {
    incidents: u64,
    calendar: Calendar,
    fleet: Fleet,
    chance: Source,
    storms: Source,
}

impl Dataset {
    /// Creates the incidents of the year that ends when `until` begins (UTC). The seed also
    /// determines the fleet.
    ///
    /// # Errors
    ///
    /// `incidents` is 0 or exceeds [`INCIDENTS_MAX`].
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

    /// Returns the number of incidents.
    pub fn incidents(&self) -> u64 {
        self.incidents
    }

    pub(crate) fn months(&self) -> Vec<NaiveDate> {
        self.calendar.months()
    }

    /// Returns the records of incident `number` (from 0, by arrival) in the order of their
    /// creation.
    ///
    /// # Errors
    ///
    /// `alerts.toml` does not match the code.
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
