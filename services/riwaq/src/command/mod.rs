//! One file a command.

pub(crate) mod client;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod keycloak;
pub(crate) mod migrate;
pub(crate) mod operator;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod user;
