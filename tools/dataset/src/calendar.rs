//! Arrival times: more by day than by night, fewer at weekends, and occasional storms.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Timelike as _, Utc};

use crate::dice::{Dice, Source, index};

pub(crate) const DAYS: u64 = 365;

const MINUTES: u64 = DAYS * 24 * 60;

/// Relative weight of each hour of a day (UTC).
const OF_HOUR: [u64; 24] = [
    35, 30, 28, 26, 26, 30, 40, 60, 85, 100, 100, 95, 90, 95, 100, 98, 92, 80, 70, 62, 55, 50, 45,
    40,
];

/// Relative weight of each weekday from Monday. Releases happen on Wednesdays, rarely on Fridays.
const OF_WEEKDAY: [u64; 7] = [100, 100, 108, 100, 92, 58, 52];

/// Number of storms, one in each equal part of the time span.
const STORMS: u64 = 150;
const STORM_MINUTES: (u64, u64) = (10, 45);
/// Weight that a storm adds to each of its minutes, in units of hour weight times weekday weight: 2
/// to 18 times a usual minute.
const STORM_WEIGHT: (u64, u64) = (10_000, 100_000);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Storm {
    pub(crate) number: u64,
    begins: u64,
    ends: u64,
    weight: u64,
}

#[derive(Debug)]
pub(crate) struct Calendar {
    begin: DateTime<Utc>,
    /// Cumulative weight of the minutes.
    sums: Vec<u64>,
    storms: Vec<Storm>,
}

impl Calendar {
    /// Spans the year that ends when `until` begins (UTC).
    pub(crate) fn new(seed: u64, until: NaiveDate) -> Self {
        let begin = until
            .checked_sub_days(Days::new(DAYS))
            .unwrap_or(until)
            .and_time(NaiveTime::MIN)
            .and_utc();
        let source = Source::new(seed, "storms");
        let storms: Vec<_> = (0..STORMS)
            .map(|number| {
                let mut dice = source.dice(number);
                let part = MINUTES / STORMS;
                let minutes = dice.between(STORM_MINUTES.0, STORM_MINUTES.1);
                let begins = number * part + dice.below(part - minutes);
                Storm {
                    number,
                    begins,
                    ends: begins + minutes,
                    weight: dice.between(STORM_WEIGHT.0, STORM_WEIGHT.1),
                }
            })
            .collect();
        let mut sum = 0;
        let mut calendar = Self {
            begin,
            sums: Vec::new(),
            storms,
        };
        calendar.sums = (0..MINUTES)
            .map(|minute| {
                sum += calendar.usual_weight(minute);
                sum += calendar.storm_at(minute).map_or(0, |storm| storm.weight);
                sum
            })
            .collect();
        calendar
    }

    /// Returns the arrival of incident `number` in whole seconds, as in Kubernetes, and its storm.
    /// Arrivals ascend with the number.
    pub(crate) fn arrival(
        &self,
        number: u64,
        of: u64,
        dice: &mut Dice,
    ) -> (DateTime<Utc>, Option<Storm>) {
        // Divides the total weight into `of` equal parts and picks a random place in part `number`.
        let place = (u128::from(number) << 32) | u128::from(dice.bits() >> 32);
        let all = self.sums.last().copied().unwrap_or(0);
        let weight = (place * u128::from(all) / u128::from(of.max(1))) >> 32;
        let weight = u64::try_from(weight).unwrap_or(u64::MAX).min(all - 1);
        let minute = self.sums.partition_point(|sum| *sum <= weight);
        let before = |minute: usize| {
            let before = minute.checked_sub(1).and_then(|at| self.sums.get(at));
            before.copied().unwrap_or(0)
        };
        let (begins, ends) = (before(minute), before(minute + 1));
        let second = (weight - begins) * 60 / (ends - begins);
        let minute = minute as u64;
        let storm = self.storm_at(minute).filter(|storm| {
            dice.below(self.usual_weight(minute) + storm.weight) >= self.usual_weight(minute)
        });
        let after = minute * 60 + second;
        let arrived_at = self.begin + TimeDelta::seconds(i64::try_from(after).unwrap_or(0));
        (arrived_at, storm)
    }

    /// Returns the first days of the months that have records.
    pub(crate) fn months(&self) -> Vec<NaiveDate> {
        // Work on the last incident continues beyond the end.
        let last = self.begin + TimeDelta::days(DAYS.cast_signed() + 1);
        let first_day = self.begin.date_naive().with_day(1);
        let days = first_day.map(|day| day.iter_days()).into_iter().flatten();
        days.take_while(|day| *day <= last.date_naive())
            .filter(|day| day.day() == 1)
            .collect()
    }

    fn usual_weight(&self, minute: u64) -> u64 {
        let at = self.begin + TimeDelta::minutes(minute.cast_signed());
        let of_hour = OF_HOUR.get(index(at.hour().into())).copied();
        let weekday = at.weekday().num_days_from_monday();
        let of_weekday = OF_WEEKDAY.get(index(weekday.into())).copied();
        of_hour.unwrap_or(0) * of_weekday.unwrap_or(0)
    }

    fn storm_at(&self, minute: u64) -> Option<Storm> {
        let part = minute / (MINUTES / STORMS);
        let storm = self.storms.get(index(part)).copied()?;
        (storm.begins..storm.ends)
            .contains(&minute)
            .then_some(storm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_arrive_in_order_within_the_year() {
        let until = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        let calendar = Calendar::new(1, until);
        let source = Source::new(1, "arrivals");
        let arrivals: Vec<_> = (0..20_000)
            .map(|number| calendar.arrival(number, 20_000, &mut source.dice(number)))
            .collect();
        assert!(arrivals.is_sorted_by_key(|(at, _)| *at));
        let (first, last) = (arrivals[0].0, arrivals[19_999].0);
        assert_eq!(first.date_naive().to_string(), "2025-11-01");
        assert_eq!(last.date_naive().to_string(), "2026-10-31");
        let of_storms = arrivals.iter().filter(|(_, storm)| storm.is_some()).count();
        assert!((800..2_400).contains(&of_storms), "{of_storms}");
        let by_day = arrivals
            .iter()
            .filter(|(at, _)| (8..18).contains(&at.hour()));
        assert!((10_000..14_000).contains(&by_day.count()));
        let months = calendar.months();
        assert_eq!(months.len(), 13);
        assert_eq!(months[12], until);
    }
}
