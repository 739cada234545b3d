//! Many at once.

use futures::future::join_all;

use super::*;
use crate::AccountChange;

const RACERS: u128 = 8;

pub(super) async fn of_many_creations_with_one_address_one_wins(factory: &dyn Factory) {
    let backing = factory.fresh().await;
    let handles = [backing.open().await, backing.open().await];
    for round in 0..5 {
        let first = round * 100;
        let attempts = (0..RACERS).map(|n| {
            let directory = &handles[usize::try_from(n % 2).unwrap()];
            let mail = format!("wanted{round}@example.org");
            let user = format!("own{round}-{n}");
            directory.create(named(first + n, &mail, Some(&user)))
        });
        let results = join_all(attempts).await;
        let winners: Vec<Uuid> = results.iter().flatten().map(|account| account.id).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        for result in results {
            assert!(result.is_ok() || conflict_field(result) == "email");
        }
        let found = handles[1]
            .find_by_login(&format!("wanted{round}@example.org"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.id, winners[0]);
        // The losers' other names are free again.
        for n in 0..RACERS {
            if id(first + n) != winners[0] {
                let user = format!("own{round}-{n}");
                handles[0]
                    .create(named(
                        first + 50 + n,
                        &format!("{user}@example.org"),
                        Some(&user),
                    ))
                    .await
                    .unwrap();
            }
        }
    }
}

pub(super) async fn the_same_creation_in_parallel_is_one_account(factory: &dyn Factory) {
    let backing = factory.fresh().await;
    let handles = [backing.open().await, backing.open().await];
    let attempts = (0..RACERS).map(|n| {
        handles[usize::try_from(n % 2).unwrap()].create(named(1, "zoe@example.org", Some("zoe")))
    });
    for result in join_all(attempts).await {
        assert_eq!(result.unwrap().version, 1);
    }
    assert_eq!(handles[0].list(None, 10).await.unwrap().accounts.len(), 1);
}

pub(super) async fn of_many_renames_to_one_name_one_wins(factory: &dyn Factory) {
    let backing = factory.fresh().await;
    let handles = [backing.open().await, backing.open().await];
    for n in 0..RACERS {
        handles[0].create(student(n)).await.unwrap();
    }
    let attempts = (0..RACERS).map(|n| {
        let change = AccountChange {
            username: Some(Some(username("wanted"))),
            ..AccountChange::default()
        };
        handles[usize::try_from(n % 2).unwrap()].update(id(n), change)
    });
    let results = join_all(attempts).await;
    let winners: Vec<Uuid> = results.iter().flatten().map(|account| account.id).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    for result in results {
        assert!(result.is_ok() || conflict_field(result) == "username");
    }
    assert_eq!(
        handles[0]
            .find_by_login("wanted")
            .await
            .unwrap()
            .unwrap()
            .id,
        winners[0]
    );
    for n in 0..RACERS {
        let found = handles[1]
            .find_by_login(&format!("student{n}@example.org"))
            .await
            .unwrap();
        assert_eq!(found.unwrap().id, id(n), "everybody keeps the address");
    }
}

pub(super) async fn parallel_updates_are_all_applied(factory: &dyn Factory) {
    let backing = factory.fresh().await;
    let handles = [backing.open().await, backing.open().await];
    let start = handles[0].create(student(1)).await.unwrap().version;
    let disable = AccountChange {
        status: Some(AccountStatus::Disabled),
        ..AccountChange::default()
    };
    let promote = AccountChange {
        roles: Some(roles(&["admin"])),
        ..AccountChange::default()
    };
    let rename = AccountChange {
        username: Some(Some(username("zoe"))),
        ..AccountChange::default()
    };
    let readdress = AccountChange {
        email: Some(email("zoe@example.org")),
        ..AccountChange::default()
    };
    let changes = [disable, promote, rename, readdress];
    let attempts = changes
        .into_iter()
        .enumerate()
        .map(|(n, change)| handles[n % 2].update(id(1), change));
    for result in join_all(attempts).await {
        result.unwrap();
    }
    let account = handles[1].find_by_login("zoe").await.unwrap().unwrap();
    assert_eq!(
        (account.status, account.roles.clone()),
        (AccountStatus::Disabled, roles(&["admin"]))
    );
    assert!(account.version >= start + 4, "{account:?}");
    assert_eq!(
        handles[0].find_by_login("zoe@example.org").await.unwrap(),
        Some(account)
    );
    assert_eq!(
        handles[0]
            .find_by_login("student1@example.org")
            .await
            .unwrap(),
        None
    );
}

/// Accounts that give up names, take names of others and go away, all at once: whatever the
/// outcome, a name finds one account, and the account that lists it.
pub(super) async fn crossed_names_never_belong_to_two(factory: &dyn Factory) {
    let backing = factory.fresh().await;
    let handles = [backing.open().await, backing.open().await];
    for n in 0..4 {
        handles[0]
            .create(named(
                n,
                &format!("s{n}@example.org"),
                Some(&format!("u{n}")),
            ))
            .await
            .unwrap();
    }
    for round in 0..6_u128 {
        let takes = (0..4).map(|n| {
            let user = username(&format!("u{}", (n + 1 + round) % 4));
            let change = AccountChange {
                username: Some(Some(user)),
                ..AccountChange::default()
            };
            handles[usize::try_from(n % 2).unwrap()].update(id(n), change)
        });
        let drops = (0..2).map(|n| {
            let change = AccountChange {
                username: Some(None),
                ..AccountChange::default()
            };
            handles[usize::try_from(n % 2).unwrap()].update(id(n), change)
        });
        for result in join_all(takes)
            .await
            .into_iter()
            .chain(join_all(drops).await)
        {
            assert!(result.is_ok() || conflict_field(result) == "username");
        }
        // A free name can be taken, a taken one cannot: by trying with a stranger.
        for n in 0..4 {
            let user = format!("u{n}");
            let owner = handles[0]
                .find_by_login(&user)
                .await
                .unwrap()
                .map(|account| account.id);
            let stranger = named(
                1000 + round * 4 + n,
                &format!("x{round}-{n}@example.org"),
                Some(&user),
            );
            let stranger_id = stranger.id;
            let result = handles[1].create(stranger).await;
            match owner {
                Some(_) => assert_eq!(conflict_field(result), "username"),
                None => {
                    result.unwrap();
                    handles[1].delete(stranger_id).await.unwrap();
                }
            }
        }
    }
}
