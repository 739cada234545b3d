//! Sessions of browsers: the tokens stay here, JavaScript never sees them.

pub(crate) mod cookie;
pub(crate) mod http;
pub(crate) mod issuer;
pub(crate) mod keys;
pub(crate) mod sign_in;
pub(crate) mod store;
