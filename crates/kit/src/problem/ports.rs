//! What the errors of the ports mean to a caller.
//!
//! Input that a port refuses is answered 422 although services check before they ask: a rule that a service
//! forgot must not become a 500. Where a port names a column, only its last part is shown.

use std::time::Duration;

use riwaq_aggregates::Error as AggregatesError;
use riwaq_blobs::{BlobsError, LinkError};
use riwaq_directory::DirectoryError;
use riwaq_events::EventsError;
use riwaq_index::IndexError;
use riwaq_mail::MailError;
use riwaq_records::RecordsError;

use super::Problem;
use crate::code::Code;

/// When to ask again for what is still under way. It ends at the latest when its process is taken for dead.
const UNDER_WAY: Duration = Duration::from_secs(2);

fn refused(field: &str, reason: &str) -> Problem {
    let field = field.rsplit('.').next().unwrap_or(field);
    tracing::warn!(field, reason, "a port refused what the service let through");
    Problem::field(field, reason)
}

impl From<RecordsError> for Problem {
    #[track_caller]
    fn from(error: RecordsError) -> Self {
        match &error {
            RecordsError::InvalidInput { field, reason } => refused(field, reason),
            RecordsError::TooLarge { .. } => Self::new(Code::TooLarge, error.to_string()),
            RecordsError::Unavailable { .. } => Self::unavailable(error),
            RecordsError::Unknown { .. } => Self::timeout(error),
            _ => Self::internal(error),
        }
    }
}

impl From<EventsError> for Problem {
    #[track_caller]
    fn from(error: EventsError) -> Self {
        match &error {
            EventsError::Unavailable(_) => Self::unavailable(error),
            EventsError::NoSuchDeadLetter { .. } => Self::not_found("dead letter"),
            // Services make events, clients do not: what is wrong with one is our own fault.
            _ => Self::internal(error),
        }
    }
}

impl From<AggregatesError> for Problem {
    #[track_caller]
    fn from(error: AggregatesError) -> Self {
        use AggregatesError as E;
        match error {
            E::InvalidInput { field, reason } => refused(field, &reason),
            E::NotFound { kind } => Self::not_found(kind),
            E::Exists { kind } => Self::conflict(format!("this {kind} exists already")),
            E::Stale { .. } => Self::stale(),
            E::Contended { .. } | E::TooSlow { .. } => Self::unavailable(error),
            // Who holds it is not for everybody.
            E::Taken { scope, .. } => Self::conflict(format!("this {scope} is taken")),
            E::IdempotencyMismatch => Self::new(
                Code::IdempotencyMismatch,
                "use a new Idempotency-Key for a new request",
            ),
            E::StillRunning => {
                Self::conflict("the first request with this Idempotency-Key is still running")
                    .with_retry_after(UNDER_WAY)
            }
            E::BadCursor => Self::bad_cursor(),
            E::Records(error) => error.into(),
            E::Events(error) => error.into(),
            _ => Self::internal(error),
        }
    }
}

impl From<BlobsError> for Problem {
    #[track_caller]
    fn from(error: BlobsError) -> Self {
        use BlobsError as E;
        match &error {
            E::InvalidInput { field, reason } => refused(field, reason),
            E::UploadNotFound => Self::not_found("upload"),
            E::BlobNotFound => Self::not_found("content"),
            E::Fenced
            | E::Busy
            | E::OffsetMismatch { .. }
            | E::AlreadyComplete
            | E::InGrace { .. } => Self::conflict(error.to_string()),
            E::TooLarge { max_bytes } => {
                Self::new(Code::TooLarge, format!("at most {max_bytes} bytes"))
            }
            E::Mismatch { field, .. } => Self::field(*field, "is not that of the bytes received"),
            E::RangeNotSatisfiable { size } => Self::new(
                Code::RangeNotSatisfiable,
                format!("the content has {size} bytes"),
            ),
            E::Body(_) => Self::invalid_request("the body ended before it was complete"),
            E::NoSpace(_) | E::Unavailable(_) => Self::unavailable(error),
            E::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        tracing::debug!(cause = %error, "a signed link was refused");
        Self::forbidden("the link has expired or was altered; ask for a new one")
    }
}

impl From<DirectoryError> for Problem {
    #[track_caller]
    fn from(error: DirectoryError) -> Self {
        use DirectoryError as E;
        match &error {
            E::Invalid { field, message } => Self::field(*field, message.clone()),
            E::Conflict { field } => Self::conflict(format!("this {field} is taken")),
            E::NotFound => Self::not_found("account"),
            E::Stale { .. } => Self::stale(),
            E::Unsupported { operation } => Self::new(
                Code::NotImplemented,
                format!("{operation} is done in the school's directory"),
            ),
            E::BadCursor => Self::bad_cursor(),
            E::Busy | E::Unavailable(_) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

impl From<IndexError> for Problem {
    #[track_caller]
    fn from(error: IndexError) -> Self {
        match &error {
            IndexError::InvalidInput { field, message } => refused(field, message),
            IndexError::Unavailable(_) => Self::unavailable(error),
            IndexError::InUse { .. } | IndexError::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<MailError> for Problem {
    #[track_caller]
    fn from(error: MailError) -> Self {
        match &error {
            MailError::Invalid { field, message } => refused(field, message),
            MailError::Temporary { .. } => Self::unavailable(error),
            MailError::Permanent { .. } => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_ports_become_what_the_caller_can_act_on() {
        let cases: Vec<(Problem, Code)> = vec![
            (
                RecordsError::invalid("courses.title", "holds NUL").into(),
                Code::ValidationFailed,
            ),
            (RecordsError::unavailable("x").into(), Code::Unavailable),
            (RecordsError::unknown("x").into(), Code::Timeout),
            (RecordsError::corrupt("courses", "x").into(), Code::Internal),
            (
                AggregatesError::Stale {
                    expected: 1,
                    current: 2,
                }
                .into(),
                Code::Stale,
            ),
            (
                AggregatesError::NotFound { kind: "course" }.into(),
                Code::NotFound,
            ),
            (
                AggregatesError::IdempotencyMismatch.into(),
                Code::IdempotencyMismatch,
            ),
            (AggregatesError::StillRunning.into(), Code::Conflict),
            (AggregatesError::BadCursor.into(), Code::BadCursor),
            (
                AggregatesError::Records(RecordsError::unavailable("x")).into(),
                Code::Unavailable,
            ),
            (BlobsError::TooLarge { max_bytes: 1 }.into(), Code::TooLarge),
            (
                BlobsError::RangeNotSatisfiable { size: 1 }.into(),
                Code::RangeNotSatisfiable,
            ),
            (BlobsError::NoSpace("x".into()).into(), Code::Unavailable),
            (
                EventsError::Unavailable("x".into()).into(),
                Code::Unavailable,
            ),
            (
                DirectoryError::Conflict { field: "email" }.into(),
                Code::Conflict,
            ),
            (DirectoryError::Busy.into(), Code::Unavailable),
            (IndexError::invalid("q", "x").into(), Code::ValidationFailed),
        ];
        for (problem, code) in cases {
            assert_eq!(problem.code(), code, "{problem}");
        }
    }

    #[test]
    fn of_all_conflicts_the_one_with_itself_passes() {
        let taken = AggregatesError::Exists { kind: "course" };
        assert!(Problem::from(taken).retry_after().is_none());
        let own = Problem::from(AggregatesError::StillRunning);
        assert_eq!(own.retry_after(), Some(UNDER_WAY));
    }

    #[test]
    fn what_is_inside_is_not_shown() {
        let problem = Problem::from(RecordsError::invalid("courses_by_owner.title", "holds NUL"));
        assert_eq!(problem.errors()[0].field, "title");
        let problem = Problem::from(AggregatesError::Taken {
            scope: "email".into(),
            holder: "secret-id".into(),
        });
        assert!(!problem.detail().contains("secret-id"));
        let problem = Problem::from(RecordsError::unavailable("host db7 refused"));
        assert!(!problem.detail().contains("db7"));
    }
}
