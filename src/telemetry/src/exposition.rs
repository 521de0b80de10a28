//! Formats metrics for Prometheus (text format 0.0.4).

use std::collections::BTreeMap;

use prometheus::proto::{
    Bucket as ProtoBucket, Counter as ProtoCounter, Histogram as ProtoHistogram, LabelPair, Metric,
    MetricFamily, MetricType,
};
use prometheus::{Encoder as _, TextEncoder};

use crate::counter::{BOUNDS_MICROSECONDS, Bucket, Counter};
use crate::log_gauges::LogGauges;

/// Content type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Kinds whose series exist from the start: Prometheus does not see an increase from nothing.
const TYPES: [&str; 4] = ["remediation", "aianalysis", "workflow", "execution"];

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
    generations: BTreeMap<Labels, Histogram>,
    database_write_errors: BTreeMap<Labels, u64>,
    log_rounds: BTreeMap<Labels, u64>,
    requests: BTreeMap<Labels, u64>,
    request_durations: BTreeMap<Labels, Histogram>,
}

impl Totals {
    fn before_the_first() -> Self {
        let mut totals = Self::default();
        for kind in TYPES {
            for status in ["created", "replayed", "refused", "failed"] {
                totals.writes.insert(labels([kind, status]), 0);
            }
            totals
                .write_durations
                .insert(labels([kind]), Histogram::default());
        }
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
            Counter::Stored(kind, is_replayed, bucket) => {
                let status = if is_replayed { "replayed" } else { "created" };
                *self.writes.entry(labels([&kind, status])).or_default() += count;
                let durations = self.write_durations.entry(labels([&kind]));
                durations.or_default().add(bucket, count);
            }
            Counter::StoredMicroseconds(kind) => {
                let durations = self.write_durations.entry(labels([&kind]));
                durations.or_default().microseconds += count;
            }
            Counter::NotStored(kind, is_fault) => {
                let status = if is_fault { "failed" } else { "refused" };
                *self.writes.entry(labels([&kind, status])).or_default() += count;
            }
            Counter::Cache(true) => self.cache_hits += count,
            Counter::Cache(false) => self.cache_misses += count,
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
                "Requests to store an audit record, by outcome: created, replayed (stored before), \
                 refused (the caller's error) or failed (the service's error).",
                &["type", "status"],
                self.writes,
            ),
            histograms(
                "datastorage_audit_write_duration_seconds",
                "Time from the arrival of a request to store an audit record until its answer \
                 was sent, for records that were stored.",
                &["type"],
                self.write_durations,
            ),
            counters(
                "datastorage_embedding_cache_hits_total",
                "Texts whose vector was in the database or the key-value store.",
                &[],
                alone(self.cache_hits),
            ),
            counters(
                "datastorage_embedding_cache_misses_total",
                "Texts whose vector had to be made.",
                &[],
                alone(self.cache_misses),
            ),
            histograms(
                "datastorage_embedding_generation_duration_seconds",
                "Time that a model took to make a vector, including failed attempts.",
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
mod tests {
    use super::*;

    fn text_of(counters: &[(Counter, i64)]) -> String {
        let fields: Vec<_> = counters
            .iter()
            .map(|(counter, count)| (counter.field(), *count))
            .collect();
        let fields = fields
            .iter()
            .map(|(field, count)| (field.as_str(), *count))
            .chain([("of another version", 1)]);
        String::from_utf8(exposition(fields, None)).unwrap()
    }

    fn says(text: &str, line: &str) {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }

    #[test]
    fn writes_of_every_kind_are_zero_before_the_first() {
        let text = text_of(&[]);
        says(
            &text,
            r#"datastorage_audit_writes_total{type="workflow",status="failed"} 0"#,
        );
        says(
            &text,
            r#"datastorage_audit_write_duration_seconds_count{type="execution"} 0"#,
        );
        says(
            &text,
            r#"datastorage_database_write_errors_total{sqlstate_class="connection"} 0"#,
        );
        says(&text, "datastorage_embedding_cache_hits_total 0");
        assert!(!text.contains("http_requests_total"), "{text}");
    }

    #[test]
    fn the_log_is_shown_only_if_its_state_is_known() {
        let log = LogGauges {
            size: 12,
            checkpoint_at: Some(1_793_000_000.5),
            pending: 3,
            pending_age: 0.25,
        };
        let text = String::from_utf8(exposition([], Some(log))).unwrap();
        says(&text, "datastorage_log_leaves 12");
        says(&text, "datastorage_log_pending 3");
        says(&text, "datastorage_log_pending_age_seconds 0.25");
        says(
            &text,
            "datastorage_log_checkpoint_timestamp_seconds 1793000000.5",
        );
        says(&text, r#"datastorage_log_rounds_total{status="lost"} 0"#);
        assert!(!text_of(&[]).contains("datastorage_log_pending"));
    }

    #[test]
    fn buckets_are_cumulative_and_statuses_share_a_histogram() {
        let counter = |status, bucket| {
            Counter::Request(
                "GET".to_owned(),
                "/api/v1/incidents/{id}".to_owned(),
                status,
                bucket,
            )
        };
        let text = text_of(&[
            (counter(200, Some(2_500)), 3),
            (counter(404, Some(250_000)), 2),
            (counter(200, None), 1),
            (
                Counter::RequestMicroseconds("GET".to_owned(), "/api/v1/incidents/{id}".to_owned()),
                1_500_000,
            ),
        ]);
        let labels = r#"method="GET",path="/api/v1/incidents/{id}""#;
        says(
            &text,
            &format!(r#"http_requests_total{{{labels},status="200"}} 4"#),
        );
        says(
            &text,
            &format!(r#"http_requests_total{{{labels},status="404"}} 2"#),
        );
        let bucket = |le, count| {
            says(
                &text,
                &format!(r#"http_request_duration_seconds_bucket{{{labels},le="{le}"}} {count}"#),
            );
        };
        bucket("0.0025", 3);
        bucket("0.1", 3);
        bucket("0.25", 5);
        bucket("10", 5);
        bucket("+Inf", 6);
        says(
            &text,
            &format!("http_request_duration_seconds_sum{{{labels}}} 1.5"),
        );
        says(
            &text,
            &format!("http_request_duration_seconds_count{{{labels}}} 6"),
        );
    }

    #[test]
    fn a_label_is_escaped() {
        let model = "say \"hi\"\\\n".to_owned();
        let text = text_of(&[(Counter::Generation(model, Some(5_000)), 1)]);
        says(
            &text,
            r#"datastorage_embedding_generation_duration_seconds_count{model="say \"hi\"\\\n"} 1"#,
        );
    }

    #[test]
    fn a_bucket_of_other_bounds_is_within_the_next() {
        let text = text_of(&[(Counter::Generation("m".to_owned(), Some(7_000)), 2)]);
        let name = "datastorage_embedding_generation_duration_seconds_bucket";
        says(&text, &format!(r#"{name}{{model="m",le="0.005"}} 0"#));
        says(&text, &format!(r#"{name}{{model="m",le="0.01"}} 2"#));
    }
}
