//! What this service keeps, over records.

pub(crate) mod attempts;
pub(crate) mod clients;
pub(crate) mod codes;
pub(crate) mod intents;
pub(crate) mod links;
pub(crate) mod revocations;
pub(crate) mod sessions;
pub(crate) mod subjects;

use riwaq_kit::Problem;
use uuid::Uuid;

/// Changes that were overtaken by others before we give up.
const ATTEMPTS: usize = 16;

fn contended(what: &str) -> Problem {
    Problem::unavailable(format!("the {what} is changed by too many at once"))
}

fn operation_id() -> Uuid {
    Uuid::new_v4()
}
