//! Generated gRPC types and typed clients.
