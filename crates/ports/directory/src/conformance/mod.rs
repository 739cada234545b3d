//! What every directory has to keep, as a list of checks over a factory.
//!
//! An adapter brings a [`Factory`] and calls [`run_all`]; a check fails by panicking with what
//! it saw. Checks of something that [`Capabilities`](crate::Capabilities) says is missing assert that it is
//! refused as unsupported instead.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a check fails by panicking"
)]

mod accounts;
mod listing;
mod logins;
mod model;
mod passwords;
mod races;

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::{AccountStatus, DirectoryError, LoginName, NewAccount, Password, SharedDirectory};

/// Makes empty directories.
#[async_trait]
pub trait Factory: Send + Sync {
    /// A new, empty directory that shares nothing with others.
    async fn fresh(&self) -> Box<dyn Backing>;
}

/// One directory's durable state.
#[async_trait]
pub trait Backing: Send + Sync {
    /// A handle on the state; a second one acts like another replica.
    async fn open(&self) -> SharedDirectory;

    /// Ends what serves the state (other handles may become unusable), then opens it again.
    async fn reopen(&mut self) -> SharedDirectory;
}

/// A check: panics when the directory does not keep it.
pub type Check = for<'a> fn(&'a dyn Factory) -> BoxFuture<'a, ()>;

macro_rules! checks {
    ($($module:ident :: $name:ident),* $(,)?) => {
        /// Every check, by name.
        #[must_use]
        pub fn checks() -> Vec<(&'static str, Check)> {
            vec![$((stringify!($name), |factory| Box::pin($module::$name(factory)))),*]
        }
    };
}

checks! {
    accounts::an_account_is_read_as_it_was_created,
    accounts::creation_is_idempotent_by_id,
    accounts::an_id_with_other_names_conflicts,
    accounts::get_keeps_the_order_and_leaves_out_unknown_ids,
    accounts::an_update_changes_what_is_given_and_counts_versions,
    accounts::a_stale_update_changes_nothing,
    accounts::updating_what_is_not_there_is_not_found,
    accounts::deletion_is_idempotent_and_final,
    accounts::bad_values_name_their_field_and_change_nothing,
    accounts::acknowledged_changes_survive_a_reopen,
    accounts::a_second_handle_sees_every_change,
    accounts::a_set_password_is_seen_and_counts_as_a_change,
    accounts::settling_and_ending_sessions_change_no_account,
    logins::both_names_find_the_account,
    logins::case_and_composition_do_not_matter,
    logins::a_taken_name_conflicts_by_field_and_frees_the_other,
    logins::a_changed_name_frees_the_old_one,
    logins::a_name_can_go_back_and_forth,
    logins::deletion_frees_the_names,
    logins::hostile_login_texts_are_nobodys,
    logins::a_refused_rename_changes_nothing,
    passwords::the_right_password_of_an_active_account_is_verified,
    passwords::every_refusal_looks_the_same,
    passwords::a_new_password_replaces_the_old_one,
    passwords::passwords_are_compared_in_normal_form,
    passwords::hostile_passwords_are_refused_quietly,
    listing::every_account_is_listed_once_whatever_the_page_size,
    listing::bad_limits_and_cursors_are_refused,
    listing::an_empty_directory_lists_nothing,
    races::of_many_creations_with_one_address_one_wins,
    races::the_same_creation_in_parallel_is_one_account,
    races::of_many_renames_to_one_name_one_wins,
    races::parallel_updates_are_all_applied,
    races::crossed_names_never_belong_to_two,
    model::random_runs_agree_with_the_memory_version,
}

/// Runs every check; prints `conformance: directory/ADAPTER/CHECK ok` as each passes.
///
/// # Panics
/// When a check fails.
#[expect(
    clippy::print_stdout,
    reason = "the list of checks that ran is part of a test's output"
)]
pub async fn run_all(adapter: &str, factory: &dyn Factory) {
    for (name, check) in checks() {
        check(factory).await;
        println!("conformance: directory/{adapter}/{name} ok");
    }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + n)
}

fn roles(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn email(text: &str) -> LoginName {
    LoginName::email(text).expect("a valid address")
}

fn username(text: &str) -> LoginName {
    LoginName::username(text).expect("a valid user name")
}

fn password(text: &str) -> Password {
    Password::new(text).expect("a valid password")
}

/// An active student `n` without a password.
fn student(n: u128) -> NewAccount {
    NewAccount {
        id: id(n),
        email: email(&format!("student{n}@example.org")),
        username: None,
        roles: roles(&["student"]),
        status: AccountStatus::Active,
        password: None,
    }
}

fn named(n: u128, mail: &str, user: Option<&str>) -> NewAccount {
    NewAccount {
        email: email(mail),
        username: user.map(username),
        ..student(n)
    }
}

fn conflict_field<T: std::fmt::Debug>(result: Result<T, DirectoryError>) -> &'static str {
    match result {
        Err(DirectoryError::Conflict { field }) => field,
        other => panic!("expected a conflict, got {other:?}"),
    }
}
