//! What every service runs on: configuration, telemetry, health, one port for REST and gRPC, problems, task group, drain.
