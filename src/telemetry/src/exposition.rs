//! Formats metrics for Prometheus (text format 0.0.4).

use std::collections::BTreeMap;

use prometheus::proto::{
    Bucket as ProtoBucket, Counter as ProtoCounter, Histogram as ProtoHistogram, LabelPair, Metric,
    MetricFamily, MetricType,
};
use prometheus::{Encoder as _, TextEncoder};
use records::KIND_NAMES;

use crate::counter::{BOUNDS_MICROSECONDS, Bucket, Counter};
use crate::log_gauges::LogGauges;

/// Content type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Type of a request that stores many records, of kinds of their own.
const BATCH: &str = "batch";

/// SQLSTATE classes whose series exist from the start.
const SQLSTATE_CLASSES: [&str; 13] = [
    "connection",
    "unknown",
    "08",
    "22",
    "23",
    "25",
    "28",
    "40",
    "42",
    "53",
    "54",
    "55",
    "57",
];

const MICROSECONDS_PER_SECOND: f64 = 1e6;

/// Label values in the order of the family's label names.
type Labels = Vec<String>;

#[derive(Default)]
struct Histogram {
    counts: BTreeMap<u64, u64>,
    beyond: u64,
    microseconds: u64,
}

impl Histogram {
    fn add(&mut self, bucket: Bucket, count: u64) {
        match bucket {
            Some(bound) => *self.counts.entry(bound).or_default() += count,
            None => self.beyond += count,
        }
    }
}

#[derive(Default)]
struct Totals {
    writes: BTreeMap<Labels, u64>,
    write_durations: BTreeMap<Labels, Histogram>,
    cache_hits: u64,
    cache_misses: u64,
    reused: u64,
    generations: BTreeMap<Labels, Histogram>,
    database_write_errors: BTreeMap<Labels, u64>,
    log_rounds: BTreeMap<Labels, u64>,
    requests: BTreeMap<Labels, u64>,
    request_durations: BTreeMap<Labels, Histogram>,
}

impl Totals {
    fn before_the_first() -> Self {
        let mut totals = Self::default();
        // Series exist from the start: Prometheus does not see an increase from nothing.
        for kind in KIND_NAMES {
            for status in ["created", "replayed", "refused", "failed"] {
                totals.writes.insert(labels([kind, status]), 0);
            }
            totals
                .write_durations
                .insert(labels([kind]), Histogram::default());
        }
        for status in ["refused", "failed"] {
            totals.writes.insert(labels([BATCH, status]), 0);
        }
        let batches = labels([BATCH]);
        totals.write_durations.insert(batches, Histogram::default());
        for class in SQLSTATE_CLASSES {
            totals.database_write_errors.insert(labels([class]), 0);
        }
        for outcome in ["signed", "lost", "failed"] {
            totals.log_rounds.insert(labels([outcome]), 0);
        }
        totals
    }

    fn add(&mut self, counter: Counter, count: u64) {
        match counter {
            Counter::Request(method, path, status, bucket) => {
                let status = status.to_string();
                let labelled = labels([&method, &path, &status]);
                *self.requests.entry(labelled).or_default() += count;
                let durations = self.request_durations.entry(labels([&method, &path]));
                durations.or_default().add(bucket, count);
            }
            Counter::RequestMicroseconds(method, path) => {
                let durations = self.request_durations.entry(labels([&method, &path]));
                durations.or_default().microseconds += count;
            }
            Counter::Stored(kind, is_replayed) => {
                let status = if is_replayed { "replayed" } else { "created" };
                *self.writes.entry(labels([&kind, status])).or_default() += count;
            }
            Counter::NotStored(written, is_fault) => {
                let status = if is_fault { "failed" } else { "refused" };
                *self.writes.entry(labels([&written, status])).or_default() += count;
            }
            Counter::Write(written, bucket) => {
                let durations = self.write_durations.entry(labels([&written]));
                durations.or_default().add(bucket, count);
            }
            Counter::WriteMicroseconds(written) => {
                let durations = self.write_durations.entry(labels([&written]));
                durations.or_default().microseconds += count;
            }
            Counter::Cache(true) => self.cache_hits += count,
            Counter::Cache(false) => self.cache_misses += count,
            Counter::Reused => self.reused += count,
            Counter::Generation(model, bucket) => {
                let durations = self.generations.entry(labels([&model]));
                durations.or_default().add(bucket, count);
            }
            Counter::GenerationMicroseconds(model) => {
                let durations = self.generations.entry(labels([&model]));
                durations.or_default().microseconds += count;
            }
            Counter::DatabaseWriteError(class) => {
                let errors = self.database_write_errors.entry(labels([&class]));
                *errors.or_default() += count;
            }
            Counter::LogRound(outcome) => {
                *self.log_rounds.entry(labels([&outcome])).or_default() += count;
            }
        }
    }

    fn families(self) -> Vec<MetricFamily> {
        let alone = |count| BTreeMap::from([(Labels::new(), count)]);
        let families = [
            counters(
                "datastorage_audit_writes_total",
                "Audit records by outcome: created, replayed (stored before), refused (the caller's \
                 error) or failed (the service's error). What a batch does not store \
                 counts per item, as type batch.",
                &["type", "status"],
                self.writes,
            ),
            histograms(
                "datastorage_audit_write_duration_seconds",
                "Time from the arrival of a request to store an audit record, or a batch, until its \
                 answer was sent, for requests that stored.",
                &["type"],
                self.write_durations,
            ),
            counters(
                "datastorage_embedding_cache_hits_total",
                "Texts whose vector the key-value store had, of those looked up there.",
                &[],
                alone(self.cache_hits),
            ),
            counters(
                "datastorage_embedding_cache_misses_total",
                "Texts whose vector the key-value store lacked, of those looked up there.",
                &[],
                alone(self.cache_misses),
            ),
            counters(
                "datastorage_embedding_reused_total",
                "Texts whose vector the database had.",
                &[],
                alone(self.reused),
            ),
            histograms(
                "datastorage_embedding_generation_duration_seconds",
                "Time that a model took to make a vector, including failed attempts; vectors made \
                 in one call share its time.",
                &["model"],
                self.generations,
            ),
            counters(
                "datastorage_database_write_errors_total",
                "Failed statements of audit writes, including those that were retried, by SQLSTATE \
                 class.",
                &["sqlstate_class"],
                self.database_write_errors,
            ),
            counters(
                "datastorage_log_rounds_total",
                "Rounds of the log, by outcome: signed, lost to a concurrent round, or failed.",
                &["status"],
                self.log_rounds,
            ),
            counters(
                "http_requests_total",
                "Requests that were answered.",
                &["method", "path", "status"],
                self.requests,
            ),
            histograms(
                "http_request_duration_seconds",
                "Time from the arrival of a request until its answer was sent.",
                &["method", "path"],
                self.request_durations,
            ),
        ];
        families
            .into_iter()
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }
}

/// Formats the fields of the metrics [hash](crate::METRICS_HASH) and the state of the log, if it is
/// known. Skips fields of other versions.
pub fn exposition<'a>(
    fields: impl IntoIterator<Item = (&'a str, i64)>,
    log: Option<LogGauges>,
) -> Vec<u8> {
    let mut totals = Totals::before_the_first();
    for (field, count) in fields {
        if let Some(counter) = Counter::read(field) {
            totals.add(counter, u64::try_from(count).unwrap_or_default());
        }
    }
    let mut text = Vec::new();
    // Encoding to memory cannot fail, and every family has a name and a metric.
    let mut families = totals.families();
    families.extend(log.map(LogGauges::families).into_iter().flatten());
    let _ = TextEncoder::new().encode(&families, &mut text);
    text
}

fn labels<const N: usize>(values: [&str; N]) -> Labels {
    values.map(str::to_owned).to_vec()
}

pub(crate) fn family(
    name: &str,
    help: &str,
    metric_type: MetricType,
    metrics: impl Iterator<Item = Metric>,
) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(metric_type);
    family.set_metric(metrics.collect());
    family
}

fn labelled(names: &[&str], values: Labels) -> Metric {
    let pairs = names.iter().zip(values).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value);
        pair
    });
    Metric::from_label(pairs.collect())
}

fn counters(
    name: &str,
    help: &str,
    label_names: &[&str],
    counts: BTreeMap<Labels, u64>,
) -> MetricFamily {
    let metrics = counts.into_iter().map(|(values, count)| {
        let mut counter = ProtoCounter::default();
        counter.set_value(count as f64);
        let mut metric = labelled(label_names, values);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, metrics)
}

fn histograms(
    name: &str,
    help: &str,
    label_names: &[&str],
    histograms: BTreeMap<Labels, Histogram>,
) -> MetricFamily {
    let metrics = histograms.into_iter().map(|(values, histogram)| {
        let mut metric = labelled(label_names, values);
        metric.set_histogram(cumulated(&histogram));
        metric
    });
    family(name, help, MetricType::HISTOGRAM, metrics)
}

fn cumulated(histogram: &Histogram) -> ProtoHistogram {
    let buckets = BOUNDS_MICROSECONDS.map(|bound| {
        let mut bucket = ProtoBucket::default();
        bucket.set_upper_bound(bound as f64 / MICROSECONDS_PER_SECOND);
        bucket.set_cumulative_count(histogram.counts.range(..=bound).map(|(_, n)| n).sum());
        bucket
    });
    let mut cumulated = ProtoHistogram::default();
    cumulated.set_sample_count(histogram.counts.values().sum::<u64>() + histogram.beyond);
    cumulated.set_sample_sum(histogram.microseconds as f64 / MICROSECONDS_PER_SECOND);
    cumulated.set_bucket(buckets.to_vec());
    cumulated
}

#[cfg(test)]
mod tests;
