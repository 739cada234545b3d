//! The driver's errors as the port's.
//!
//! The one question that matters: may the write have happened? Where it was certainly not begun, it has
//! not; every other failure of a write leaves it unknown.

use riwaq_records::RecordsError;
use scylla::errors::{
    DbError, ExecutionError, PrepareError, RequestAttemptError, SchemaAgreementError, WriteType,
};

pub(crate) fn of_prepare(error: PrepareError) -> RecordsError {
    match &error {
        PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(db, text),
        } if is_schema(db, text) => RecordsError::schema(text.clone()),
        _ => RecordsError::unavailable(error),
    }
}

/// A failed read has changed nothing.
pub(crate) fn of_read(error: ExecutionError) -> RecordsError {
    definite(&error).unwrap_or_else(|| RecordsError::unavailable(error))
}

/// A failed write is unknown, unless no attempt at it can have begun.
pub(crate) fn of_write(
    error: ExecutionError,
    earlier_attempt_may_have_begun: bool,
) -> RecordsError {
    if earlier_attempt_may_have_begun {
        return RecordsError::unknown(error);
    }
    if let Some(definite) = definite(&error) {
        return definite;
    }
    if was_not_sent(&error)
        || matches!(&error, ExecutionError::LastAttemptError(attempt) if is_not_begun(attempt))
    {
        return RecordsError::unavailable(error);
    }
    RecordsError::unknown(error)
}

/// A conditional change goes through several rounds. Too few nodes for the first, which is at the serial level,
/// is a refusal; too few for a later one may come after the others have accepted the change.
pub(crate) fn of_conditional(error: ExecutionError) -> RecordsError {
    if let Some(definite) = definite(&error) {
        return definite;
    }
    let refused = match &error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::Unavailable { consistency, .. },
            _,
        )) => consistency.is_serial(),
        ExecutionError::LastAttemptError(attempt) => is_not_begun(attempt),
        error => was_not_sent(error),
    };
    if refused {
        RecordsError::unavailable(error)
    } else {
        RecordsError::unknown(error)
    }
}

/// A change of the schema may be repeated; where the nodes do not agree, repeating is not the remedy.
pub(crate) fn of_schema_change(error: ExecutionError) -> RecordsError {
    match &error {
        ExecutionError::SchemaAgreementError(cause) => of_disagreement(cause),
        _ => of_write(error, false),
    }
}

/// The nodes did not come to one schema in time.
pub(crate) fn of_disagreement(cause: &SchemaAgreementError) -> RecordsError {
    RecordsError::unavailable(format!(
        "the nodes do not agree on the schema ({cause}): see `nodetool describecluster` for the ones that \
         differ, restart or repair those, then migrate again"
    ))
}

/// Whether a batch is in the log of one node at least, which carries it out, and was not seen to be carried out.
pub(crate) fn is_in_a_log(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::WriteTimeout {
                write_type: WriteType::BatchLog,
                received: 1..,
                ..
            },
            _,
        ))
    )
}

/// Whether the node answers that it could not look up what the role may do: it lacks a quorum of the roles'
/// own tables, which says nothing about the role.
pub(crate) fn is_blind(text: &str) -> bool {
    text.contains("Unable to perform auth")
}

/// Whether an attempt that failed so has certainly changed nothing.
pub(crate) fn is_not_begun(error: &RequestAttemptError) -> bool {
    match error {
        RequestAttemptError::UnableToAllocStreamId
        | RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_) => true,
        RequestAttemptError::DbError(db, text) => {
            matches!(
                db,
                DbError::Unavailable { .. } | DbError::IsBootstrapping | DbError::Unauthorized
            ) || is_schema(db, text)
        }
        _ => false,
    }
}

const fn was_not_sent(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::EmptyPlan
            | ExecutionError::ConnectionPoolError(_)
            | ExecutionError::PrepareError(_)
    )
}

/// What is wrong with the request or the schema, whatever was asked.
fn definite(error: &ExecutionError) -> Option<RecordsError> {
    match error {
        ExecutionError::BadQuery(bad) => Some(RecordsError::invalid("statement", bad.to_string())),
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(db, text))
            if is_schema(db, text) =>
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

fn is_schema(error: &DbError, text: &str) -> bool {
    match error {
        DbError::Invalid
        | DbError::SyntaxError
        | DbError::ConfigError
        | DbError::AlreadyExists { .. } => true,
        DbError::Unauthorized => !is_blind(text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use scylla::statement::Consistency;

    use super::*;

    fn db(error: DbError, text: &str) -> ExecutionError {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, text.into()))
    }

    const fn unavailable(consistency: Consistency) -> DbError {
        DbError::Unavailable {
            consistency,
            required: 2,
            alive: 1,
        }
    }

    fn timed_out() -> ExecutionError {
        let timeout = DbError::WriteTimeout {
            consistency: Consistency::LocalQuorum,
            received: 1,
            required: 2,
            write_type: WriteType::Simple,
        };
        db(timeout, "")
    }

    #[test]
    fn too_few_nodes_is_a_refusal_only_before_anybody_can_have_accepted() {
        let of = |error: ExecutionError| of_conditional(error);
        assert!(matches!(
            of(db(unavailable(Consistency::LocalSerial), "")),
            RecordsError::Unavailable { .. }
        ));
        assert!(matches!(
            of(db(unavailable(Consistency::LocalQuorum), "")),
            RecordsError::Unknown { .. }
        ));
        assert!(matches!(of(timed_out()), RecordsError::Unknown { .. }));
        assert!(matches!(
            of(db(DbError::Overloaded, "")),
            RecordsError::Unknown { .. }
        ));
        assert!(matches!(
            of(ExecutionError::EmptyPlan),
            RecordsError::Unavailable { .. }
        ));
    }

    #[test]
    fn a_refused_repetition_does_not_undo_what_an_earlier_attempt_may_have_done() {
        let refused = || db(unavailable(Consistency::LocalQuorum), "");
        assert!(matches!(
            of_write(refused(), false),
            RecordsError::Unavailable { .. }
        ));
        assert!(matches!(
            of_write(refused(), true),
            RecordsError::Unknown { .. }
        ));
        assert!(matches!(
            of_write(timed_out(), false),
            RecordsError::Unknown { .. }
        ));
    }

    #[test]
    fn a_batch_counts_as_logged_only_when_a_node_said_so() {
        let of = |write_type, received| {
            is_in_a_log(&db(
                DbError::WriteTimeout {
                    consistency: Consistency::Two,
                    received,
                    required: 2,
                    write_type,
                },
                "",
            ))
        };
        assert!(of(WriteType::BatchLog, 1));
        assert!(!of(WriteType::BatchLog, 0));
        assert!(!of(WriteType::Batch, 1));
        assert!(!of(WriteType::UnloggedBatch, 1));
    }

    #[test]
    fn a_node_that_cannot_read_the_roles_is_away_and_not_misconfigured() {
        let blind = "Unable to perform authorization of permissions: Unable to perform authorization of super-user permission: Cannot achieve consistency level LOCAL_QUORUM";
        assert!(matches!(
            of_read(db(DbError::Unauthorized, blind)),
            RecordsError::Unavailable { .. }
        ));
        assert!(matches!(
            of_conditional(db(DbError::Unauthorized, blind)),
            RecordsError::Unavailable { .. }
        ));
        let forbidden = "User riwaq has no MODIFY permission on <table ks.t> or any of its parents";
        assert!(matches!(
            of_read(db(DbError::Unauthorized, forbidden)),
            RecordsError::Schema { .. }
        ));
    }
}
