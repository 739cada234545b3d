//! The records port: tables, operations, guarantees, memory version and conformance suite.
