//! What the server or the way to it says, as errors of the port.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use riwaq_blobs::BlobsError;

/// Why a request had no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No such object.
    NotFound,
    /// No such multipart upload.
    NoSuchUpload,
    /// Parts of a multipart upload are not there (any more).
    NoSuchPart,
    /// No such bucket.
    NoSuchBucket,
    /// The condition does not hold: the object is there already, or is not the one that was read.
    Precondition,
    /// The key is wrong or has no right to this.
    Denied,
    /// The server does not know this request.
    NotImplemented,
    /// The server has no room.
    NoSpace,
    /// The server's certificate was not accepted.
    Certificate,
    /// The server finds the request wrong; sending it again will not help.
    Rejected,
    /// Nothing was heard of the server in time.
    Silent,
    /// Everything else: the server is away or broken.
    Unavailable,
}

/// A request that had no good answer.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    /// What happened, without secrets.
    pub(crate) text: String,
}

impl Kind {
    /// The label of the metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NotFound | Self::NoSuchUpload => "not_found",
            Self::NoSuchPart => "no_part",
            Self::NoSuchBucket => "no_bucket",
            Self::Precondition => "precondition",
            Self::Denied => "denied",
            Self::NotImplemented => "not_implemented",
            Self::NoSpace => "no_space",
            Self::Certificate => "certificate",
            Self::Rejected => "rejected",
            Self::Silent => "timeout",
            Self::Unavailable => "unavailable",
        }
    }

    fn of(code: Option<&str>, status: Option<u16>) -> Self {
        match (code, status) {
            (Some("NoSuchKey" | "NotFound"), _) => Self::NotFound,
            (Some("NoSuchUpload"), _) => Self::NoSuchUpload,
            (Some("InvalidPart"), _) => Self::NoSuchPart,
            (Some("NoSuchBucket"), _) => Self::NoSuchBucket,
            (Some("PreconditionFailed" | "ConditionalRequestConflict"), _) | (_, Some(412)) => {
                Self::Precondition
            }
            (Some("NotImplemented" | "MalformedXML"), _) | (_, Some(501)) => Self::NotImplemented,
            (
                Some(
                    "XMinioStorageFull"
                    | "StorageFull"
                    | "InsufficientStorage"
                    | "NoSpaceLeftOnDevice"
                    | "QuotaExceeded"
                    | "XMinioAdminBucketQuotaExceeded"
                    | "EntityTooLargeQuota",
                ),
                _,
            )
            | (_, Some(507)) => Self::NoSpace,
            (
                Some(
                    "AccessDenied"
                    | "AllAccessDisabled"
                    | "InvalidAccessKeyId"
                    | "SignatureDoesNotMatch"
                    | "RequestTimeTooSkewed"
                    | "XAdminUserNotFound",
                ),
                _,
            )
            | (_, Some(401 | 403)) => Self::Denied,
            (None, Some(404)) => Self::NotFound,
            // Not 408 (too slow) and 429 (too many).
            (_, Some(400..=407 | 409..=428)) => Self::Rejected,
            _ => Self::Unavailable,
        }
    }
}

impl Refusal {
    pub(crate) fn new<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let (code, message) = (error.code(), error.message());
        if code.is_some() || status.is_some_and(|status| status >= 300) {
            let status = status.map(|status| status.to_string()).unwrap_or_default();
            let code = code.unwrap_or("no code");
            let message = message.unwrap_or("no reason given");
            return Self {
                kind: Kind::of(
                    error.code(),
                    error.raw_response().map(|r| r.status().as_u16()),
                ),
                text: format!("{operation}: {status} {code}: {message}"),
            };
        }
        let why = chain(error);
        let kind = match error {
            _ if why.contains("invalid peer certificate") => Kind::Certificate,
            SdkError::TimeoutError(_) => Kind::Silent,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Kind::Silent,
            _ => Kind::Unavailable,
        };
        Self {
            kind,
            text: format!("{operation}: {why}"),
        }
    }

    /// A request that was given up after `waited`, because others before it were not answered.
    pub(crate) fn given_up(operation: &str, waited: Duration) -> Self {
        let waited = waited.as_millis();
        Self {
            kind: Kind::Silent,
            text: format!("{operation}: no answer in {waited} ms, and none to the requests before"),
        }
    }

    /// As an error of an operation that knows no better.
    pub(crate) fn into_error(self) -> BlobsError {
        match self.kind {
            Kind::NoSpace => BlobsError::NoSpace(self.text),
            _ => BlobsError::Unavailable(self.text),
        }
    }
}

impl From<Refusal> for BlobsError {
    fn from(refusal: Refusal) -> Self {
        refusal.into_error()
    }
}

/// An error with its causes, none said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.last().is_some_and(|last| last.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_have_their_kind() {
        for (code, status, kind) in [
            (Some("NoSuchKey"), 404, Kind::NotFound),
            (None, 404, Kind::NotFound),
            (Some("NoSuchBucket"), 404, Kind::NoSuchBucket),
            (Some("NoSuchUpload"), 404, Kind::NoSuchUpload),
            (Some("InvalidPart"), 400, Kind::NoSuchPart),
            (Some("PreconditionFailed"), 412, Kind::Precondition),
            (Some("ConditionalRequestConflict"), 409, Kind::Precondition),
            (Some("AccessDenied"), 403, Kind::Denied),
            (Some("SignatureDoesNotMatch"), 403, Kind::Denied),
            // As versitygw says it.
            (Some("XAdminUserNotFound"), 404, Kind::Denied),
            (Some("InvalidAccessKeyId"), 403, Kind::Denied),
            (Some("XMinioStorageFull"), 507, Kind::NoSpace),
            (Some("QuotaExceeded"), 403, Kind::NoSpace),
            (Some("NotImplemented"), 501, Kind::NotImplemented),
            (Some("AuthorizationHeaderMalformed"), 400, Kind::Rejected),
            (Some("RequestTimeout"), 408, Kind::Unavailable),
            (Some("SlowDown"), 503, Kind::Unavailable),
            (Some("InternalError"), 500, Kind::Unavailable),
        ] {
            assert_eq!(Kind::of(code, Some(status)), kind, "{code:?} {status}");
        }
    }
}
