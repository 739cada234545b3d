//! The event bus on RabbitMQ.
