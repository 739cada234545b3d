//! Random runs, compared step by step with the memory version.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::{Account, AccountChange, MemoryDirectory};

const RUNS: usize = 12;
const STEPS: usize = 40;
/// Few, so that steps meet one another.
const MAILS: [&str; 4] = [
    "a@example.org",
    "B@Example.org",
    "é@example.org",
    "أ@example.org",
];
const USERS: [&str; 3] = ["ann", "BOB", "zoé"];
const PASSWORDS: [&str; 2] = ["correct horse battery", "crème brûlée, encore"];
const ROLES: [&[&str]; 3] = [&[], &["student"], &["admin", "teacher"]];
const STATUSES: [AccountStatus; 3] = [
    AccountStatus::Active,
    AccountStatus::Pending,
    AccountStatus::Disabled,
];

#[derive(Debug, Clone)]
enum Step {
    Create {
        account: u128,
        mail: usize,
        user: Option<usize>,
        roles: usize,
        status: usize,
        password: Option<usize>,
    },
    Update {
        account: u128,
        mail: Option<usize>,
        user: Option<Option<usize>>,
        roles: Option<usize>,
        status: Option<usize>,
    },
    SetPassword {
        account: u128,
        password: usize,
    },
    Delete {
        account: u128,
    },
    Verify {
        login: usize,
        password: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let account = || 0..5_u128;
    let maybe = |n: usize| proptest::option::of(0..n);
    prop_oneof![
        4 => (account(), 0..MAILS.len(), maybe(USERS.len()), 0..ROLES.len(), 0..STATUSES.len(), maybe(PASSWORDS.len()))
            .prop_map(|(account, mail, user, roles, status, password)| Step::Create { account, mail, user, roles, status, password }),
        4 => (account(), maybe(MAILS.len()), proptest::option::of(maybe(USERS.len())), maybe(ROLES.len()), maybe(STATUSES.len()))
            .prop_map(|(account, mail, user, roles, status)| Step::Update { account, mail, user, roles, status }),
        1 => (account(), 0..PASSWORDS.len()).prop_map(|(account, password)| Step::SetPassword { account, password }),
        1 => account().prop_map(|account| Step::Delete { account }),
        2 => (0..MAILS.len() + USERS.len(), 0..PASSWORDS.len()).prop_map(|(login, password)| Step::Verify { login, password }),
    ]
}

fn login(n: usize) -> &'static str {
    MAILS.iter().chain(&USERS).nth(n).expect("in range")
}

/// What can be told apart: versions grow alike only in direction, so they are left out.
fn seen(result: Result<Account, DirectoryError>) -> String {
    match result {
        Ok(account) => format!(
            "{} {:?} {:?} {}",
            account.id, account.roles, account.status, account.has_password
        ),
        Err(error) => error.to_string(),
    }
}

/// `generation` is the number of times the account was deleted: ids are not used again.
async fn perform(directory: &SharedDirectory, step: &Step, generation: &[u128; 5]) -> String {
    let of = |account: u128| id(account + 10 * generation[usize::try_from(account).unwrap()]);
    match step.clone() {
        Step::Create {
            account,
            mail,
            user,
            roles: set,
            status,
            password: secret,
        } => {
            let new = NewAccount {
                id: of(account),
                email: email(MAILS[mail]),
                username: user.map(|n| username(USERS[n])),
                roles: roles(ROLES[set]),
                status: STATUSES[status],
                password: secret.map(|n| password(PASSWORDS[n])),
            };
            seen(directory.create(new).await)
        }
        Step::Update {
            account,
            mail,
            user,
            roles: set,
            status,
        } => {
            let change = AccountChange {
                email: mail.map(|n| email(MAILS[n])),
                username: user.map(|user| user.map(|n| username(USERS[n]))),
                roles: set.map(|n| roles(ROLES[n])),
                status: status.map(|n| STATUSES[n]),
                ..AccountChange::default()
            };
            seen(directory.update(of(account), change).await)
        }
        Step::SetPassword {
            account,
            password: n,
        } => {
            let change = AccountChange {
                password: Some(password(PASSWORDS[n])),
                ..AccountChange::default()
            };
            seen(directory.update(of(account), change).await)
        }
        Step::Delete { account } => format!("{:?}", directory.delete(of(account)).await),
        Step::Verify {
            login: name,
            password,
        } => {
            let verified = directory
                .verify_password(login(name), PASSWORDS[password])
                .await
                .unwrap();
            format!("{:?}", verified.map(|account| account.id))
        }
    }
}

async fn names(directory: &SharedDirectory) -> Vec<Option<Uuid>> {
    let mut owners = Vec::new();
    for n in 0..MAILS.len() + USERS.len() {
        owners.push(
            directory
                .find_by_login(login(n))
                .await
                .unwrap()
                .map(|account| account.id),
        );
    }
    owners
}

pub(super) async fn random_runs_agree_with_the_memory_version(factory: &dyn Factory) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for run in 0..RUNS {
        let steps = proptest::collection::vec(step(), STEPS)
            .new_tree(&mut runner)
            .expect("steps")
            .current();
        let mut backing = factory.fresh().await;
        let mut directory = backing.open().await;
        let verifies = directory.capabilities().verifies_passwords;
        let model: SharedDirectory = std::sync::Arc::new(MemoryDirectory::new());
        let mut generation = [0; 5];
        for (n, step) in steps.iter().enumerate() {
            if matches!(step, Step::Verify { .. }) && !verifies {
                continue;
            }
            let expected = perform(&model, step, &generation).await;
            let got = perform(&directory, step, &generation).await;
            assert_eq!(
                got,
                expected,
                "run {run}, step {n}: {step:?} after {:?}",
                &steps[..n]
            );
            assert_eq!(
                names(&directory).await,
                names(&model).await,
                "run {run}, after step {n}: {step:?}"
            );
            if let Step::Delete { account } = step {
                generation[usize::try_from(*account).unwrap()] += 1;
            }
            if n == STEPS / 2 {
                drop(directory);
                directory = backing.reopen().await;
            }
        }
    }
}
