//! Values, their types, sizes and order.

use std::cmp::Ordering;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The earliest and latest storable time, in milliseconds around 1970 (about ±253,000 years).
pub const TIMESTAMP_LIMIT_MS: i64 = 8_000_000_000_000_000;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// True or false. CQL `boolean`, SQLite `INTEGER` 0 or 1.
    Bool,
    /// A signed 64-bit integer. CQL `bigint`, SQLite `INTEGER`.
    BigInt,
    /// A finite IEEE 754 double. CQL `double`, SQLite `REAL`. Not for keys.
    Double,
    /// UTF-8 text, NUL included, ordered by its bytes. CQL `text`, SQLite `TEXT`.
    Text,
    /// JSON kept as text. CQL `text`, SQLite `TEXT`. Not for keys, not for conditions.
    Json,
    /// Bytes, ordered unsigned. CQL `blob`, SQLite `BLOB`.
    Blob,
    /// A UUID of any version, ordered as [`uuid_order_key`] says. CQL `uuid`, SQLite `TEXT`.
    Uuid,
    /// Milliseconds since 1970, UTC. CQL `timestamp`, SQLite `INTEGER`.
    Timestamp,
}

impl ColumnType {
    /// Whether a partition or clustering column may have this type.
    #[must_use]
    pub const fn may_be_key(self) -> bool {
        !matches!(self, Self::Double | Self::Json)
    }

    /// Whether a condition may compare a column of this type.
    #[must_use]
    pub const fn may_be_compared(self) -> bool {
        !matches!(self, Self::Double | Self::Json)
    }

    /// The name that error messages use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::BigInt => "bigint",
            Self::Double => "double",
            Self::Text => "text",
            Self::Json => "json",
            Self::Blob => "blob",
            Self::Uuid => "uuid",
            Self::Timestamp => "timestamp",
        }
    }
}

/// One value of one column.
///
/// Empty text and an empty blob are values; they differ from [`Value::Null`] on every engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// No value.
    Null,
    /// For [`ColumnType::Bool`].
    Bool(bool),
    /// For [`ColumnType::BigInt`].
    BigInt(i64),
    /// For [`ColumnType::Double`]: finite, and not minus zero (SQLite keeps neither NaN nor -0.0).
    Double(f64),
    /// For [`ColumnType::Text`] and [`ColumnType::Json`].
    Text(String),
    /// For [`ColumnType::Blob`].
    Blob(Bytes),
    /// For [`ColumnType::Uuid`].
    Uuid(Uuid),
    /// For [`ColumnType::Timestamp`]: milliseconds since 1970, within ±[`TIMESTAMP_LIMIT_MS`].
    Timestamp(i64),
}

impl Value {
    /// Whether this is [`Value::Null`].
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this value (null included) can stand in a column of type `kind`.
    #[must_use]
    pub const fn fits(&self, kind: ColumnType) -> bool {
        matches!(
            (self, kind),
            (Self::Null, _)
                | (Self::Bool(_), ColumnType::Bool)
                | (Self::BigInt(_), ColumnType::BigInt)
                | (Self::Double(_), ColumnType::Double)
                | (Self::Text(_), ColumnType::Text | ColumnType::Json)
                | (Self::Blob(_), ColumnType::Blob)
                | (Self::Uuid(_), ColumnType::Uuid)
                | (Self::Timestamp(_), ColumnType::Timestamp)
        )
    }

    /// What the value counts towards the size limits, in bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::BigInt(_) | Self::Double(_) | Self::Timestamp(_) => 8,
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            Self::Uuid(_) => 16,
        }
    }

    /// The order of clustering columns, the same on every engine. Meaningful between values of
    /// one type; null sorts first.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::BigInt(a), Self::BigInt(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => {
                a.cmp(b)
            }
            (Self::Double(a), Self::Double(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Blob(a), Self::Blob(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => uuid_order_key(*a).cmp(&uuid_order_key(*b)),
            (Self::Null, Self::Null) => Ordering::Equal,
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Which of two values of one cell written with the same timestamp stays: null (a cell
    /// tombstone) beats a value, otherwise the larger serialised bytes win. This is
    /// Cassandra's reconciliation of cells, kept by the other engines too.
    #[must_use]
    pub fn wins_tie_against(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, _) => true,
            (_, Self::Null) => false,
            _ => self.cell_bytes() >= other.cell_bytes(),
        }
    }

    /// The value as CQL serialises it.
    fn cell_bytes(&self) -> Vec<u8> {
        match self {
            Self::Null => Vec::new(),
            Self::Bool(value) => vec![u8::from(*value)],
            Self::BigInt(value) | Self::Timestamp(value) => value.to_be_bytes().to_vec(),
            Self::Double(value) => value.to_be_bytes().to_vec(),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Blob(bytes) => bytes.to_vec(),
            Self::Uuid(uuid) => uuid.as_bytes().to_vec(),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::BigInt(_) => 2,
            Self::Double(_) => 3,
            Self::Text(_) => 4,
            Self::Blob(_) => 5,
            Self::Uuid(_) => 6,
            Self::Timestamp(_) => 7,
        }
    }
}

/// Bytes that sort as UUIDs do in a clustering column, on every engine.
///
/// The order is that of Cassandra's `UUIDType`: by version first; then version 1 by its time
/// and every other version by its first half, unsigned; then by the second half, unsigned.
#[must_use]
pub fn uuid_order_key(uuid: Uuid) -> [u8; 17] {
    let (high, low) = uuid.as_u64_pair();
    let version = ((high >> 12) & 0xf) as u8;
    let first = if version == 1 {
        version_1_time(high)
    } else {
        high
    };
    let mut key = [0; 17];
    key[0] = version;
    key[1..9].copy_from_slice(&first.to_be_bytes());
    key[9..].copy_from_slice(&low.to_be_bytes());
    key
}

/// The 60-bit time of a version 1 UUID's first half (RFC 9562, section 5.1).
const fn version_1_time(high: u64) -> u64 {
    ((high & 0x0fff) << 48) | (((high >> 16) & 0xffff) << 32) | (high >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(text: &str) -> Value {
        Value::Uuid(Uuid::parse_str(text).unwrap())
    }

    #[test]
    fn uuids_sort_by_version_before_anything_else() {
        let v4 = uuid("ffffffff-ffff-4fff-bfff-ffffffffffff");
        let v7 = uuid("00000000-0000-7000-8000-000000000000");
        assert_eq!(v4.compare(&v7), Ordering::Less);
    }

    #[test]
    fn version_1_uuids_sort_by_time() {
        // The low 32 bits of the time come first in the text, so bytes would sort the other way.
        let earlier = uuid("ffffffff-0000-1000-8000-000000000000");
        let later = uuid("00000000-0001-1000-8000-000000000000");
        assert_eq!(earlier.compare(&later), Ordering::Less);
    }

    #[test]
    fn the_second_half_of_a_uuid_is_unsigned() {
        let small = uuid("00000000-0000-4000-7000-000000000000");
        let large = uuid("00000000-0000-4000-8000-000000000000");
        assert_eq!(small.compare(&large), Ordering::Less);
    }

    #[test]
    fn a_tie_goes_to_null_then_to_the_larger_bytes() {
        assert!(Value::Null.wins_tie_against(&Value::BigInt(1)));
        assert!(!Value::BigInt(1).wins_tie_against(&Value::Null));
        // Two's complement, compared unsigned: minus one is the largest.
        assert!(Value::BigInt(-1).wins_tie_against(&Value::BigInt(7)));
        assert!(Value::Text("b".into()).wins_tie_against(&Value::Text("aa".into())));
    }
}
