//! The service over HTTP and gRPC, with stores in memory, real tokens and a courses service of the test's own.

mod accesses;
mod changes;
mod downloads;
mod faults;
mod forms;
mod grpc;
mod links;
mod openapi;
mod rights;
mod support;
mod sweep;
mod uploads;
mod watched;
