//! Versioned aggregates, outbox and relay, leases, claims, idempotency and signed cursors over the records and events ports.
