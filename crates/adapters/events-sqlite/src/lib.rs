//! A durable event queue in SQLite.
