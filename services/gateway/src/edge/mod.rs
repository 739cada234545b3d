//! What happens to a request between the listener and the service that answers it.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod compress;
pub(crate) mod cors;
pub(crate) mod headers;
pub(crate) mod limits;
pub(crate) mod login;
pub(crate) mod path;
pub(crate) mod security;
