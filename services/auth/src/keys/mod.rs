//! Signing keys: making, rotating, keeping, publishing.
//!
//! A key is published before it signs, so that verifiers know it when they meet it, and stays published
//! until whatever it signed has expired. All replicas decide by the same times, written beside the keys.

mod keeper;
mod pair;
mod ring;

pub(crate) use keeper::KeyKeeper;
pub use pair::SigningAlgorithm;
pub(crate) use pair::SigningKey;
pub(crate) use ring::KeyRing;
pub use ring::RotationPolicy;
