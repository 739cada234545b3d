//! The blobs port: staged uploads, ranged reads, signed links, memory version and conformance suite.
