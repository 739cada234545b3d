//! What handlers take out of requests, with the problem answers of the public contract.
//!
//! | extractor | what it refuses |
//! |---|---|
//! | [`ApiJson`], [`MaybeJson`] | malformed 400, value or field that does not fit 422, media type 415, size 413 |
//! | [`ApiQuery`], [`ApiList`] | value or parameter that does not fit 422 |
//! | [`ApiPath`] | malformed id 404 |
//! | [`IfMatch`], [`IfNoneMatch`], [`IdempotencyKey`] | malformed header 400 |

mod accept;
mod etag;
mod idempotency;
mod json;
mod maybe_json;
mod path;
mod query;
mod serde_errors;

pub use accept::{Accept, accepts_event_stream};
pub use etag::{ETag, IfMatch, IfNoneMatch};
pub use idempotency::IdempotencyKey;
pub use json::{ApiJson, MAX_DEPTH, parse_json};
pub use maybe_json::MaybeJson;
pub use path::ApiPath;
pub use query::{ApiList, ApiQuery, NoFilter, Page, PageParams};
