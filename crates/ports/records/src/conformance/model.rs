//! Random operations, held against the memory version.

mod operations;

use std::ops::Bound;

use uuid::Uuid;

use self::operations::{Changed, EntryKey, EntryScan, Expected, Op, Timed, operations};
use super::tables::{Account, Entry};
use super::{CaseResult, Context, ensure};
use crate::{
    Conditional, Direction, Expect, Key, Memory, ReadLevel, Records, RecordsError, Row, RowChange,
    Scan, StoredRow, Table, Value, Write,
};

/// What an operation answered, for comparison.
#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    Row(Option<StoredRow>),
    Rows(Vec<StoredRow>),
    Outcome(crate::Outcome),
}

/// Makes the small numbers of operations into values, unique for each run.
struct World {
    run: u128,
}

impl World {
    fn uuid(&self, space: u8) -> Value {
        Value::Uuid(Uuid::from_u128(self.run ^ u128::from(space)))
    }

    fn entry(&self, key: &EntryKey) -> Vec<Value> {
        let ids = [
            Uuid::nil(),
            Uuid::from_u128(0x4000_8000_0000_0000_0000),
            Uuid::max(),
        ];
        let kinds = ["", "a", "ab"];
        vec![
            self.uuid(key.space),
            Value::BigInt(1),
            Value::Text(kinds[usize::from(key.kind) % kinds.len()].into()),
            Value::BigInt(key.number),
            Value::Uuid(ids[usize::from(key.id) % ids.len()]),
        ]
    }

    fn write(&self, timed: &Timed) -> Write {
        let (schema, key, timestamp_micros) = (Entry::schema(), self.entry(&timed.key), timed.at);
        match timed.note {
            None => Write::Delete {
                schema,
                key: Key::new(key),
                timestamp_micros,
            },
            Some(note) => {
                let note = note.map_or(Value::Null, |note| Value::Text("n".repeat(note.into())));
                Write::Put {
                    schema,
                    row: Row::new([key, vec![note]].concat()),
                    timestamp_micros,
                }
            }
        }
    }

    fn account_key(&self, bank: u8, name: u8) -> Key {
        Key::new(vec![self.uuid(bank), Value::Text(format!("n{name}"))])
    }

    fn account(&self, bank: u8, name: u8, balance: i64) -> Row {
        let memo = if balance == 0 {
            Value::Null
        } else {
            Value::Text(format!("m{balance}"))
        };
        Row::new(
            [
                self.account_key(bank, name).values().to_vec(),
                vec![Value::BigInt(balance), memo],
            ]
            .concat(),
        )
    }

    fn op(&self, op_id: u8) -> Uuid {
        Uuid::from_u128(self.run ^ (0xff00 + u128::from(op_id)))
    }

    fn expect(&self, expected: &Expected) -> Expect {
        match expected {
            Expected::Balance(balance) => Expect::column("balance", *balance),
            Expected::BalanceAndNoMemo(balance) => {
                Expect::column("memo", Value::Null).and("balance", *balance)
            }
            Expected::Op(op_id) => Expect::op_id(self.op(*op_id)),
        }
    }

    fn change(&self, bank: u8, changed: &Changed) -> RowChange {
        match changed {
            Changed::Insert { name, balance } => {
                RowChange::InsertIfAbsent(self.account(bank, *name, *balance))
            }
            Changed::Set {
                name,
                balance,
                expect,
            } => RowChange::CompareAndSet {
                row: self.account(bank, *name, *balance),
                expect: self.expect(expect),
            },
            Changed::Delete { name, expect } => RowChange::DeleteIf {
                key: self.account_key(bank, *name),
                expect: self.expect(expect),
            },
        }
    }

    fn scan(&self, scan: &EntryScan) -> Scan {
        let first = EntryKey {
            space: scan.space,
            kind: 1,
            number: 1,
            id: 1,
        };
        let values = self.entry(scan.after.as_ref().unwrap_or(&first));
        let bound = |bound: Option<(i64, bool)>| match bound {
            // Only the second clustering column is a number; elsewhere the scan is unbounded.
            Some((number, included)) if scan.prefix == 1 => {
                let value = Value::BigInt(number);
                if included {
                    Bound::Included(value)
                } else {
                    Bound::Excluded(value)
                }
            }
            _ => Bound::Unbounded,
        };
        Scan {
            prefix: values[2..2 + usize::from(scan.prefix)].to_vec(),
            lower: bound(scan.lower),
            upper: bound(scan.upper),
            direction: if scan.backward {
                Direction::Backward
            } else {
                Direction::Forward
            },
            limit: scan.limit,
            after: scan.after.as_ref().map(|_| values[2..].to_vec()),
            ..Scan::partition(
                Entry::schema(),
                vec![self.uuid(scan.space), Value::BigInt(1)],
            )
        }
    }

    async fn run(&self, records: &dyn Records, op: &Op) -> Result<Answer, RecordsError> {
        match op {
            Op::Write(writes) => {
                let writes = writes.iter().map(|timed| self.write(timed)).collect();
                records.write(writes).await.map(|()| Answer::Done)
            }
            Op::Apply {
                bank,
                changes,
                op_id,
            } => {
                let changes = changes
                    .iter()
                    .map(|changed| self.change(*bank, changed))
                    .collect();
                let op_id = self.op(*op_id);
                records
                    .apply(Conditional {
                        schema: Account::schema(),
                        changes,
                        op_id,
                    })
                    .await
                    .map(Answer::Outcome)
            }
            Op::Get(key) => {
                let key = Key::new(self.entry(key));
                records
                    .get(Entry::schema(), &key, ReadLevel::Quorum)
                    .await
                    .map(Answer::Row)
            }
            Op::GetAccount { bank, name, serial } => {
                let level = if *serial {
                    ReadLevel::Serial
                } else {
                    ReadLevel::Quorum
                };
                records
                    .get(Account::schema(), &self.account_key(*bank, *name), level)
                    .await
                    .map(Answer::Row)
            }
            Op::Scan(scan) => records.scan(&self.scan(scan)).await.map(Answer::Rows),
            Op::ScanAccounts {
                bank,
                backward,
                after,
                limit,
            } => {
                let scan = Scan {
                    direction: if *backward {
                        Direction::Backward
                    } else {
                        Direction::Forward
                    },
                    after: after.map(|name| vec![Value::Text(format!("n{name}"))]),
                    limit: *limit,
                    ..Scan::partition(Account::schema(), vec![self.uuid(*bank)])
                };
                records.scan(&scan).await.map(Answer::Rows)
            }
        }
    }
}

pub(super) async fn random_operations_agree_with_the_memory_version(
    context: Context,
) -> CaseResult {
    let store = context.store().await?;
    let mut applied = 0;
    for seed in 0..context.factory.seeds() {
        let memory = Memory::with_tables(super::tables())?;
        let world = World {
            run: Uuid::new_v4().as_u128() & !0xffff,
        };
        let mut done = Vec::new();
        for op in operations(seed)? {
            let expected = world.run(&memory, &op).await;
            let actual = world.run(store.records().as_ref(), &op).await;
            applied += u64::from(matches!(
                expected,
                Ok(Answer::Outcome(crate::Outcome::Applied))
            ));
            ensure!(
                actual == expected,
                "seed {seed}, operation {} {op:?}: got {actual:?}, the memory version has {expected:?}; before: {done:?}",
                done.len()
            );
            done.push(op);
        }
    }
    let enough = 5 * context.factory.seeds();
    ensure!(
        applied >= enough,
        "only {applied} conditional changes applied, so the run shows little"
    );
    Ok(())
}
