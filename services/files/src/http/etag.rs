//! The entity tag of a file's JSON: its version, and how far its extraction has come.
//!
//! The extraction is part of what is shown, so it is part of the tag; but it is no change by a person, so `If-Match` asks
//! for the version alone.

use riwaq_kit::{ApiResult, ETag, IfMatch};

use crate::extractions::{Extraction, ExtractionState};

pub(crate) fn of(version: i64, extraction: &Extraction) -> ETag {
    tag(version, extraction.state)
}

fn tag(version: i64, state: ExtractionState) -> ETag {
    ETag::opaque(&format!("v{version}.{}", state.as_str()))
}

/// Refuses a change that was meant for another version.
pub(crate) fn check(if_match: &IfMatch, version: i64) -> ApiResult<()> {
    let mut checks = ExtractionState::ALL
        .into_iter()
        .map(|state| if_match.check(&tag(version, state)));
    let first = checks.next().unwrap_or(Ok(()));
    if first.is_ok() || checks.any(|check| check.is_ok()) {
        Ok(())
    } else {
        first
    }
}
