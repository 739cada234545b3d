//! One short file a role: from the parts of the process to its service.

pub(crate) mod auth;
pub(crate) mod chatbot;
pub(crate) mod courses;
pub(crate) mod files;
pub(crate) mod gateway;
pub(crate) mod search;
pub(crate) mod users;
