//! The index port: passages, analysis, filtered search, memory version and conformance suite.
