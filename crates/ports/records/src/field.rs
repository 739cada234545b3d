//! How Rust types become values and back.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{ColumnType, RecordsError, Value};

/// A Rust type that a column can hold. Give a newtype this trait with [`field_newtype!`](crate::field_newtype).
pub trait Field: Sized {
    /// The column's type.
    const COLUMN_TYPE: ColumnType;
    /// Whether the column may be null.
    const NULLABLE: bool = false;

    /// The value to store.
    ///
    /// # Errors
    /// What is wrong with it, where not every Rust value can be stored.
    fn to_value(&self) -> Result<Value, String>;

    /// The value that was stored.
    ///
    /// # Errors
    /// What is wrong with it.
    fn from_value(value: Value) -> Result<Self, String>;
}

fn unexpected<T>(value: &Value) -> Result<T, String> {
    Err(if value.is_null() {
        "is null".into()
    } else {
        "has another type".into()
    })
}

macro_rules! plain_field {
    ($type:ty, $kind:ident, $variant:ident) => {
        impl Field for $type {
            const COLUMN_TYPE: ColumnType = ColumnType::$kind;
            fn to_value(&self) -> Result<Value, String> {
                Ok(Value::$variant(self.clone()))
            }
            fn from_value(value: Value) -> Result<Self, String> {
                match value {
                    Value::$variant(inner) => Ok(inner),
                    other => unexpected(&other),
                }
            }
        }
        impl From<$type> for Value {
            fn from(inner: $type) -> Self {
                Self::$variant(inner)
            }
        }
    };
}

plain_field!(bool, Bool, Bool);
plain_field!(i64, BigInt, BigInt);
plain_field!(String, Text, Text);
plain_field!(Bytes, Blob, Blob);
plain_field!(Uuid, Uuid, Uuid);

macro_rules! integer_field {
    ($($type:ty),*) => {$(
        impl Field for $type {
            const COLUMN_TYPE: ColumnType = ColumnType::BigInt;
            fn to_value(&self) -> Result<Value, String> {
                i64::try_from(*self).map(Value::BigInt).map_err(|_| "is larger than a bigint holds".into())
            }
            fn from_value(value: Value) -> Result<Self, String> {
                match value {
                    Value::BigInt(inner) => Self::try_from(inner)
                        .map_err(|_| format!("{inner} is outside of {}", stringify!($type))),
                    other => unexpected(&other),
                }
            }
        }
    )*};
}

integer_field!(u8, u16, u32, u64, i8, i16, i32, usize);

impl Field for f64 {
    const COLUMN_TYPE: ColumnType = ColumnType::Double;
    fn to_value(&self) -> Result<Value, String> {
        // Adding zero turns minus zero into zero.
        Ok(Value::Double(self + 0.0))
    }
    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Double(inner) => Ok(inner),
            other => unexpected(&other),
        }
    }
}

/// Sub-millisecond parts are cut off (towards the past): compare times that went through a store
/// in milliseconds.
impl Field for DateTime<Utc> {
    const COLUMN_TYPE: ColumnType = ColumnType::Timestamp;
    fn to_value(&self) -> Result<Value, String> {
        Ok(Value::Timestamp(self.timestamp_millis()))
    }
    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Timestamp(millis) => Self::from_timestamp_millis(millis)
                .ok_or_else(|| format!("{millis} ms is not a time")),
            other => unexpected(&other),
        }
    }
}

impl<T: Field> Field for Option<T> {
    const COLUMN_TYPE: ColumnType = T::COLUMN_TYPE;
    const NULLABLE: bool = true;
    fn to_value(&self) -> Result<Value, String> {
        self.as_ref().map_or(Ok(Value::Null), Field::to_value)
    }
    fn from_value(value: Value) -> Result<Self, String> {
        if value.is_null() {
            Ok(None)
        } else {
            T::from_value(value).map(Some)
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number + 0.0)
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Timestamp(time.timestamp_millis())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Implements [`Field`] for a newtype `struct Name(Inner)`: `field_newtype!(Name, Inner)`.
#[macro_export]
macro_rules! field_newtype {
    ($name:ident, $inner:ty) => {
        impl $crate::Field for $name {
            const COLUMN_TYPE: $crate::ColumnType = <$inner as $crate::Field>::COLUMN_TYPE;
            fn to_value(&self) -> ::core::result::Result<$crate::Value, ::std::string::String> {
                $crate::Field::to_value(&self.0)
            }
            fn from_value(
                value: $crate::Value,
            ) -> ::core::result::Result<Self, ::std::string::String> {
                <$inner as $crate::Field>::from_value(value).map($name)
            }
        }
    };
}

/// The columns of a key, or of a part of one: a tuple of up to six [`Field`]s.
pub trait KeyPart: Sized + Send {
    /// How many columns it has.
    const COLUMNS: usize;

    /// The values of the columns.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for a value that cannot be stored.
    fn to_values(&self) -> Result<Vec<Value>, RecordsError>;

    /// The columns of these values.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for values of another number or type.
    fn from_values(values: Vec<Value>) -> Result<Self, RecordsError>;
}

macro_rules! key_tuple {
    ($count:literal: $($name:ident $at:tt),*) => {
        impl<$($name: Field + Send),*> KeyPart for ($($name,)*) {
            const COLUMNS: usize = $count;
            fn to_values(&self) -> Result<Vec<Value>, RecordsError> {
                Ok(vec![$(self.$at.to_value().map_err(|reason| RecordsError::invalid("key", reason))?),*])
            }
            #[allow(unused_mut, unused_variables, reason = "the empty tuple takes nothing")]
            fn from_values(values: Vec<Value>) -> Result<Self, RecordsError> {
                if values.len() != Self::COLUMNS {
                    return Err(RecordsError::invalid("key", format!("needs {} values", Self::COLUMNS)));
                }
                let mut values = values.into_iter();
                Ok(($($name::from_value(values.next().unwrap_or(Value::Null))
                    .map_err(|reason| RecordsError::invalid("key", reason))?,)*))
            }
        }
    };
}

key_tuple!(0:);
key_tuple!(1: A 0);
key_tuple!(2: A 0, B 1);
key_tuple!(3: A 0, B 1, C 2);
key_tuple!(4: A 0, B 1, C 2, D 3);
key_tuple!(5: A 0, B 1, C 2, D 3, E 4);
key_tuple!(6: A 0, B 1, C 2, D 3, E 4, F 5);
