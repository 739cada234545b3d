//! What SQLite's errors mean to the caller.

use riwaq_records::RecordsError;
use rusqlite::{Error, ErrorCode};

/// The error of a statement on a table that has certainly not taken effect.
pub(crate) fn not_done(table: &str, error: &Error) -> RecordsError {
    match error {
        Error::SqliteFailure(failure, message) => {
            let text = message.as_deref().unwrap_or("");
            if ["no such table", "no such column", "has no column named"]
                .iter()
                .any(|what| text.contains(what))
            {
                return RecordsError::schema(format!("{text}: run `riwaq migrate`"));
            }
            match failure.code {
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch => {
                    RecordsError::corrupt(table, error)
                }
                _ => RecordsError::unavailable(format!("SQLite: {error}")),
            }
        }
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..) => RecordsError::corrupt(table, error),
        _ => RecordsError::unavailable(format!("SQLite: {error}")),
    }
}
