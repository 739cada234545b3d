//! Creation, reading, change and removal.

use super::*;
use crate::{Account, AccountChange, MAX_GET, MAX_ROLES};

pub(super) async fn an_account_is_read_as_it_was_created(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    let new = NewAccount {
        username: Some(username("zoe")),
        roles: roles(&["teacher", "student"]),
        status: AccountStatus::Pending,
        ..student(1)
    };
    let created = directory.create(new).await.unwrap();
    let expected = Account {
        id: id(1),
        roles: roles(&["student", "teacher"]),
        status: AccountStatus::Pending,
        version: 1,
        has_password: false,
    };
    assert_eq!(created, expected);
    assert_eq!(directory.get(&[id(1)]).await.unwrap(), vec![expected]);
}

pub(super) async fn creation_is_idempotent_by_id(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    let first = directory.create(student(1)).await.unwrap();
    assert_eq!(directory.create(student(1)).await.unwrap(), first);
    // Repeated with other roles it stays what it is: a creation is not an update.
    let again = directory
        .create(NewAccount {
            roles: roles(&["admin"]),
            ..student(1)
        })
        .await
        .unwrap();
    assert_eq!(again, first);
}

pub(super) async fn an_id_with_other_names_conflicts(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory.create(student(1)).await.unwrap();
    assert_eq!(
        conflict_field(directory.create(named(1, "other@example.org", None)).await),
        "id"
    );
    // The refused address was not kept.
    directory
        .create(named(2, "other@example.org", None))
        .await
        .unwrap();
}

pub(super) async fn get_keeps_the_order_and_leaves_out_unknown_ids(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    for n in 1..=3 {
        directory.create(student(n)).await.unwrap();
    }
    let ids = |accounts: Vec<Account>| {
        accounts
            .into_iter()
            .map(|account| account.id)
            .collect::<Vec<_>>()
    };
    let got = directory
        .get(&[id(3), id(9), Uuid::nil(), id(1), id(2)])
        .await
        .unwrap();
    assert_eq!(ids(got), vec![id(3), id(1), id(2)]);
    assert_eq!(directory.get(&[]).await.unwrap(), vec![]);
    let most: Vec<Uuid> = (0..MAX_GET as u128).map(id).collect();
    assert_eq!(directory.get(&most).await.unwrap().len(), 3);
}

pub(super) async fn an_update_changes_what_is_given_and_counts_versions(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory.create(student(1)).await.unwrap();
    let change = AccountChange {
        roles: Some(roles(&["admin"])),
        ..AccountChange::default()
    };
    let promoted = directory.update(id(1), change.clone()).await.unwrap();
    assert_eq!(
        (promoted.roles.clone(), promoted.status),
        (roles(&["admin"]), AccountStatus::Active)
    );
    assert!(promoted.version > 1, "{promoted:?}");
    let same = directory.update(id(1), change).await.unwrap();
    assert_eq!(
        same, promoted,
        "an update that changes nothing leaves the version"
    );
    let disabled = directory
        .update(
            id(1),
            AccountChange {
                status: Some(AccountStatus::Disabled),
                ..AccountChange::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(
        (disabled.roles.clone(), disabled.status),
        (roles(&["admin"]), AccountStatus::Disabled)
    );
    assert!(disabled.version > promoted.version);
    assert_eq!(directory.get(&[id(1)]).await.unwrap(), vec![disabled]);
}

pub(super) async fn a_stale_update_changes_nothing(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    let first = directory.create(student(1)).await.unwrap();
    let change = |version| AccountChange {
        roles: Some(roles(&["teacher"])),
        email: Some(email("moved@example.org")),
        expected_version: Some(version),
        ..AccountChange::default()
    };
    let result = directory.update(id(1), change(first.version + 7)).await;
    assert!(
        matches!(result, Err(DirectoryError::Stale { current }) if current == first.version),
        "{result:?}"
    );
    assert_eq!(directory.get(&[id(1)]).await.unwrap(), vec![first.clone()]);
    assert_eq!(
        directory.find_by_login("moved@example.org").await.unwrap(),
        None
    );
    directory
        .update(id(1), change(first.version))
        .await
        .unwrap();
}

pub(super) async fn updating_what_is_not_there_is_not_found(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    let change = AccountChange {
        email: Some(email("a@example.org")),
        ..AccountChange::default()
    };
    let result = directory.update(id(1), change).await;
    assert!(
        matches!(result, Err(DirectoryError::NotFound)),
        "{result:?}"
    );
    directory
        .create(named(2, "a@example.org", None))
        .await
        .expect("the name was not kept");
}

pub(super) async fn deletion_is_idempotent_and_final(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .delete(id(1))
        .await
        .expect("removing what is not there succeeds");
    directory.create(student(2)).await.unwrap();
    directory.delete(id(2)).await.unwrap();
    directory.delete(id(2)).await.unwrap();
    assert_eq!(directory.get(&[id(2)]).await.unwrap(), vec![]);
    let result = directory.update(id(2), AccountChange::default()).await;
    assert!(
        matches!(result, Err(DirectoryError::NotFound)),
        "{result:?}"
    );
    assert_eq!(directory.list(None, 10).await.unwrap().accounts, vec![]);
}

pub(super) async fn bad_values_name_their_field_and_change_nothing(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    let field = |result: Result<_, DirectoryError>| match result {
        Err(DirectoryError::Invalid { field, .. }) => field,
        other => panic!("expected a refusal, got {:?}", other.map(|_: Account| ())),
    };
    let many: Vec<String> = (0..=MAX_ROLES).map(|n| format!("r{n}")).collect();
    for bad in [
        roles(&["Admin"]),
        roles(&["a b"]),
        roles(&["a\0"]),
        roles(&[""]),
        many.into_iter().collect(),
    ] {
        assert_eq!(
            field(
                directory
                    .create(NewAccount {
                        roles: bad,
                        ..student(1)
                    })
                    .await
            ),
            "roles"
        );
    }
    let swapped = NewAccount {
        email: username("zoe"),
        ..student(1)
    };
    assert_eq!(field(directory.create(swapped).await), "email");
    assert_eq!(directory.get(&[id(1)]).await.unwrap(), vec![]);
    directory.create(student(1)).await.unwrap();
    let wrong_kind = AccountChange {
        username: Some(Some(email("a@b.c"))),
        ..AccountChange::default()
    };
    assert_eq!(field(directory.update(id(1), wrong_kind).await), "username");
    let too_many: Vec<Uuid> = (0..=MAX_GET as u128).map(id).collect();
    let result = directory.get(&too_many).await;
    assert!(
        matches!(result, Err(DirectoryError::Invalid { field: "ids", .. })),
        "{result:?}"
    );
}

pub(super) async fn acknowledged_changes_survive_a_reopen(factory: &dyn Factory) {
    let mut backing = factory.fresh().await;
    let directory = backing.open().await;
    directory
        .create(named(1, "a@example.org", Some("a")))
        .await
        .unwrap();
    directory
        .create(named(2, "b@example.org", None))
        .await
        .unwrap();
    directory.delete(id(2)).await.unwrap();
    let change = AccountChange {
        roles: Some(roles(&["teacher"])),
        username: Some(Some(username("anna"))),
        ..AccountChange::default()
    };
    let updated = directory.update(id(1), change).await.unwrap();
    drop(directory);
    let directory = backing.reopen().await;
    assert_eq!(
        directory.get(&[id(1), id(2)]).await.unwrap(),
        vec![updated.clone()]
    );
    assert_eq!(
        directory.find_by_login("Anna").await.unwrap(),
        Some(updated)
    );
    assert_eq!(directory.find_by_login("a").await.unwrap(), None);
    assert_eq!(
        conflict_field(directory.create(named(3, "a@example.org", None)).await),
        "email"
    );
}

pub(super) async fn a_second_handle_sees_every_change(factory: &dyn Factory) {
    let backing = factory.fresh().await;
    let (one, two) = (backing.open().await, backing.open().await);
    let created = one.create(student(1)).await.unwrap();
    assert_eq!(two.get(&[id(1)]).await.unwrap(), vec![created]);
    let change = AccountChange {
        email: Some(email("new@example.org")),
        ..AccountChange::default()
    };
    let updated = two.update(id(1), change).await.unwrap();
    assert_eq!(
        one.find_by_login("new@example.org").await.unwrap(),
        Some(updated)
    );
    assert_eq!(
        conflict_field(one.create(named(2, "new@example.org", None)).await),
        "email"
    );
    one.delete(id(1)).await.unwrap();
    assert_eq!(two.find_by_login("new@example.org").await.unwrap(), None);
}

pub(super) async fn a_set_password_is_seen_and_counts_as_a_change(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    let created = directory.create(student(1)).await.unwrap();
    assert!(!created.has_password);
    let change = AccountChange {
        password: Some(password("correct horse battery")),
        ..AccountChange::default()
    };
    let result = directory.update(id(1), change.clone()).await;
    if !directory.capabilities().sets_passwords {
        assert!(
            matches!(result, Err(DirectoryError::Unsupported { .. })),
            "{result:?}"
        );
        return;
    }
    let first = result.unwrap();
    assert!(first.has_password && first.version > created.version);
    // The same one again is a change too: nobody may learn from the version that it was the same.
    let second = directory.update(id(1), change).await.unwrap();
    assert!(second.version > first.version);
    let with_password = NewAccount {
        password: Some(password("correct horse battery")),
        ..student(2)
    };
    let created = directory.create(with_password).await.unwrap();
    assert!(created.has_password);
    assert_eq!(
        directory.get(&[id(1), id(2)]).await.unwrap(),
        vec![second, created]
    );
}

pub(super) async fn settling_and_ending_sessions_change_no_account(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    let before = directory.create(student(1)).await.unwrap();
    for _ in 0..2 {
        directory.settle(id(1)).await.unwrap();
        directory.end_sessions(id(1)).await.unwrap();
    }
    assert_eq!(directory.get(&[id(1)]).await.unwrap(), vec![before]);
    directory.settle(id(9)).await.expect("nobody is settled");
    directory
        .end_sessions(id(9))
        .await
        .expect("nobody has no sessions");
}
