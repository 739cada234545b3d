//! The engines that the guarantees are kept over.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use riwaq_aggregates::records::{Memory, MigrationPlan, Records};
use riwaq_clock::{ManualClock, SystemClock};
use riwaq_records_cassandra::{CassandraRecords, Config};
use riwaq_records_sqlite::{SqliteConfig, SqliteRecords};
use uuid::Uuid;

use crate::world::tables;

/// The low bits of a room: a case's ids count in them.
const IDS: u128 = 0xffff_ffff;

/// Makes the engine of a case.
#[derive(Clone, Debug)]
pub enum Lab {
    Memory,
    Sqlite,
    /// One keyspace for every case, since making tables takes long; each case has a room in it.
    Cassandra(Arc<CassandraRecords>),
}

impl Lab {
    /// Of the node at this address, with the tables.
    pub async fn cassandra(address: String) -> Self {
        let keyspace = format!("guarantees_{}", &Uuid::new_v4().simple().to_string()[..12]);
        let config = Config {
            contact_points: vec![address],
            user: "cassandra".into(),
            password: "cassandra".into(),
            keyspace,
            // A test machine is busy; a request that the node took must not be given up for that.
            request_timeout_ms: 30_000,
            ..Config::default()
        };
        let records = CassandraRecords::connect(config, SystemClock::shared())
            .await
            .unwrap();
        let plan = MigrationPlan::new(tables()).unwrap();
        records.migrate(&plan).await.unwrap();
        Self::Cassandra(Arc::new(records))
    }

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Cassandra(_) => "cassandra",
        }
    }

    /// How many cases run side by side.
    pub const fn side_by_side(&self) -> usize {
        match self {
            Self::Memory => 1,
            // Their cases wait for disks and answers.
            Self::Sqlite | Self::Cassandra(_) => 6,
        }
    }

    /// How many of `most` rounds of the same a case takes: fewer where each write is a request.
    pub fn rounds(&self, most: u64) -> u64 {
        match self {
            Self::Memory | Self::Sqlite => most,
            Self::Cassandra(_) => most.min(2),
        }
    }

    /// An engine that nobody else has, or an own room in the shared one, with the tables.
    pub async fn engine(&self) -> Engine {
        let mut engine = Engine {
            name: self.name(),
            records: Arc::new(Memory::new()),
            room: Uuid::nil(),
            _folder: None,
        };
        match self {
            Self::Memory => {}
            Self::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let config = SqliteConfig::at(folder.path().join("records.db"));
                engine.records = Arc::new(SqliteRecords::open(config, engine.clock()).unwrap());
                engine._folder = Some(folder);
            }
            Self::Cassandra(records) => {
                engine.records = records.clone();
                engine.room = room_of(Uuid::new_v4());
                return engine;
            }
        }
        let plan = MigrationPlan::new(tables()).unwrap();
        engine.records.migrate(&plan).await.unwrap();
        engine
    }
}

/// Where a case runs.
pub struct Engine {
    pub name: &'static str,
    pub records: Arc<dyn Records>,
    /// What the case's ids and names have in common, and no other case's.
    pub room: Uuid,
    _folder: Option<tempfile::TempDir>,
}

impl Engine {
    pub fn clock(&self) -> Arc<ManualClock> {
        ManualClock::at(start_of_time())
    }

    /// An id in this room.
    pub fn id(&self, number: u128) -> Uuid {
        assert!(number <= IDS);
        Uuid::from_u128(self.room.as_u128() + number)
    }

    /// A name in this room.
    pub fn own(&self, name: &str) -> String {
        format!("{name}-{}", self.room.simple())
    }

    /// The service of this room: one word of a-z.
    pub fn service(&self) -> String {
        let digits = self.room.simple().to_string();
        let letters = digits[..20].bytes().map(|digit| match digit {
            b'0'..=b'9' => char::from(digit - b'0' + b'g'),
            letter => char::from(letter),
        });
        format!("notes{}", letters.collect::<String>())
    }
}

/// The room that an id is in.
pub const fn room_of(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128() & !IDS)
}

/// When every case's clock begins. Long ago for the machine, whose clock is Cassandra's: the port lets
/// no row expire within a day of being written.
pub fn start_of_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}
