//! Accounts kept in records, passwords by argon2id.
