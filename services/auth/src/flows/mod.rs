//! What this service does, step by step: rules, records, directory and events together.

pub(crate) mod accounts;
pub(crate) mod activation;
pub(crate) mod mailer;
pub(crate) mod people;
pub(crate) mod registration;
pub(crate) mod reset;
pub(crate) mod sign_in;
pub(crate) mod tokens;
