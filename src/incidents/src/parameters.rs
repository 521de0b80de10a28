//! Query parameters: what is given, and what is wrong with it.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound as _, Utc};
use records::{
    CORRELATION_ID_CHARACTERS_MAX, KIND_NAMES, Report, is_correlation_id, parse_timestamp,
};

use crate::filter::{Filter, STATUSES};
use crate::place::parse_place;
use crate::query::{FILTER_CHARACTERS_MAX, SEVERITY_CHARACTERS_MAX};

/// Name of the broken rule, as in a record's violations, and the message.
pub(crate) type Broken = (&'static str, String);

pub(crate) fn broken(rule: &'static str, message: &str) -> Broken {
    (rule, message.to_owned())
}

pub(crate) fn not_among(names: &[&str]) -> Broken {
    ("enum", format!("must be one of {}", names.join(", ")))
}

pub(crate) fn of_another_filter() -> Broken {
    let message = "belongs to a list with another filter; send the filter of the first page";
    broken("conflict", message)
}

/// Parameters not taken yet, and the violations found so far.
pub(crate) struct Parameters {
    given: Vec<(String, String)>,
    report: Report,
}

impl Parameters {
    /// Splits a form-encoded query; refuses, not replaces, invalid UTF-8 and percent-encoding.
    pub(crate) fn split(query: &str) -> Self {
        let mut parameters = Self {
            given: Vec::new(),
            report: Report::default(),
        };
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            match (decode(name), decode(value)) {
                (Ok(name), Ok(value)) => parameters.given.push((name, value)),
                (Ok(name), Err((rule, message))) => parameters.refuse(&name, rule, message),
                (Err((rule, message)), _) => {
                    parameters.refuse(name, rule, format!("invalid name: {message}"));
                }
            }
        }
        parameters
    }

    /// Takes the `cursor` of a list that only grows. The list's name may be followed by the mark of
    /// its filter.
    pub(crate) fn take_place(&mut self, list: &str) -> Option<i64> {
        let name = |list: &str| list.split(' ').next().map(str::to_owned);
        self.take("cursor", |text| match parse_place(text) {
            Some((of, place)) if of == list => Ok(place),
            Some((of, _)) if name(&of) == name(list) => Err(of_another_filter()),
            _ => Err(broken("format", "must be the cursor of an earlier page")),
        })
    }

    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.report.names(name)
    }

    /// Takes a parameter, which must not be empty or repeated.
    pub(crate) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Broken>,
    ) -> Option<T> {
        self.take_any(name, |value| match value {
            "" => Err(broken(
                "empty",
                "must not be empty; omit the parameter instead",
            )),
            value => read(value),
        })
    }

    pub(crate) fn take_any<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Broken>,
    ) -> Option<T> {
        let (own, others) = std::mem::take(&mut self.given)
            .into_iter()
            .partition::<Vec<_>, _>(|(given, _)| given == name);
        self.given = others;
        let mut values = own.into_iter().map(|(_, value)| value);
        let value = values.next()?;
        if values.next().is_some() {
            self.refuse(name, "duplicate", "the parameter is given more than once");
            return None;
        }
        read(&value)
            .map_err(|(rule, message)| self.refuse(name, rule, message))
            .ok()
    }

    pub(crate) fn take_number(&mut self, name: &str, min: i64, max: i64) -> Option<i64> {
        self.take(name, |text| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(broken("type", "must be a whole number"));
            }
            let number = text
                .parse()
                .ok()
                .filter(|number| (min..=max).contains(number));
            number.ok_or_else(|| ("range", format!("must be {min} to {max}")))
        })
    }

    pub(crate) fn take_filter(&mut self) -> Filter {
        let filter = Filter {
            // Cluster-scoped targets have an empty namespace.
            namespace: self.take_any("namespace", |text| short(text, 0, FILTER_CHARACTERS_MAX)),
            cluster: self.take("cluster", filter_text),
            alert_name: self.take("alert_name", filter_text),
            environment: self.take("environment", filter_text),
            workflow_name: self.take("workflow_name", filter_text),
            remediation_name: self.take("remediation_name", filter_text),
            fingerprint: self.take("fingerprint", filter_text),
            target_type: self.take("target_type", filter_text),
            target_name: self.take("target_name", filter_text),
            action_type: self.take("action_type", filter_text),
            severity: self.take("severity", |text| short(text, 1, SEVERITY_CHARACTERS_MAX)),
            status: self.take("status", |text| one_of(&STATUSES, text)),
            correlation_id: self.take("correlation_id", correlation_id),
            action_history_id: self.take_number("action_history_id", 1, i64::MAX),
            ..Filter::default()
        };
        let (since, until) = self.take_span();
        Filter {
            since,
            until,
            ..filter
        }
    }

    /// Takes `since` and `until`.
    pub(crate) fn take_span(&mut self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let since = self.take("since", instant);
        let until = self.take("until", instant);
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            self.refuse("until", "order", "must not be before since");
        }
        (since, until)
    }

    /// Takes the `kind` of records.
    pub(crate) fn take_kind(&mut self) -> Option<String> {
        self.take("kind", |text| one_of(&KIND_NAMES, text))
    }

    pub(crate) fn refuse(&mut self, name: &str, rule: &'static str, message: impl Into<String>) {
        self.report.add(name, rule, message);
    }

    pub(crate) fn finish(mut self) -> Result<(), Report> {
        let unknown: BTreeSet<_> = std::mem::take(&mut self.given)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for name in unknown {
            self.refuse(&name, "unknown", "no such parameter");
        }
        if self.report.is_empty() {
            Ok(())
        } else {
            Err(self.report)
        }
    }
}

/// Checks only `max`; [`Parameters::take`] refuses empty values.
pub(crate) fn short(text: &str, min: usize, max: usize) -> Result<String, Broken> {
    if text.chars().count() <= max {
        return Ok(text.to_owned());
    }
    let message = match min {
        0 => format!("must be at most {max} characters"),
        _ => format!("must be {min} to {max} characters"),
    };
    Err(("length", message))
}

pub(crate) fn filter_text(text: &str) -> Result<String, Broken> {
    short(text, 1, FILTER_CHARACTERS_MAX)
}

fn one_of(names: &[&str], text: &str) -> Result<String, Broken> {
    match names.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(not_among(names)),
    }
}

pub(crate) fn correlation_id(text: &str) -> Result<String, Broken> {
    let text = short(text, 1, CORRELATION_ID_CHARACTERS_MAX)?;
    if is_correlation_id(&text) {
        Ok(text)
    } else {
        let message = "must be made up of the characters A-Z a-z 0-9 . _ : -";
        Err(broken("format", message))
    }
}

/// Truncates to microseconds, as the database does.
fn instant(text: &str) -> Result<DateTime<Utc>, Broken> {
    let message = "must be an RFC 3339 timestamp with an offset, in the years 0001 to 9999; write \
                   a plus sign as %2B";
    parse_timestamp(text)
        .map(|timestamp| timestamp.to_utc().trunc_subsecs(6))
        .ok_or_else(|| broken("format", message))
}

/// Decodes percent-encoded bytes, and plus signs as spaces.
fn decode(text: &str) -> Result<String, Broken> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let escaped = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                let escaped = escaped.and_then(|byte| u8::try_from(byte).ok());
                escaped.ok_or_else(|| {
                    broken(
                        "encoding",
                        "two hexadecimal digits must follow a percent sign",
                    )
                })?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        ("utf-8", format!("is not UTF-8 at byte {position}"))
    })?;
    if text.contains('\0') {
        return Err(broken("nul", "a NUL character cannot be stored"));
    }
    Ok(text)
}
