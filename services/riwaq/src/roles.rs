//! The roles, as data.

/// The names of the roles, in the order in which they are hosted.
pub(crate) fn names() -> Vec<&'static str> {
    vec!["auth", "users", "courses", "files", "search", "chatbot", "gateway"]
}
