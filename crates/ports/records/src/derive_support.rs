//! What the code made by `#[derive(Table)]` calls. Not for direct use.
#![doc(hidden)]
#![allow(missing_docs, reason = "hidden")]

use std::fmt::Display;
use std::str::FromStr;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Field, RecordsError, Value};

fn unstorable(table: &str, column: &str, reason: impl ToString) -> RecordsError {
    RecordsError::invalid(format!("{table}.{column}"), reason.to_string())
}

fn unreadable(table: &str, column: &str, reason: impl Display) -> RecordsError {
    RecordsError::corrupt(table, format!("column {column}: {reason}"))
}

pub fn to_value<F: Field>(table: &str, column: &str, field: &F) -> Result<Value, RecordsError> {
    field
        .to_value()
        .map_err(|reason| unstorable(table, column, reason))
}

pub fn from_value<F: Field>(
    table: &str,
    column: &str,
    value: Option<Value>,
) -> Result<F, RecordsError> {
    F::from_value(value.unwrap_or(Value::Null)).map_err(|reason| unreadable(table, column, reason))
}

pub fn to_json<F: Serialize>(table: &str, column: &str, field: &F) -> Result<Value, RecordsError> {
    serde_json::to_string(field)
        .map(Value::Text)
        .map_err(|error| unstorable(table, column, error))
}

pub fn from_json<F: DeserializeOwned>(
    table: &str,
    column: &str,
    value: Option<Value>,
) -> Result<F, RecordsError> {
    match value {
        Some(Value::Text(text)) => {
            serde_json::from_str(&text).map_err(|error| unreadable(table, column, error))
        }
        _ => Err(unreadable(table, column, "is null or has another type")),
    }
}

pub fn to_json_option<F: Serialize>(
    table: &str,
    column: &str,
    field: &Option<F>,
) -> Result<Value, RecordsError> {
    field
        .as_ref()
        .map_or(Ok(Value::Null), |field| to_json(table, column, field))
}

pub fn from_json_option<F: DeserializeOwned>(
    table: &str,
    column: &str,
    value: Option<Value>,
) -> Result<Option<F>, RecordsError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        some => from_json(table, column, some).map(Some),
    }
}

pub fn to_text<F: Display>(_table: &str, _column: &str, field: &F) -> Result<Value, RecordsError> {
    Ok(Value::Text(field.to_string()))
}

pub fn from_text<F: FromStr<Err: Display>>(
    table: &str,
    column: &str,
    value: Option<Value>,
) -> Result<F, RecordsError> {
    match value {
        Some(Value::Text(text)) => text
            .parse()
            .map_err(|error| unreadable(table, column, error)),
        _ => Err(unreadable(table, column, "is null or has another type")),
    }
}

pub fn to_text_option<F: Display>(
    table: &str,
    column: &str,
    field: &Option<F>,
) -> Result<Value, RecordsError> {
    field
        .as_ref()
        .map_or(Ok(Value::Null), |field| to_text(table, column, field))
}

pub fn from_text_option<F: FromStr<Err: Display>>(
    table: &str,
    column: &str,
    value: Option<Value>,
) -> Result<Option<F>, RecordsError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        some => from_text(table, column, some).map(Some),
    }
}
