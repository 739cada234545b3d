//! What every service runs on: configuration, telemetry, health, one port for REST and gRPC, problems,
//! extractors, task group and graceful drain.
//!
//! Owns everything that is the same in every service, and the only places that read the environment and
//! start tasks. Must not know any service, any adapter, or what the requests are about.
#![warn(missing_docs)]

pub mod code;
pub mod config;
pub mod context;
pub mod extract;
pub mod http_service;
pub mod ids;
pub mod locale;
pub mod problem;
pub mod service;
pub mod tasks;
pub mod telemetry;
pub mod validate;

pub use code::Code;
pub use config::Secret;
pub use extract::{
    Accept, ApiJson, ApiList, ApiPath, ApiQuery, ETag, IdempotencyKey, IfMatch, IfNoneMatch,
    MaybeJson, NoFilter, Page, PageParams,
};
pub use http_service::{BoxError, HttpService};
pub use ids::new_id;
pub use locale::Locale;
pub use problem::{ApiResult, FieldError, Problem};
pub use service::{Process, ServerConfig, Service};
pub use tasks::{TaskFailed, TaskGroup};
pub use telemetry::{MetricsHandle, Telemetry, TelemetryConfig};
pub use validate::FieldErrors;
