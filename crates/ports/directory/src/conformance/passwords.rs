//! Verification of passwords.

use super::*;
use crate::AccountChange;

const RIGHT: &str = "correct horse battery";
const WRONG: &str = "correct horse staple!";

/// An active account `zoe` with the password [`RIGHT`]; `None` where the directory does not
/// verify passwords, after checking that it says so.
async fn with_password(factory: &dyn Factory) -> Option<SharedDirectory> {
    let directory = factory.fresh().await.open().await;
    if !directory.capabilities().verifies_passwords {
        let result = directory.verify_password("zoe", RIGHT).await;
        assert!(
            matches!(result, Err(DirectoryError::Unsupported { .. })),
            "{result:?}"
        );
        return None;
    }
    let account = NewAccount {
        password: Some(password(RIGHT)),
        ..named(1, "zoe@example.org", Some("zoe"))
    };
    assert!(directory.create(account).await.unwrap().has_password);
    Some(directory)
}

async fn verified(directory: &SharedDirectory, login: &str, password: &str) -> Option<Uuid> {
    directory
        .verify_password(login, password)
        .await
        .unwrap()
        .map(|account| account.id)
}

pub(super) async fn the_right_password_of_an_active_account_is_verified(factory: &dyn Factory) {
    let Some(directory) = with_password(factory).await else {
        return;
    };
    for login in ["zoe@example.org", "ZOE@EXAMPLE.ORG", "zoe", " Zoe "] {
        assert_eq!(
            verified(&directory, login, RIGHT).await,
            Some(id(1)),
            "{login}"
        );
    }
}

pub(super) async fn every_refusal_looks_the_same(factory: &dyn Factory) {
    let Some(directory) = with_password(factory).await else {
        return;
    };
    directory.create(student(2)).await.unwrap();
    for (n, status) in [(3, AccountStatus::Pending), (4, AccountStatus::Disabled)] {
        directory
            .create(NewAccount {
                status,
                password: Some(password(RIGHT)),
                ..student(n)
            })
            .await
            .unwrap();
    }
    let refused = [
        ("zoe", WRONG, "wrong password"),
        ("nobody", RIGHT, "unknown user name"),
        ("nobody@example.org", RIGHT, "unknown address"),
        ("student2@example.org", RIGHT, "no password set"),
        ("student2@example.org", "", "no password set, none given"),
        ("student3@example.org", RIGHT, "pending"),
        ("student4@example.org", RIGHT, "disabled"),
        ("\0", RIGHT, "a text no login name can have"),
    ];
    for (login, typed, why) in refused {
        assert_eq!(verified(&directory, login, typed).await, None, "{why}");
    }
}

pub(super) async fn a_new_password_replaces_the_old_one(factory: &dyn Factory) {
    let Some(directory) = with_password(factory).await else {
        return;
    };
    let change = AccountChange {
        password: Some(password(WRONG)),
        ..AccountChange::default()
    };
    let updated = directory.update(id(1), change.clone()).await.unwrap();
    assert!(updated.version > 1);
    assert_eq!(verified(&directory, "zoe", RIGHT).await, None);
    assert_eq!(verified(&directory, "zoe", WRONG).await, Some(id(1)));
    // Setting the same one again is a change too: nobody may learn from the version that it was.
    assert!(directory.update(id(1), change).await.unwrap().version > updated.version);
    assert_eq!(verified(&directory, "zoe", WRONG).await, Some(id(1)));
}

pub(super) async fn passwords_are_compared_in_normal_form(factory: &dyn Factory) {
    let Some(directory) = with_password(factory).await else {
        return;
    };
    let change = AccountChange {
        password: Some(password("crème brûlée!")),
        ..AccountChange::default()
    };
    directory.update(id(1), change).await.unwrap();
    assert_eq!(
        verified(&directory, "zoe", "cre\u{300}me bru\u{302}le\u{301}e!").await,
        Some(id(1))
    );
    assert_eq!(verified(&directory, "zoe", "creme brulee!").await, None);
    assert_eq!(
        verified(&directory, "zoe", "Crème brûlée!").await,
        None,
        "case does matter"
    );
    assert_eq!(
        verified(&directory, "zoe", " crème brûlée!").await,
        None,
        "so do spaces"
    );
}

pub(super) async fn hostile_passwords_are_refused_quietly(factory: &dyn Factory) {
    let Some(directory) = with_password(factory).await else {
        return;
    };
    let huge = RIGHT.repeat(100_000);
    let padded = format!("{RIGHT}\0");
    for typed in ["", "\0", &padded, &huge, "\u{202E}correct horse battery"] {
        assert_eq!(verified(&directory, "zoe", typed).await, None);
    }
}
