//! The rules of course files, without I/O.

pub(crate) mod disposition;
pub(crate) mod file;
pub(crate) mod media;
pub(crate) mod name;
pub(crate) mod range;
pub(crate) mod sniffed;
