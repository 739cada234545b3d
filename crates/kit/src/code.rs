//! The closed set of error codes, and its one mapping to HTTP and to gRPC.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// One line a code: its name in answers, HTTP status, gRPC status, title.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $http:ident, $grpc:ident, $title:literal;)*) => {
        /// What went wrong, in one word that programs may rely on.
        ///
        /// The set is closed: a new kind of failure is a new line here, so that every transport answers it alike.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, for documents and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The one mapping of codes to transports.
            const FACTS: &'static [Facts] = &[
                $(Facts {
                    name: $name,
                    http: StatusCode::$http,
                    grpc: tonic::Code::$grpc,
                    title: $title,
                },)*
            ];
        }
    };
}

codes! {
    /// The request cannot be read: malformed JSON, malformed header, bad syntax.
    InvalidRequest = "invalid_request", BAD_REQUEST, InvalidArgument, "The request cannot be read";
    /// The list cursor was altered, or belongs to another list or another user.
    BadCursor = "bad_cursor", BAD_REQUEST, InvalidArgument, "The cursor is not valid for this list";
    /// The request can be read, but a value in it does not fit; `errors` names the fields.
    ValidationFailed = "validation_failed", UNPROCESSABLE_ENTITY, InvalidArgument, "A value in the request is not valid";
    /// Nobody is signed in, or the token is not valid (any more).
    Unauthenticated = "unauthenticated", UNAUTHORIZED, Unauthenticated, "Sign in first";
    /// The name and password given do not sign anybody in.
    InvalidCredentials = "invalid_credentials", UNAUTHORIZED, Unauthenticated, "The name or the password is not right";
    /// Signed in, but without the right to do this.
    Forbidden = "forbidden", FORBIDDEN, PermissionDenied, "You do not have the right to do this";
    /// A change by cookie without its CSRF token.
    Csrf = "csrf", FORBIDDEN, PermissionDenied, "The CSRF token is missing or wrong";
    /// No such thing, or the caller may not know of it.
    NotFound = "not_found", NOT_FOUND, NotFound, "There is no such thing";
    /// The address exists, but not with this method; `Allow` names those it has.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, Unimplemented, "This address does not have this method";
    /// None of the representations that the client accepts exists.
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, InvalidArgument, "None of the accepted media types is available";
    /// The client took too long to send its request.
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, DeadlineExceeded, "The request took too long to arrive";
    /// The present state does not allow it.
    Conflict = "conflict", CONFLICT, FailedPrecondition, "The present state does not allow this";
    /// It existed once, and is gone for good.
    Gone = "gone", GONE, NotFound, "This is gone for good";
    /// The body needs a `Content-Length`.
    LengthRequired = "length_required", LENGTH_REQUIRED, InvalidArgument, "The length of the body must be given";
    /// `If-Match` names a version that is not the present one.
    Stale = "stale", PRECONDITION_FAILED, Aborted, "It was changed in the meantime";
    /// The body is larger than allowed here.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, OutOfRange, "The body is too large";
    /// The address is longer than allowed.
    UriTooLong = "uri_too_long", URI_TOO_LONG, InvalidArgument, "The address is too long";
    /// The body's media type is not one that this address takes.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, InvalidArgument, "This media type is not taken here";
    /// The `Range` lies outside of the content.
    RangeNotSatisfiable = "range_not_satisfiable", RANGE_NOT_SATISFIABLE, OutOfRange, "The range lies outside of the content";
    /// The same `Idempotency-Key` was used with another request.
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY, InvalidArgument, "This idempotency key was used with another request";
    /// Too many requests; `Retry-After` says when to come back.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, ResourceExhausted, "Too many requests";
    /// The headers are larger than allowed.
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, InvalidArgument, "The headers are too large";
    /// Our own failure. The cause is in the log under the trace id.
    Internal = "internal", INTERNAL_SERVER_ERROR, Internal, "Something went wrong on our side";
    /// The program does not do this (here).
    NotImplemented = "not_implemented", NOT_IMPLEMENTED, Unimplemented, "This is not available";
    /// A service behind this one answered something unusable.
    BadGateway = "bad_gateway", BAD_GATEWAY, Internal, "A service did not answer properly";
    /// Not now: something needed is down or overloaded. May be retried.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, Unavailable, "Not available at the moment";
    /// It did not finish in time. Whether it had an effect is not known.
    Timeout = "timeout", GATEWAY_TIMEOUT, DeadlineExceeded, "It did not finish in time";
}

impl Code {
    /// What the code stands for on each transport.
    #[must_use]
    pub const fn facts(self) -> Facts {
        Self::FACTS[self as usize]
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

    /// When to try again what passes by itself: nothing has to change but time.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::BadGateway | Self::Unavailable | Self::Timeout => Some(Duration::from_secs(1)),
            _ => None,
        }
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
