//! Rules without I/O.

pub(crate) mod attempts;
pub(crate) mod authorization;
pub(crate) mod claims;
pub(crate) mod client;
pub(crate) mod code;
pub(crate) mod form;
pub(crate) mod link;
pub(crate) mod oauth_error;
pub(crate) mod pkce;
pub(crate) mod redirect;
pub(crate) mod refresh_token;
pub(crate) mod session;
