//! What the port's suite cannot see: what is stored, how much is computed, and crashes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{PASSWORD, State, account, cheap, directory_over, with_hashing};
use riwaq_directory::{AccountChange, AccountStatus, Directory, DirectoryError, LoginName};
use riwaq_directory_local::{HashingConfig, tables};
use riwaq_records::faults::CrashPoint;
use riwaq_records::{Key, ReadLevel, Records, Value};
use uuid::Uuid;

async fn stored_text(state: &State) -> String {
    let mut text = String::new();
    for table in tables() {
        let page = state.records.scan_table(table, None, 1000).await.unwrap();
        for row in page.rows {
            for value in row.row.values() {
                text += &match value {
                    Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    other => format!("{other:?}"),
                };
                text.push('\n');
            }
        }
    }
    text
}

#[tokio::test]
async fn neither_names_nor_passwords_are_stored_in_clear() {
    let state = State::new();
    let directory = directory_over(&state);
    directory
        .create(account(1, "zoe.martin@example.org", Some("zmartin")))
        .await
        .unwrap();
    let text = stored_text(&state).await;
    assert!(text.contains("$argon2id$"), "the account is there");
    for clear in ["zoe", "martin", "example", PASSWORD] {
        assert!(!text.to_lowercase().contains(clear), "{clear} is stored");
    }
    directory.delete(Uuid::from_u128(1)).await.unwrap();
    assert!(
        !stored_text(&state).await.contains("$argon2id$"),
        "the hash goes with the account"
    );
}

#[tokio::test]
async fn every_verification_computes_exactly_one_hash() {
    let state = State::new();
    let directory = directory_over(&state);
    directory
        .create(account(1, "active@example.org", Some("active")))
        .await
        .unwrap();
    for (n, status) in [(2, AccountStatus::Pending), (3, AccountStatus::Disabled)] {
        let new = account(n, &format!("a{n}@example.org"), None);
        directory
            .create(riwaq_directory::NewAccount { status, ..new })
            .await
            .unwrap();
    }
    let none = account(4, "none@example.org", None);
    directory
        .create(riwaq_directory::NewAccount {
            password: None,
            ..none
        })
        .await
        .unwrap();
    let huge = "x".repeat(1 << 20);
    let tries = [
        ("active", PASSWORD),
        ("active", "wrong wrong wrong"),
        ("active", huge.as_str()),
        ("unknown", PASSWORD),
        ("unknown@example.org", PASSWORD),
        ("a2@example.org", PASSWORD),
        ("a3@example.org", PASSWORD),
        ("none@example.org", PASSWORD),
        ("\0", PASSWORD),
        ("", ""),
    ];
    for (login, password) in tries {
        let before = directory.hash_operations();
        directory.verify_password(login, password).await.unwrap();
        assert_eq!(directory.hash_operations() - before, 1, "{login:?}");
    }
}

#[tokio::test]
async fn a_refused_creation_computes_as_many_hashes_as_a_good_one() {
    let state = State::new();
    let directory = directory_over(&state);
    directory
        .create(account(1, "zoe@example.org", None))
        .await
        .unwrap();
    let before = directory.hash_operations();
    directory
        .create(account(2, "zoe@example.org", None))
        .await
        .unwrap_err();
    assert_eq!(directory.hash_operations() - before, 1);
}

#[tokio::test]
async fn new_parameters_take_effect_at_the_next_sign_in() {
    let state = State::new();
    directory_over(&state)
        .create(account(1, "zoe@example.org", None))
        .await
        .unwrap();
    assert!(stored_text(&state).await.contains("m=8,t=1"));
    let stronger = with_hashing(
        &state,
        HashingConfig {
            iterations: 3,
            ..cheap()
        },
    );
    assert!(
        stronger
            .verify_password("zoe@example.org", "wrong wrong wrong")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        stored_text(&state).await.contains("m=8,t=1"),
        "a wrong password changes nothing"
    );
    let before = stronger
        .verify_password("zoe@example.org", PASSWORD)
        .await
        .unwrap()
        .unwrap();
    assert!(stored_text(&state).await.contains("m=8,t=3"));
    let operations = stronger.hash_operations();
    let after = stronger
        .verify_password("zoe@example.org", PASSWORD)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        stronger.hash_operations() - operations,
        1,
        "it is hashed anew only once"
    );
    assert_eq!(after, before, "nothing that anybody can see has changed");
}

#[tokio::test]
async fn an_abandoned_claim_is_taken_over_only_after_its_grace() {
    let state = State::new();
    let directory = directory_over(&state);
    // Dies after the first write of the claim: begun row, claim, crash.
    state.records.crash_at(3, CrashPoint::Before);
    let result = directory.create(account(1, "zoe@example.org", None)).await;
    assert!(
        matches!(result, Err(DirectoryError::Unavailable(_))),
        "{result:?}"
    );
    state.records.revive();
    let early = directory.create(account(2, "zoe@example.org", None)).await;
    assert!(
        matches!(early, Err(DirectoryError::Conflict { field: "email" })),
        "{early:?}"
    );
    state.clock.advance(Duration::from_secs(61));
    directory
        .create(account(3, "zoe@example.org", None))
        .await
        .unwrap();
    let late = directory.create(account(1, "zoe@example.org", None)).await;
    assert!(
        matches!(late, Err(DirectoryError::Conflict { field: "email" })),
        "{late:?}"
    );
    let found = directory
        .find_by_login("zoe@example.org")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, Uuid::from_u128(3));
}

fn rename() -> AccountChange {
    AccountChange {
        email: Some(LoginName::email("new@example.org").unwrap()),
        username: Some(Some(LoginName::username("new").unwrap())),
        ..AccountChange::default()
    }
}

/// Runs creation, rename and removal with a death at every single write, on either side of it,
/// repeats what was not acknowledged, and then looks whether the names are where they should be.
#[tokio::test]
async fn a_crash_at_any_write_is_mended_by_repeating_the_call() {
    for point in [CrashPoint::Before, CrashPoint::After] {
        for write in 1..=30 {
            let state = State::new();
            let directory = directory_over(&state);
            state.records.crash_at(write, point);
            let id = Uuid::from_u128(1);
            if directory
                .create(account(1, "old@example.org", Some("old")))
                .await
                .is_err()
            {
                state.records.revive();
                directory
                    .create(account(1, "old@example.org", Some("old")))
                    .await
                    .unwrap();
            }
            if directory.update(id, rename()).await.is_err() {
                state.records.revive();
                directory.update(id, rename()).await.unwrap();
            }
            for (login, owned) in [
                ("old@example.org", false),
                ("old", false),
                ("new@example.org", true),
                ("new", true),
            ] {
                let found = directory.find_by_login(login).await.unwrap_or_else(|_| {
                    state.records.revive();
                    futures::executor::block_on(directory.find_by_login(login)).unwrap()
                });
                assert_eq!(
                    found.is_some(),
                    owned,
                    "{login} after a crash {point:?} write {write}"
                );
            }
            // The old names are free, at the latest after the grace.
            state.records.revive();
            state.clock.advance(Duration::from_secs(61));
            directory
                .create(account(2, "old@example.org", Some("old")))
                .await
                .unwrap();
            state.records.crash_at(write, point);
            if directory.delete(id).await.is_err() {
                state.records.revive();
                directory.delete(id).await.unwrap();
            }
            state.records.revive();
            directory
                .create(account(3, "new@example.org", Some("new")))
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_removed_id_is_not_used_again() {
    let state = State::new();
    let directory = directory_over(&state);
    directory
        .create(account(1, "zoe@example.org", None))
        .await
        .unwrap();
    directory.delete(Uuid::from_u128(1)).await.unwrap();
    let again = directory.create(account(1, "zoe@example.org", None)).await;
    assert!(
        matches!(again, Err(DirectoryError::Conflict { field: "id" })),
        "{again:?}"
    );
    let key = Key::new(vec![Value::Uuid(Uuid::from_u128(1))]);
    let row = state
        .records
        .get(tables()[0], &key, ReadLevel::Quorum)
        .await
        .unwrap();
    assert!(row.is_some(), "nothing but the id is kept");
}
