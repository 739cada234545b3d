//! The engines that keep the records.

use anyhow::Result;
use riwaq_test_kit::{Backend, ProgramBuilder, cassandra};
use uuid::Uuid;

/// Where records are kept in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite files in the data folder.
    Sqlite,
    /// The real Cassandra node, in a keyspace of the scenario's own.
    Cassandra,
}

impl Engine {
    /// A program on this engine; none where the engine is missing (`NOT RUN` was printed).
    ///
    /// # Errors
    /// When there is no free port.
    pub fn program(self) -> Result<Option<ProgramBuilder>> {
        let builder = ProgramBuilder::new()?;
        if self == Self::Sqlite {
            return Ok(Some(builder));
        }
        let Backend::Ready(address) = cassandra() else {
            return Ok(None);
        };
        let keyspace = format!("it_{}", Uuid::new_v4().simple());
        Ok(Some(
            builder
                .variable("RIWAQ_RECORDS_ENGINE", "cassandra")
                .variable("RIWAQ_RECORDS_CASSANDRA_CONTACT_POINTS", &address)
                .variable("RIWAQ_RECORDS_CASSANDRA_USER", "cassandra")
                .variable("RIWAQ_RECORDS_CASSANDRA_PASSWORD", "cassandra")
                .variable("RIWAQ_RECORDS_CASSANDRA_KEYSPACE", &keyspace)
                .variable("RIWAQ_RECORDS_CASSANDRA_REQUEST_TIMEOUT_MS", "20000"),
        ))
    }
}
