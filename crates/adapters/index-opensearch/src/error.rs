//! What goes wrong, and what it means for a caller.

use riwaq_index::IndexError;
use serde::Deserialize;

/// Longest reason that is passed on, in bytes: the server's may quote whole requests.
const REASON_BYTES: usize = 300;

/// Why a request has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// No node answered in time.
    #[error("OpenSearch does not answer: {0}")]
    Unreachable(String),
    /// The server said no.
    #[error("OpenSearch answers {status} {kind}: {reason}")]
    Refused {
        /// The HTTP status of the answer or of one item.
        status: u16,
        /// The type of the error, as OpenSearch names it.
        kind: String,
        /// Its reason.
        reason: String,
    },
    /// The answer is not what this interface is known to give.
    #[error("OpenSearch answers what is not understood: {0}")]
    Strange(String),
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Option<ErrorDetail>,
}

/// An error as OpenSearch writes it; sometimes a string only.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum ErrorDetail {
    /// The usual form.
    Full {
        /// Its type.
        #[serde(rename = "type")]
        kind: String,
        /// What happened.
        reason: Option<String>,
        /// What is behind it: a shard's failure says more than "all shards failed".
        #[serde(default)]
        root_cause: Vec<Cause>,
    },
    /// From handlers that do not know better.
    Text(String),
}

/// One cause.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cause {
    #[serde(rename = "type")]
    kind: String,
    reason: Option<String>,
}

impl Failure {
    /// From an answer that is no success.
    pub(crate) fn of_answer(status: u16, body: &[u8]) -> Self {
        let detail = serde_json::from_slice::<ErrorBody>(body)
            .ok()
            .and_then(|body| body.error);
        match detail {
            Some(detail) => Self::of_detail(status, detail),
            None => Self::Refused {
                status,
                kind: "http".into(),
                reason: String::new(),
            },
        }
    }

    /// From an error inside an answer.
    pub(crate) fn of_detail(status: u16, detail: ErrorDetail) -> Self {
        let (kind, reason) = match detail {
            ErrorDetail::Full {
                kind,
                reason,
                root_cause,
            } => match root_cause.into_iter().next() {
                Some(cause) => (cause.kind, cause.reason.or(reason)),
                None => (kind, reason),
            },
            ErrorDetail::Text(reason) => ("error".into(), Some(reason)),
        };
        let mut reason = reason.unwrap_or_default();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        Self::Refused {
            status,
            kind,
            reason,
        }
    }

    /// Whether the same request may go well a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, kind, .. } => is_passing(*status) || is_busy(kind),
            Self::Strange(_) => false,
        }
    }

    /// Whether an index that was named is not there: removed, or replaced by a new one.
    pub(crate) fn is_gone(&self) -> bool {
        let Self::Refused { status, kind, .. } = self else {
            return false;
        };
        matches!(
            kind.as_str(),
            "index_not_found_exception"
                | "aliases_not_found_exception"
                | "index_closed_exception"
                | "shard_not_found_exception"
                | "search_context_missing_exception"
                | "no_shard_available_action_exception"
        ) || *status == 404
    }

    /// What it was, for the metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused { status: 429, .. } => "busy",
            Self::Refused { status, .. } if *status >= 500 => "failed",
            Self::Refused { .. } => "refused",
            Self::Strange(_) => "strange",
        }
    }
}

/// Whether a status stands for a state that passes.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 502 | 503 | 504)
}

/// Errors of a full queue or memory, whatever status they come with.
fn is_busy(kind: &str) -> bool {
    matches!(
        kind,
        "circuit_breaking_exception"
            | "es_rejected_execution_exception"
            | "opensearch_rejected_execution_exception"
            | "rejected_execution_exception"
            | "process_cluster_event_timeout_exception"
    )
}

impl From<Failure> for IndexError {
    fn from(failure: Failure) -> Self {
        match &failure {
            // The request is one of ours: where its form is refused, what lies there is not ours.
            Failure::Refused {
                status: 400, kind, ..
            } if !is_busy(kind) => Self::Corrupt(failure.to_string()),
            Failure::Strange(_) => Self::Corrupt(failure.to_string()),
            _ => Self::Unavailable(failure.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_told_and_decides_what_may_be_repeated() {
        let body = br#"{"error":{"root_cause":[{"type":"circuit_breaking_exception","reason":"[parent] Data too large"}],
            "type":"search_phase_execution_exception","reason":"all shards failed"},"status":500}"#;
        let failure = Failure::of_answer(500, body);
        assert!(failure.is_passing() && !failure.is_gone());
        assert!(failure.to_string().contains("Data too large"), "{failure}");
        assert!(IndexError::from(failure).is_retryable());

        let body =
            br#"{"error":{"type":"strict_dynamic_mapping_exception","reason":"x"},"status":400}"#;
        let failure = Failure::of_answer(400, body);
        assert!(!failure.is_passing());
        assert!(matches!(IndexError::from(failure), IndexError::Corrupt(_)));

        let failure = Failure::of_answer(401, b"Unauthorized");
        assert!(!failure.is_passing());
        assert!(matches!(
            IndexError::from(failure),
            IndexError::Unavailable(_)
        ));

        let body = br#"{"error":{"type":"index_not_found_exception","reason":"no such index [x]"},"status":404}"#;
        assert!(Failure::of_answer(404, body).is_gone());
        assert!(Failure::of_answer(503, b"<html>").is_passing());
        let failure = Failure::of_answer(404, br#"{"error":"alias [x] missing","status":404}"#);
        assert!(failure.is_gone() && failure.to_string().contains("missing"));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let body = format!(
            r#"{{"error":{{"type":"x","reason":"{}"}},"status":400}}"#,
            "é".repeat(10_000)
        );
        assert!(Failure::of_answer(400, body.as_bytes()).to_string().len() < 400);
    }
}
