//! Random operations, and where they come from.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::conformance::Failure;

/// How many operations one seed makes.
const OPERATIONS: usize = 120;

/// One operation on either store. Partitions and ids are small numbers, made unique for each run.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write(Vec<Timed>),
    Apply {
        bank: u8,
        changes: Vec<Changed>,
        op_id: u8,
    },
    Get(EntryKey),
    GetAccount {
        bank: u8,
        name: u8,
        serial: bool,
    },
    Scan(EntryScan),
    ScanAccounts {
        bank: u8,
        backward: bool,
        after: Option<u8>,
        limit: usize,
    },
}

#[derive(Clone, Debug)]
pub(super) struct EntryKey {
    pub(super) space: u8,
    pub(super) kind: u8,
    pub(super) number: i64,
    pub(super) id: u8,
}

#[derive(Clone, Debug)]
pub(super) struct Timed {
    pub(super) key: EntryKey,
    /// None deletes.
    pub(super) note: Option<Option<u8>>,
    pub(super) at: i64,
}

#[derive(Clone, Debug)]
pub(super) enum Changed {
    Insert {
        name: u8,
        balance: i64,
    },
    Set {
        name: u8,
        balance: i64,
        expect: Expected,
    },
    Delete {
        name: u8,
        expect: Expected,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Expected {
    Balance(i64),
    BalanceAndNoMemo(i64),
    Op(u8),
}

#[derive(Clone, Debug)]
pub(super) struct EntryScan {
    pub(super) space: u8,
    pub(super) prefix: u8,
    pub(super) lower: Option<(i64, bool)>,
    pub(super) upper: Option<(i64, bool)>,
    pub(super) backward: bool,
    pub(super) after: Option<EntryKey>,
    pub(super) limit: usize,
}

fn entry_key() -> impl Strategy<Value = EntryKey> {
    (0..2_u8, 0..3_u8, -1..3_i64, 0..3_u8).prop_map(|(space, kind, number, id)| EntryKey {
        space,
        kind,
        number,
        id,
    })
}

fn timed() -> impl Strategy<Value = Timed> {
    let note = proptest::option::weighted(0.75, proptest::option::of(0..4_u8));
    // Few timestamps, so that ties are frequent; zero is refused by both.
    (entry_key(), note, 0..12_i64).prop_map(|(key, note, at)| Timed { key, note, at })
}

fn changed() -> impl Strategy<Value = Changed> {
    let expected = || {
        prop_oneof![
            (0..3_i64).prop_map(Expected::Balance),
            (0..3_i64).prop_map(Expected::BalanceAndNoMemo),
            (0..6_u8).prop_map(Expected::Op),
        ]
    };
    prop_oneof![
        3 => (0..4_u8, 0..3_i64).prop_map(|(name, balance)| Changed::Insert { name, balance }),
        3 => (0..4_u8, 0..3_i64, expected())
            .prop_map(|(name, balance, expect)| Changed::Set { name, balance, expect }),
        1 => (0..4_u8, expected()).prop_map(|(name, expect)| Changed::Delete { name, expect }),
    ]
}

fn scan() -> impl Strategy<Value = EntryScan> {
    let bound = || proptest::option::of((-2..4_i64, any::<bool>()));
    let after = proptest::option::of(entry_key());
    (
        0..2_u8,
        0..4_u8,
        bound(),
        bound(),
        any::<bool>(),
        after,
        1..8_usize,
    )
        .prop_map(
            |(space, prefix, lower, upper, backward, after, limit)| EntryScan {
                space,
                prefix,
                lower,
                upper,
                backward,
                after,
                limit,
            },
        )
}

fn apply(changes: std::ops::Range<usize>) -> impl Strategy<Value = Op> {
    (
        0..2_u8,
        proptest::collection::vec(changed(), changes),
        0..6_u8,
    )
        .prop_map(|(bank, changes, op_id)| Op::Apply {
            bank,
            changes,
            op_id,
        })
}

fn operation() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => proptest::collection::vec(timed(), 1..2).prop_map(Op::Write),
        2 => proptest::collection::vec(timed(), 2..6).prop_map(Op::Write),
        5 => apply(1..2),
        2 => apply(2..5),
        2 => entry_key().prop_map(Op::Get),
        2 => (0..2_u8, 0..4_u8, any::<bool>())
            .prop_map(|(bank, name, serial)| Op::GetAccount { bank, name, serial }),
        4 => scan().prop_map(Op::Scan),
        1 => (0..2_u8, any::<bool>(), proptest::option::of(0..4_u8), 1..5_usize)
            .prop_map(|(bank, backward, after, limit)| Op::ScanAccounts { bank, backward, after, limit }),
    ]
}

/// The operations of a seed, always the same ones.
pub(super) fn operations(seed: u64) -> Result<Vec<Op>, Failure> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = proptest::collection::vec(operation(), OPERATIONS);
    let tree = strategy.new_tree(&mut runner).map_err(Failure::new)?;
    Ok(tree.current())
}
