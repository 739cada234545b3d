//! What the scenarios share: the documents that they upload, and the engines that they run on.
//!
//! Owns no rule of the product: what is expected stands in the scenarios themselves.

mod documents;
mod engine;
mod setup;

pub use documents::Documents;
pub use engine::Engine;
pub use setup::{Course, School, start};
