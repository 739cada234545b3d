//! Pages and documents that the gateway serves itself.

pub(crate) mod docs;
pub(crate) mod home;
pub(crate) mod language;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod trouble;
