//! Checks that every adapter makes alike.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{BlobInfo, BlobsError, DELETE_GRACE, Expected, MAX_LIST, Sha256};

/// When an upload that begins at `now` expires.
///
/// # Errors
/// `InvalidInput` for no time at all and for a time that has no date.
pub fn expiry(now: DateTime<Utc>, after: Duration) -> Result<DateTime<Utc>, BlobsError> {
    let later = TimeDelta::from_std(after)
        .ok()
        .and_then(|after| now.checked_add_signed(after));
    later
        .filter(|at| *at > now)
        .ok_or_else(|| BlobsError::InvalidInput {
            field: "expires_after",
            reason: "must be longer than nothing and end within the calendar".into(),
        })
}

/// Holds what was received against what was expected.
///
/// # Errors
/// `Mismatch`, naming the field.
pub fn check_expected(expected: Expected, size: u64, sha256: Sha256) -> Result<(), BlobsError> {
    let mismatch = |field, expected: String, actual: String| {
        Err(BlobsError::Mismatch {
            field,
            expected,
            actual,
        })
    };
    match expected {
        Expected {
            size: Some(wanted), ..
        } if wanted != size => mismatch("size", wanted.to_string(), size.to_string()),
        Expected {
            sha256: Some(wanted),
            ..
        } if wanted != sha256 => mismatch("sha256", wanted.to_string(), sha256.to_string()),
        _ => Ok(()),
    }
}

/// Whether a blob may be deleted now.
///
/// # Errors
/// `InGrace` when it is not marked or its grace is not over.
pub fn check_grace(info: &BlobInfo, now: DateTime<Utc>) -> Result<(), BlobsError> {
    let grace = TimeDelta::from_std(DELETE_GRACE).unwrap_or(TimeDelta::MAX);
    let until = info.marked_at.map(|at| {
        at.checked_add_signed(grace)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    });
    match until {
        Some(until) if until <= now => Ok(()),
        until => Err(BlobsError::InGrace { until }),
    }
}

/// Whether the limit of a list is allowed.
///
/// # Errors
/// `InvalidInput` when it is not.
pub fn check_limit(limit: usize) -> Result<(), BlobsError> {
    if (1..=MAX_LIST).contains(&limit) {
        return Ok(());
    }
    Err(BlobsError::InvalidInput {
        field: "limit",
        reason: format!("must be 1 to {MAX_LIST}"),
    })
}
