//! Converts values between the guest's and the driver's types, with Spin's set of types.

use super::values::{Bound, Null, Raw, SqlInterval};
use crate::bindings::spin::postgres::postgres::{
    DbDataType, DbValue, ParameterValue, RangeBoundKind,
};
use anyhow::{Context, Result};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use postgres_range::{BoundSided, BoundType, Normalizable, Range, RangeBound};
use postgres_types::{FromSql, ToSql, Type};
use rust_decimal::Decimal;
use tokio_postgres::Row;
use uuid::Uuid;

type Parameter = Box<dyn ToSql + Send + Sync>;
type WitBound<T> = Option<(T, RangeBoundKind)>;
type WitDate = (i32, u8, u8);
type WitTime = (u8, u8, u8, u32);

pub(super) fn parameters(values: &[ParameterValue]) -> Result<Vec<Parameter>> {
    values.iter().map(parameter).collect()
}

fn parameter(value: &ParameterValue) -> Result<Parameter> {
    use ParameterValue as P;
    Ok(match value {
        P::Boolean(v) => Box::new(*v),
        P::Int8(v) => Box::new(*v),
        P::Int16(v) => Box::new(*v),
        P::Int32(v) => Box::new(*v),
        P::Int64(v) => Box::new(*v),
        P::Floating32(v) => Box::new(*v),
        P::Floating64(v) => Box::new(*v),
        P::Str(v) => Box::new(v.clone()),
        P::Binary(v) => Box::new(v.clone()),
        P::Date(v) => Box::new(date(*v)?),
        P::Time(v) => Box::new(time(*v)?),
        P::Datetime((y, mo, d, h, mi, s, ns)) => Box::new(NaiveDateTime::new(
            date((*y, *mo, *d))?,
            time((*h, *mi, *s, *ns))?,
        )),
        P::Timestamp(v) => Box::new(
            DateTime::<Utc>::from_timestamp(*v, 0)
                .with_context(|| format!("invalid epoch timestamp {v}"))?,
        ),
        P::Uuid(v) => Box::new(Uuid::parse_str(v).with_context(|| format!("invalid UUID {v}"))?),
        P::Jsonb(v) => {
            let json: serde_json::Value = serde_json::from_slice(v)
                .with_context(|| format!("invalid JSON {}", String::from_utf8_lossy(v)))?;
            Box::new(json)
        }
        P::Decimal(v) => Box::new(decimal(v)?),
        P::RangeInt32((lower, upper)) => Box::new(Range::new(bound(*lower), bound(*upper))),
        P::RangeInt64((lower, upper)) => Box::new(Range::new(bound(*lower), bound(*upper))),
        P::RangeDecimal((lower, upper)) => {
            Box::new(Range::new(decimal_bound(lower)?, decimal_bound(upper)?))
        }
        P::ArrayInt32(v) => Box::new(v.clone()),
        P::ArrayInt64(v) => Box::new(v.clone()),
        P::ArrayDecimal(v) => {
            let decimals = v
                .iter()
                .map(|item| item.as_deref().map(decimal).transpose());
            Box::new(decimals.collect::<Result<Vec<_>>>()?)
        }
        P::ArrayStr(v) => Box::new(v.clone()),
        P::Interval(v) => Box::new(SqlInterval(*v)),
        P::DbNull => Box::new(Null),
    })
}

pub(super) fn data_type(kind: &Type) -> DbDataType {
    match *kind {
        Type::BOOL => DbDataType::Boolean,
        Type::BYTEA => DbDataType::Binary,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DbDataType::Datetime,
        Type::DATE => DbDataType::Date,
        Type::TIME => DbDataType::Time,
        Type::INTERVAL => DbDataType::Interval,
        Type::UUID => DbDataType::Uuid,
        Type::JSONB => DbDataType::Jsonb,
        Type::NUMERIC => DbDataType::Decimal,
        Type::INT4_RANGE => DbDataType::RangeInt32,
        Type::INT8_RANGE => DbDataType::RangeInt64,
        Type::NUM_RANGE => DbDataType::RangeDecimal,
        Type::INT4_ARRAY => DbDataType::ArrayInt32,
        Type::INT8_ARRAY => DbDataType::ArrayInt64,
        Type::NUMERIC_ARRAY => DbDataType::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DbDataType::ArrayStr,
        _ => DbDataType::Other(kind.name().to_owned()),
    }
}

/// Converts one value of a row.
///
/// Spin reads `timestamptz` as `timestamp`, which the driver refuses, so both fail on it.
pub(super) fn value(row: &Row, index: usize) -> Result<DbValue> {
    let columns = row.columns();
    let column = columns.get(index).context("no such column")?;
    let at = Cell { row, index };
    match *column.type_() {
        Type::BOOL => at.read(DbValue::Boolean),
        Type::BYTEA => at.read(DbValue::Binary),
        Type::INT2 => at.read(DbValue::Int16),
        Type::INT4 => at.read(DbValue::Int32),
        Type::INT8 => at.read(DbValue::Int64),
        Type::FLOAT4 => at.read(DbValue::Floating32),
        Type::FLOAT8 => at.read(DbValue::Floating64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => at.read(DbValue::Str),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => at.read(|v: NaiveDateTime| {
            let ((y, mo, d), (h, mi, s, ns)) = (wit_date(v.date()), wit_time(v.time()));
            DbValue::Datetime((y, mo, d, h, mi, s, ns))
        }),
        Type::DATE => at.read(|v| DbValue::Date(wit_date(v))),
        Type::TIME => at.read(|v| DbValue::Time(wit_time(v))),
        Type::INTERVAL => at.read(|v: SqlInterval| DbValue::Interval(v.0)),
        Type::UUID => at.read(|v: Uuid| DbValue::Uuid(v.to_string())),
        Type::JSONB => at.read(|v: serde_json::Value| DbValue::Jsonb(v.to_string().into_bytes())),
        Type::NUMERIC => at.read(|v: Decimal| DbValue::Decimal(v.to_string())),
        Type::INT4_RANGE => at.read(|v: Range<i32>| {
            DbValue::RangeInt32((wit_bound(v.lower()), wit_bound(v.upper())))
        }),
        Type::INT8_RANGE => at.read(|v: Range<i64>| {
            DbValue::RangeInt64((wit_bound(v.lower()), wit_bound(v.upper())))
        }),
        Type::NUM_RANGE => at.read(|v: Range<Bound>| {
            let text = |(bound, kind): (Bound, _)| (bound.0.to_string(), kind);
            let (lower, upper) = (wit_bound(v.lower()), wit_bound(v.upper()));
            DbValue::RangeDecimal((lower.map(text), upper.map(text)))
        }),
        Type::INT4_ARRAY => at.read(DbValue::ArrayInt32),
        Type::INT8_ARRAY => at.read(DbValue::ArrayInt64),
        Type::NUMERIC_ARRAY => at.read(|v: Vec<Option<Decimal>>| {
            let text = |item: Option<Decimal>| item.map(|decimal| decimal.to_string());
            DbValue::ArrayDecimal(v.into_iter().map(text).collect())
        }),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => at.read(DbValue::ArrayStr),
        _ => at.read(|v: Raw| DbValue::Unsupported(v.0)),
    }
}

/// Estimates the bytes that a value takes in the host's memory.
pub(super) fn size_in_memory(value: &DbValue) -> usize {
    let text = |item: &Option<String>| item.as_ref().map_or(0, String::len);
    let behind = match value {
        DbValue::Str(v) | DbValue::Uuid(v) | DbValue::Decimal(v) => v.len(),
        DbValue::Binary(v) | DbValue::Jsonb(v) | DbValue::Unsupported(v) => v.len(),
        DbValue::ArrayInt32(v) => size_of_val(v.as_slice()),
        DbValue::ArrayInt64(v) => size_of_val(v.as_slice()),
        DbValue::ArrayDecimal(v) | DbValue::ArrayStr(v) => {
            size_of_val(v.as_slice()) + v.iter().map(text).sum::<usize>()
        }
        _ => 0,
    };
    size_of::<DbValue>() + behind
}

struct Cell<'a> {
    row: &'a Row,
    index: usize,
}

impl<'a> Cell<'a> {
    fn read<T: FromSql<'a>>(&self, convert: impl FnOnce(T) -> DbValue) -> Result<DbValue> {
        let value: Option<T> = self.row.try_get(self.index)?;
        Ok(value.map_or(DbValue::DbNull, convert))
    }
}

fn date((year, month, day): WitDate) -> Result<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month.into(), day.into())
        .with_context(|| format!("invalid date y={year}, m={month}, d={day}"))
}

fn time((hour, minute, second, nanosecond): WitTime) -> Result<NaiveTime> {
    NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nanosecond)
        .with_context(|| format!("invalid time {hour}:{minute}:{second}:{nanosecond}"))
}

fn decimal(text: &str) -> Result<Decimal> {
    Decimal::from_str_exact(text).with_context(|| format!("invalid decimal {text}"))
}

fn bound<S: BoundSided, T: PartialOrd>(bound: WitBound<T>) -> Option<RangeBound<S, T>> {
    bound.map(|(value, kind)| {
        let kind = match kind {
            RangeBoundKind::Inclusive => BoundType::Inclusive,
            RangeBoundKind::Exclusive => BoundType::Exclusive,
        };
        RangeBound::new(value, kind)
    })
}

fn decimal_bound<S: BoundSided>(text: &WitBound<String>) -> Result<Option<RangeBound<S, Bound>>> {
    let Some((text, kind)) = text else {
        return Ok(None);
    };
    Ok(bound(Some((Bound(decimal(text)?), *kind))))
}

fn wit_bound<S: BoundSided, T: Copy + Normalizable>(
    bound: Option<&RangeBound<S, T>>,
) -> WitBound<T> {
    bound.map(|bound| {
        let kind = match bound.type_ {
            BoundType::Inclusive => RangeBoundKind::Inclusive,
            BoundType::Exclusive => RangeBoundKind::Exclusive,
        };
        (bound.value, kind)
    })
}

/// Converts months, days and parts of a time, which never exceed 60.
fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn wit_date(date: NaiveDate) -> WitDate {
    (date.year(), small(date.month()), small(date.day()))
}

fn wit_time(time: NaiveTime) -> WitTime {
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    (small(hour), small(minute), small(second), time.nanosecond())
}
