//! The mail port: messages, a memory version and conformance suite.
