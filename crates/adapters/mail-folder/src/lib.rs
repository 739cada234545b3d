//! Mail into a folder, for development.
