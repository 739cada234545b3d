//! The language model port: streamed chat completions, a scripted version and conformance suite.
