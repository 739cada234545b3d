//! The directory port: accounts, credentials and roles, memory version and conformance suite.
