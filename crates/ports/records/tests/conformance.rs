//! The suite over the memory version, bare and behind the fault decorator.

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_records::conformance::{self, Factory};
use riwaq_records::faults::{FaultRates, Faulty};
use riwaq_records::{Memory, Records, RecordsError};

struct InMemory {
    name: &'static str,
    shared: Memory,
    /// Faults that a correct decorator hides from its caller.
    rates: Option<FaultRates>,
}

impl InMemory {
    fn wrap(&self, memory: Memory) -> Arc<dyn Records> {
        match self.rates {
            None => Arc::new(memory),
            Some(rates) => Arc::new(Faulty::new(Arc::new(memory), rates, 7)),
        }
    }
}

#[async_trait]
impl Factory for InMemory {
    fn engine(&self) -> &str {
        self.name
    }

    async fn handle(&self) -> Result<Arc<dyn Records>, RecordsError> {
        Ok(self.wrap(self.shared.clone()))
    }

    async fn reopen(&self) -> Result<Arc<dyn Records>, RecordsError> {
        self.handle().await
    }

    async fn fresh(&self) -> Result<Arc<dyn Records>, RecordsError> {
        Ok(self.wrap(Memory::new()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    let factory = InMemory {
        name: "memory",
        shared: Memory::new(),
        rates: None,
    };
    conformance::run(Arc::new(factory)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_and_duplicates_keep_the_guarantees() {
    let rates = FaultRates {
        delay: 0.3,
        duplicate: 0.3,
        ..FaultRates::default()
    };
    let factory = InMemory {
        name: "memory+faults",
        shared: Memory::new(),
        rates: Some(rates),
    };
    conformance::run(Arc::new(factory)).await.unwrap();
}
