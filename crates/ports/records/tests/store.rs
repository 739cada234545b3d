//! The typed store when the records beneath it fail, and fault injection itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_records::faults::{CrashPoint, FaultRates, Faulty};
use riwaq_records::{
    Conditional, Decision, Expect, Key, Memory, MigrationPlan, MigrationReport, Outcome, ReadLevel,
    Records, RecordsError, Row, Scan, Store, StoredRow, Table, TableCursor, TablePage, TableSchema,
    Value, Write, limits,
};
use uuid::Uuid;

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "claims", write = "conditional", partition(name))]
struct Claim {
    name: String,
    fence: i64,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "lines", write = "timestamped", partition(book), clustering(n))]
struct Line {
    book: i64,
    n: i64,
}

fn memory() -> Arc<Memory> {
    Arc::new(Memory::with_tables([Claim::schema(), Line::schema()]).unwrap())
}

fn claim(fence: i64) -> Claim {
    Claim {
        name: "mail".into(),
        fence,
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_by_a_serial_read() {
    let faulty = Arc::new(Faulty::new(
        memory(),
        FaultRates {
            fail_after: 0.5,
            ..FaultRates::default()
        },
        3,
    ));
    let store = Store::new(faulty);
    let (mut settled, mut unknown) = (0, 0);
    for n in 0..100 {
        let (row, op) = (
            Claim {
                name: format!("n{n}"),
                fence: 1,
            },
            Uuid::new_v4(),
        );
        loop {
            match store.insert_if_absent(&row, op).await {
                Ok(decision) => {
                    assert_eq!(decision, Decision::Applied, "nobody else inserts");
                    settled += 1;
                    break;
                }
                // The serial read failed as well; the same op_id again.
                Err(error) => {
                    assert!(matches!(error, RecordsError::Unknown { .. }), "{error}");
                    unknown += 1;
                }
            }
        }
    }
    assert_eq!(settled, 100);
    assert!(unknown > 5, "the seed gives no double fault: {unknown}");
}

#[tokio::test]
async fn a_failure_before_the_call_changes_nothing() {
    let memory = memory();
    let store = Store::new(Arc::new(Faulty::new(
        memory.clone(),
        FaultRates {
            fail_before: 1.0,
            ..FaultRates::default()
        },
        1,
    )));
    let error = store
        .insert_if_absent(&claim(1), Uuid::new_v4())
        .await
        .unwrap_err();
    assert!(matches!(error, RecordsError::Unavailable { .. }) && error.is_retryable());
    assert!(store.put_at(&Line { book: 1, n: 1 }, 1).await.is_err());
    let beneath = Store::new(memory);
    assert_eq!(beneath.get::<Claim>(("mail".into(),)).await.unwrap(), None);
    assert_eq!(beneath.get::<Line>((1, 1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_crash_stops_everything_at_the_named_write() {
    for point in [CrashPoint::Before, CrashPoint::After] {
        let faulty = Arc::new(Faulty::reliable(memory()));
        let store = Store::new(faulty.clone());
        faulty.crash_at(2, point);
        assert!(
            store
                .insert_if_absent(&claim(1), Uuid::new_v4())
                .await
                .unwrap()
                .is_applied()
        );
        assert!(
            store
                .compare_and_set(&claim(2), Expect::column("fence", 1), Uuid::new_v4())
                .await
                .is_err()
        );
        assert!(faulty.is_dead());
        assert!(
            store.get::<Claim>(("mail".into(),)).await.is_err(),
            "the dead do not read"
        );
        assert!(
            store.put_at(&Line { book: 1, n: 1 }, 1).await.is_err(),
            "nor write"
        );
        faulty.revive();
        let fence = store
            .get::<Claim>(("mail".into(),))
            .await
            .unwrap()
            .map(|claim| claim.fence);
        assert_eq!(fence, Some(if point == CrashPoint::Before { 1 } else { 2 }));
        assert_eq!(store.get::<Line>((1, 1)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_seed_gives_the_same_faults_again() {
    let rates = FaultRates {
        fail_before: 0.3,
        fail_after: 0.3,
        delay: 0.3,
        duplicate: 0.3,
    };
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let store = Store::new(Arc::new(Faulty::new(memory(), rates, seed)));
        let mut answers = Vec::new();
        for n in 0..50 {
            answers.push(store.put_at(&Line { book: 1, n }, 1).await);
        }
        runs.push(answers);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

/// Answers every scan with a full page.
#[derive(Debug)]
struct Endless;

#[async_trait]
impl Records for Endless {
    async fn get(
        &self,
        _: &'static TableSchema,
        _: &Key,
        _: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError> {
        Ok(None)
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        let row = Row::new(vec![Value::BigInt(1), Value::BigInt(1)]);
        Ok(vec![StoredRow { row, op_id: None }; scan.limit])
    }

    async fn write(&self, _: Vec<Write>) -> Result<(), RecordsError> {
        Ok(())
    }

    async fn apply(&self, _: Conditional) -> Result<Outcome, RecordsError> {
        Ok(Outcome::Applied)
    }

    async fn scan_table(
        &self,
        _: &'static TableSchema,
        _: Option<&TableCursor>,
        _: usize,
    ) -> Result<TablePage, RecordsError> {
        Ok(TablePage {
            rows: Vec::new(),
            next: None,
        })
    }

    async fn schema_number(&self) -> Result<u32, RecordsError> {
        Ok(0)
    }

    async fn migrate(&self, _: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        Ok(MigrationReport { from: 0, to: 0 })
    }

    async fn ping(&self) -> Result<(), RecordsError> {
        Ok(())
    }
}

#[tokio::test]
async fn collecting_more_than_a_partition_may_hold_is_refused() {
    let store = Store::new(Arc::new(Endless));
    let error = store.scan::<Line>((1,)).all().await.unwrap_err();
    let limit = limits::PARTITION_ROWS;
    assert!(
        matches!(error, RecordsError::TooLarge { limit: at, .. } if at == limit),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_argument_of_a_scan_comes_out_when_it_is_run() {
    let store = Store::new(memory());
    let wrong_type = store
        .scan::<Line>((1,))
        .at_least("text".to_owned())
        .all()
        .await;
    assert!(matches!(wrong_type, Err(RecordsError::InvalidInput { .. })));
    let too_large = store.scan::<Line>((1,)).at_least(u64::MAX).all().await;
    assert!(matches!(too_large, Err(RecordsError::InvalidInput { .. })));
}
