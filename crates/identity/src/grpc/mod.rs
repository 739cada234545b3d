//! Identity over gRPC: who may call which method, and what is asked of other services.

mod policy;
mod sources;

pub use policy::{CallerPolicy, Callers, CallingService, Guarded, actor, maybe_actor};
pub use sources::{GrpcRevocations, GrpcRoles};
