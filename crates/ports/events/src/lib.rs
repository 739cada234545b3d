//! The events port: CloudEvents over groups and broadcasts, memory version and conformance suite.
