//! What the errors of the ports mean to a caller.
