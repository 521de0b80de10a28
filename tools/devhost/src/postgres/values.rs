//! SQL types that the driver does not provide.

use crate::bindings::spin::postgres::postgres::Interval;
use bytes::{BufMut, BytesMut};
use postgres_range::{BoundSided, Normalizable, RangeBound};
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use rust_decimal::Decimal;
use std::error::Error;

type Boxed = Box<dyn Error + Sync + Send>;

/// NULL as a parameter of any type; an `Option` would need the right one.
#[derive(Debug)]
pub(super) struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, Boxed> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Bytes of a value of any type, as the server sent them.
pub(super) struct Raw(pub(super) Vec<u8>);

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, bytes: &[u8]) -> Result<Self, Boxed> {
        Ok(Self(bytes.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// An interval. Wire format: microseconds, days, months.
#[derive(Debug)]
pub(super) struct SqlInterval(pub(super) Interval);

impl ToSql for SqlInterval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Boxed> {
        out.put_i64(self.0.micros);
        out.put_i32(self.0.days);
        out.put_i32(self.0.months);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::INTERVAL
    }

    to_sql_checked!();
}

impl FromSql<'_> for SqlInterval {
    fn from_sql(_: &Type, bytes: &[u8]) -> Result<Self, Boxed> {
        let parts = bytes.split_first_chunk().and_then(|(micros, rest)| {
            let (days, rest) = rest.split_first_chunk()?;
            Some((*micros, *days, rest.try_into().ok()?))
        });
        let (micros, days, months) =
            parts.ok_or("unexpected binary format for Postgres INTERVAL")?;
        Ok(Self(Interval {
            micros: i64::from_be_bytes(micros),
            days: i32::from_be_bytes(days),
            months: i32::from_be_bytes(months),
        }))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::INTERVAL
    }
}

/// Decimal bound of a range. Decimal ranges are continuous and need no normalising.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Bound(pub(super) Decimal);

impl Normalizable for Bound {
    fn normalize<S: BoundSided>(bound: RangeBound<S, Self>) -> RangeBound<S, Self> {
        bound
    }
}

impl ToSql for Bound {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Boxed> {
        self.0.to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <Decimal as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

impl FromSql<'_> for Bound {
    fn from_sql(kind: &Type, bytes: &[u8]) -> Result<Self, Boxed> {
        Decimal::from_sql(kind, bytes).map(Self)
    }

    fn accepts(kind: &Type) -> bool {
        <Decimal as FromSql>::accepts(kind)
    }
}
