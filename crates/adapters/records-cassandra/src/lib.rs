//! Records in Apache Cassandra.
