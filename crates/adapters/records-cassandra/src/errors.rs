//! The driver's errors as the port's.
//!
//! The one question that matters: may the write have happened? Where the server says that it was
//! not begun, it has not; every other failure of a write leaves it unknown.

use riwaq_records::RecordsError;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

pub(crate) fn of_prepare(error: PrepareError) -> RecordsError {
    match &error {
        PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(db, text),
        } if is_schema(db) => RecordsError::schema(text.clone()),
        _ => RecordsError::unavailable(error),
    }
}

/// A failed read has changed nothing.
pub(crate) fn of_read(error: ExecutionError) -> RecordsError {
    definite(&error).unwrap_or_else(|| RecordsError::unavailable(error))
}

/// A failed write is unknown, unless it certainly was not begun.
pub(crate) fn of_write(error: ExecutionError) -> RecordsError {
    if let Some(definite) = definite(&error) {
        return definite;
    }
    match &error {
        ExecutionError::EmptyPlan
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::PrepareError(_)
        | ExecutionError::LastAttemptError(
            RequestAttemptError::UnableToAllocStreamId
            | RequestAttemptError::DbError(
                DbError::Unavailable { .. } | DbError::Overloaded | DbError::IsBootstrapping,
                _,
            ),
        ) => RecordsError::unavailable(error),
        _ => RecordsError::unknown(error),
    }
}

/// What is wrong with the request or the schema, whatever was asked.
fn definite(error: &ExecutionError) -> Option<RecordsError> {
    match error {
        ExecutionError::BadQuery(bad) => Some(RecordsError::invalid("statement", bad.to_string())),
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(db, text))
            if is_schema(db) =>
        {
            Some(RecordsError::schema(text.clone()))
        }
        ExecutionError::LastAttemptError(
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_),
        ) => Some(RecordsError::invalid("statement", error.to_string())),
        _ => None,
    }
}

const fn is_schema(error: &DbError) -> bool {
    matches!(
        error,
        DbError::Invalid
            | DbError::SyntaxError
            | DbError::ConfigError
            | DbError::Unauthorized
            | DbError::AlreadyExists { .. }
    )
}
