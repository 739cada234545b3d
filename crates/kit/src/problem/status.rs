//! Problems over gRPC: the code and the fields travel as `google.rpc.ErrorInfo` and `BadRequest`.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use super::{FieldError, Problem};
use crate::code::Code;

/// The `domain` of our `ErrorInfo`: who it is that gives the reason its meaning.
const DOMAIN: &str = "riwaq";

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let code = problem.code();
        let mut details = ErrorDetails::with_error_info(code.as_str(), DOMAIN, HashMap::new());
        for error in problem.errors() {
            details.add_bad_request_violation(&error.field, &error.message);
        }
        if let Some(after) = problem.retry_after() {
            details.set_retry_info(Some(after));
        }
        Self::with_error_details(code.grpc_code(), problem.detail(), details)
    }
}

impl From<Status> for Problem {
    /// A status that one of our services made comes back as it was; of a foreign one, such as those that
    /// tonic itself makes, only the code is taken, and its text goes to the log.
    #[track_caller]
    fn from(status: Status) -> Self {
        let ours = status
            .get_details_error_info()
            .filter(|info| info.domain == DOMAIN);
        let Some(code) = ours.and_then(|info| Code::from_name(&info.reason)) else {
            return foreign(&status);
        };
        let errors = status
            .get_details_bad_request()
            .map(|bad| bad.field_violations)
            .unwrap_or_default();
        let errors = errors
            .into_iter()
            .map(|violation| FieldError {
                field: violation.field,
                message: violation.description,
            })
            .collect();
        let retry_after: Option<Duration> = status
            .get_details_retry_info()
            .and_then(|info| info.retry_delay);
        let problem = Self::new(code, status.message().to_owned()).with_errors(errors);
        match retry_after {
            Some(after) => problem.with_retry_after(after),
            None => problem,
        }
    }
}

#[track_caller]
fn foreign(status: &Status) -> Problem {
    match Code::from_grpc(status.code()) {
        Code::Internal => Problem::internal(status.clone()),
        Code::Unavailable => Problem::unavailable(status.clone()),
        Code::Timeout => Problem::timeout(status.clone()),
        code => {
            tracing::warn!(grpc = ?status.code(), message = status.message(), "a service refused the call");
            Problem::new(code, code.facts().title)
        }
    }
}
