//! Changes that overtake one another and lose their answers, many times over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{State, account, directory_over, hasty};
use futures::future::join_all;
use riwaq_directory::{AccountChange, Directory, LoginName};
use riwaq_directory_local::tables;
use riwaq_records::faults::FaultRates;
use riwaq_records::{Records, Value};
use uuid::Uuid;

const MAILS: [&str; 2] = ["a@example.org", "b@example.org"];
const USERS: [&str; 2] = ["ann", "bob"];

/// A small generator of its own: what matters is that a seed gives the same run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % n).unwrap()
    }
}

async fn random_call(directory: Arc<dyn Directory>, mut draw: Draw) {
    let n = draw.below(2) as u128 + 1;
    let (mail, user) = (MAILS[draw.below(2)], USERS[draw.below(2)]);
    let with_user = draw.below(2) == 0;
    match draw.below(8) {
        0..=2 => drop(
            directory
                .create(account(n, mail, with_user.then_some(user)))
                .await,
        ),
        3..=6 => drop(
            directory
                .update(Uuid::from_u128(n), names(mail, with_user.then_some(user)))
                .await,
        ),
        _ => drop(directory.delete(Uuid::from_u128(n)).await),
    }
}

/// Changes of one account, half of which fail after they have claimed an address.
async fn half_doomed_call(directory: Arc<dyn Directory>, mut draw: Draw) {
    let user = ["free", "taken"][draw.below(2)];
    drop(
        directory
            .update(Uuid::from_u128(1), names(MAILS[draw.below(2)], Some(user)))
            .await,
    );
}

fn names(mail: &str, user: Option<&str>) -> AccountChange {
    AccountChange {
        email: Some(LoginName::email(mail).unwrap()),
        username: Some(user.map(|user| LoginName::username(user).unwrap())),
        ..AccountChange::default()
    }
}

/// Every name that an account lists is claimed by that account; so no name is two accounts'.
async fn check_that_lists_and_claims_agree(records: &dyn Records, seed: u64) {
    let [accounts, logins] = tables()[..] else {
        panic!("two tables")
    };
    let mut claims = BTreeMap::new();
    for row in records.scan_table(logins, None, 1000).await.unwrap().rows {
        let [Value::Blob(key), Value::Uuid(owner), ..] = row.row.values() else {
            panic!("{row:?}")
        };
        claims.insert(key.to_vec(), *owner);
    }
    for row in records.scan_table(accounts, None, 1000).await.unwrap().rows {
        let Value::Uuid(id) = row.row.values()[0] else {
            panic!("{row:?}")
        };
        for column in ["email_key", "username_key"] {
            if let Value::Blob(key) = &row.row.values()[accounts.position(column).unwrap()] {
                assert_eq!(
                    claims.get(key.as_ref()),
                    Some(&id),
                    "seed {seed}: {column} of {row:?}"
                );
            }
        }
    }
}

/// Rounds of eight calls at once, over two handles.
async fn run<F: Future<Output = ()>>(
    handles: &[Arc<dyn Directory>; 2],
    seed: u64,
    round: u64,
    call: impl Fn(Arc<dyn Directory>, Draw) -> F,
) {
    let calls = (0..8).map(|n| {
        let draw = Draw(seed.wrapping_mul(1000) + round * 10 + n);
        call(Arc::clone(&handles[usize::try_from(n % 2).unwrap()]), draw)
    });
    join_all(calls).await;
}

#[tokio::test]
async fn whatever_overtakes_what_a_listed_name_is_claimed_by_its_account() {
    for seed in 0..600 {
        let rates = FaultRates {
            delay: 0.6,
            fail_before: 0.03,
            fail_after: 0.03,
            duplicate: 0.05,
        };
        let state = State::with_faults(rates, seed);
        let handles: [Arc<dyn Directory>; 2] = if seed % 2 == 0 {
            [
                Arc::new(directory_over(&state)),
                Arc::new(directory_over(&state)),
            ]
        } else {
            [Arc::new(hasty(&state)), Arc::new(hasty(&state))]
        };
        for round in 0..4 {
            run(&handles, seed, round, random_call).await;
            if (seed + round) % 2 == 0 {
                // Beyond the grace, so that what crashed calls left behind is taken over.
                state.clock.advance(Duration::from_secs(61));
            }
        }
        check_that_lists_and_claims_agree(&*state.calm(), seed).await;
    }
}

#[tokio::test]
async fn a_failed_change_never_gives_back_what_a_parallel_one_lists() {
    for seed in 0..600 {
        let state = State::with_faults(
            FaultRates {
                delay: 0.6,
                ..FaultRates::default()
            },
            seed,
        );
        let handles: [Arc<dyn Directory>; 2] = [
            Arc::new(directory_over(&state)),
            Arc::new(directory_over(&state)),
        ];
        handles[0]
            .create(account(1, "first@example.org", None))
            .await
            .unwrap();
        handles[0]
            .create(account(2, "second@example.org", Some("taken")))
            .await
            .unwrap();
        for round in 0..4 {
            run(&handles, seed, round, half_doomed_call).await;
            check_that_lists_and_claims_agree(&*state.calm(), seed).await;
        }
    }
}
