//! Rules without input and output.

pub(crate) mod note;
pub(crate) mod snippet;
