//! The closed set of error codes, and its one mapping to HTTP and to gRPC.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, in one word that programs may rely on.
///
/// The set is closed: a new kind of failure is a new variant here and a new line in [`Code::facts`],
/// so that every transport answers it alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// The request cannot be read: malformed JSON, malformed header, bad syntax.
    InvalidRequest,
    /// The list cursor was altered, or belongs to another list or another user.
    BadCursor,
    /// The request can be read, but a value in it does not fit; `errors` names the fields.
    ValidationFailed,
    /// Nobody is signed in, or the token is not valid (any more).
    Unauthenticated,
    /// The name and password given do not sign anybody in.
    InvalidCredentials,
    /// Signed in, but without the right to do this.
    Forbidden,
    /// A change by cookie without its CSRF token.
    Csrf,
    /// No such thing, or the caller may not know of it.
    NotFound,
    /// The address exists, but not with this method; `Allow` names those it has.
    MethodNotAllowed,
    /// None of the representations that the client accepts exists.
    NotAcceptable,
    /// The client took too long to send its request.
    RequestTimeout,
    /// The present state does not allow it.
    Conflict,
    /// It existed once, and is gone for good.
    Gone,
    /// The body needs a `Content-Length`.
    LengthRequired,
    /// `If-Match` names a version that is not the present one.
    Stale,
    /// The body is larger than allowed here.
    TooLarge,
    /// The address is longer than allowed.
    UriTooLong,
    /// The body's media type is not one that this address takes.
    UnsupportedMediaType,
    /// The `Range` lies outside of the content.
    RangeNotSatisfiable,
    /// The same `Idempotency-Key` was used with another request.
    IdempotencyMismatch,
    /// Too many requests; `Retry-After` says when to come back.
    RateLimited,
    /// The headers are larger than allowed.
    HeadersTooLarge,
    /// Our own failure. The cause is in the log under the trace id.
    Internal,
    /// The program does not do this (here).
    NotImplemented,
    /// A service behind this one answered something unusable.
    BadGateway,
    /// Not now: something needed is down or overloaded. May be retried.
    Unavailable,
    /// It did not finish in time. Whether it had an effect is not known.
    Timeout,
}

/// What a code stands for on each transport.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The code as it is written in answers.
    pub name: &'static str,
    /// The HTTP status.
    pub http: StatusCode,
    /// The gRPC status.
    pub grpc: tonic::Code,
    /// The title of the problem: the same sentence for every occurrence.
    pub title: &'static str,
}

const fn facts(
    name: &'static str,
    http: StatusCode,
    grpc: tonic::Code,
    title: &'static str,
) -> Facts {
    Facts {
        name,
        http,
        grpc,
        title,
    }
}

impl Code {
    /// Every code, for documents and tests.
    pub const ALL: &'static [Self] = &[
        Self::InvalidRequest,
        Self::BadCursor,
        Self::ValidationFailed,
        Self::Unauthenticated,
        Self::InvalidCredentials,
        Self::Forbidden,
        Self::Csrf,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::Conflict,
        Self::Gone,
        Self::LengthRequired,
        Self::Stale,
        Self::TooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::RangeNotSatisfiable,
        Self::IdempotencyMismatch,
        Self::RateLimited,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::NotImplemented,
        Self::BadGateway,
        Self::Unavailable,
        Self::Timeout,
    ];

    /// The one mapping of codes to transports.
    #[must_use]
    pub const fn facts(self) -> Facts {
        use StatusCode as H;
        use tonic::Code as G;
        match self {
            Self::InvalidRequest => facts(
                "invalid_request",
                H::BAD_REQUEST,
                G::InvalidArgument,
                "The request cannot be read",
            ),
            Self::BadCursor => facts(
                "bad_cursor",
                H::BAD_REQUEST,
                G::InvalidArgument,
                "The cursor is not valid for this list",
            ),
            Self::ValidationFailed => facts(
                "validation_failed",
                H::UNPROCESSABLE_ENTITY,
                G::InvalidArgument,
                "A value in the request is not valid",
            ),
            Self::Unauthenticated => facts(
                "unauthenticated",
                H::UNAUTHORIZED,
                G::Unauthenticated,
                "Sign in first",
            ),
            Self::InvalidCredentials => facts(
                "invalid_credentials",
                H::UNAUTHORIZED,
                G::Unauthenticated,
                "The name or the password is not right",
            ),
            Self::Forbidden => facts(
                "forbidden",
                H::FORBIDDEN,
                G::PermissionDenied,
                "You do not have the right to do this",
            ),
            Self::Csrf => facts(
                "csrf",
                H::FORBIDDEN,
                G::PermissionDenied,
                "The CSRF token is missing or wrong",
            ),
            Self::NotFound => facts(
                "not_found",
                H::NOT_FOUND,
                G::NotFound,
                "There is no such thing",
            ),
            Self::MethodNotAllowed => facts(
                "method_not_allowed",
                H::METHOD_NOT_ALLOWED,
                G::Unimplemented,
                "This address does not have this method",
            ),
            Self::NotAcceptable => facts(
                "not_acceptable",
                H::NOT_ACCEPTABLE,
                G::InvalidArgument,
                "None of the accepted media types is available",
            ),
            Self::RequestTimeout => facts(
                "request_timeout",
                H::REQUEST_TIMEOUT,
                G::DeadlineExceeded,
                "The request took too long to arrive",
            ),
            Self::Conflict => facts(
                "conflict",
                H::CONFLICT,
                G::FailedPrecondition,
                "The present state does not allow this",
            ),
            Self::Gone => facts("gone", H::GONE, G::NotFound, "This is gone for good"),
            Self::LengthRequired => facts(
                "length_required",
                H::LENGTH_REQUIRED,
                G::InvalidArgument,
                "The length of the body must be given",
            ),
            Self::Stale => facts(
                "stale",
                H::PRECONDITION_FAILED,
                G::Aborted,
                "It was changed in the meantime",
            ),
            Self::TooLarge => facts(
                "too_large",
                H::PAYLOAD_TOO_LARGE,
                G::OutOfRange,
                "The body is too large",
            ),
            Self::UriTooLong => facts(
                "uri_too_long",
                H::URI_TOO_LONG,
                G::InvalidArgument,
                "The address is too long",
            ),
            Self::UnsupportedMediaType => facts(
                "unsupported_media_type",
                H::UNSUPPORTED_MEDIA_TYPE,
                G::InvalidArgument,
                "This media type is not taken here",
            ),
            Self::RangeNotSatisfiable => facts(
                "range_not_satisfiable",
                H::RANGE_NOT_SATISFIABLE,
                G::OutOfRange,
                "The range lies outside of the content",
            ),
            Self::IdempotencyMismatch => facts(
                "idempotency_mismatch",
                H::UNPROCESSABLE_ENTITY,
                G::InvalidArgument,
                "This idempotency key was used with another request",
            ),
            Self::RateLimited => facts(
                "rate_limited",
                H::TOO_MANY_REQUESTS,
                G::ResourceExhausted,
                "Too many requests",
            ),
            Self::HeadersTooLarge => facts(
                "headers_too_large",
                H::REQUEST_HEADER_FIELDS_TOO_LARGE,
                G::InvalidArgument,
                "The headers are too large",
            ),
            Self::Internal => facts(
                "internal",
                H::INTERNAL_SERVER_ERROR,
                G::Internal,
                "Something went wrong on our side",
            ),
            Self::NotImplemented => facts(
                "not_implemented",
                H::NOT_IMPLEMENTED,
                G::Unimplemented,
                "This is not available",
            ),
            Self::BadGateway => facts(
                "bad_gateway",
                H::BAD_GATEWAY,
                G::Internal,
                "A service did not answer properly",
            ),
            Self::Unavailable => facts(
                "unavailable",
                H::SERVICE_UNAVAILABLE,
                G::Unavailable,
                "Not available at the moment",
            ),
            Self::Timeout => facts(
                "timeout",
                H::GATEWAY_TIMEOUT,
                G::DeadlineExceeded,
                "It did not finish in time",
            ),
        }
    }

    /// The code as it is written in answers, such as `validation_failed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// The HTTP status of this code.
    #[must_use]
    pub const fn http_status(self) -> StatusCode {
        self.facts().http
    }

    /// The gRPC status of this code.
    #[must_use]
    pub const fn grpc_code(self) -> tonic::Code {
        self.facts().grpc
    }

    /// The code that is written so, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// The nearest code for a gRPC status that does not say which of ours it is.
    #[must_use]
    pub const fn from_grpc(code: tonic::Code) -> Self {
        use tonic::Code as G;
        match code {
            G::InvalidArgument => Self::InvalidRequest,
            G::NotFound => Self::NotFound,
            G::AlreadyExists | G::FailedPrecondition => Self::Conflict,
            G::Aborted => Self::Stale,
            G::OutOfRange => Self::TooLarge,
            G::PermissionDenied => Self::Forbidden,
            G::ResourceExhausted => Self::RateLimited,
            G::Unavailable | G::Cancelled => Self::Unavailable,
            G::DeadlineExceeded => Self::Timeout,
            // A foreign `unauthenticated` is about the calling service's own token, not about the user's.
            G::Ok
            | G::Unauthenticated
            | G::Unimplemented
            | G::Unknown
            | G::Internal
            | G::DataLoss => Self::Internal,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_match_their_serialised_form() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert_eq!(Code::from_name(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn every_code_is_an_error_on_both_transports() {
        for code in Code::ALL {
            let status = code.http_status();
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{code}"
            );
            assert_ne!(code.grpc_code(), tonic::Code::Ok, "{code}");
        }
    }

    #[test]
    fn a_foreign_status_never_becomes_a_client_error_about_identity() {
        assert_eq!(
            Code::from_grpc(tonic::Code::Unauthenticated),
            Code::Internal
        );
    }
}
