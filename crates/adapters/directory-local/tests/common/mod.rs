//! A directory over records in memory, with a clock that stands still.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::DateTime;
use riwaq_clock::ManualClock;
use riwaq_directory::{AccountStatus, LoginName, NewAccount, Password};
use riwaq_directory_local::{
    HashingConfig, LocalDirectory, LocalDirectoryConfig, LoginKey, tables,
};
use riwaq_records::faults::{FaultRates, Faulty};
use riwaq_records::{Memory, Store};
use uuid::Uuid;

pub(crate) struct State {
    pub(crate) records: Arc<Faulty>,
    memory: Arc<Memory>,
    pub(crate) clock: Arc<ManualClock>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self::with_faults(FaultRates::default(), 0)
    }

    pub(crate) fn with_faults(rates: FaultRates, seed: u64) -> Self {
        let memory = Arc::new(Memory::with_tables(tables()).unwrap());
        Self {
            records: Arc::new(Faulty::new(memory.clone(), rates, seed)),
            memory,
            clock: ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap()),
        }
    }

    /// The same records, without faults.
    pub(crate) fn calm(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.records.clone())
    }
}

/// The cheapest parameters: these tests are not about the strength of hashes.
pub(crate) fn cheap() -> HashingConfig {
    HashingConfig {
        memory_kib: 8,
        iterations: 1,
        ..HashingConfig::default()
    }
}

pub(crate) fn directory_over(state: &State) -> LocalDirectory {
    with_hashing(state, cheap())
}

pub(crate) fn with_hashing(state: &State, hashing: HashingConfig) -> LocalDirectory {
    let config = LocalDirectoryConfig {
        hashing,
        ..LocalDirectoryConfig::default()
    };
    LocalDirectory::new(
        state.store(),
        state.clock.clone(),
        LoginKey::new(&[9; 32]).unwrap(),
        config,
    )
    .unwrap()
}

/// Takes claims over without any grace, so that it happens while the owner is under way.
pub(crate) fn hasty(state: &State) -> LocalDirectory {
    let config = LocalDirectoryConfig {
        hashing: cheap(),
        claim_grace_seconds: 0,
    };
    LocalDirectory::new(
        state.store(),
        state.clock.clone(),
        LoginKey::new(&[9; 32]).unwrap(),
        config,
    )
    .unwrap()
}

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn account(n: u128, email: &str, username: Option<&str>) -> NewAccount {
    NewAccount {
        id: Uuid::from_u128(n),
        email: LoginName::email(email).unwrap(),
        username: username.map(|name| LoginName::username(name).unwrap()),
        roles: BTreeSet::from(["student".to_owned()]),
        status: AccountStatus::Active,
        password: Some(Password::new(PASSWORD).unwrap()),
    }
}
