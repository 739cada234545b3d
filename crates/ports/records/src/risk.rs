//! What an operator has to know about a store that answers well.

/// Something in the way that a store is set up by which rows that it acknowledged may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// What was found, where, and what may come of it.
    pub what: String,
    /// What the store's administrator does about it.
    pub remedy: String,
}
