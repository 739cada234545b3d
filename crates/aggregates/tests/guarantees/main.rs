//! What this crate promises, over every engine: crashes, faults, races, laws.
#![allow(
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the modules of one test program, which prints what it ran"
)]

mod crash;
mod forms;
mod keys;
mod lab;
mod laws;
mod overlap;
mod pages;
mod races;
mod slow;
mod takeover;
mod world;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use riwaq_test_kit::{Backend, cassandra};

use crate::lab::Lab;

/// How long one case may take on a slow machine, six of them side by side.
const CASE_TIMEOUT: Duration = Duration::from_secs(600);

/// A case: panics when the guarantee is not kept.
struct Case {
    name: &'static str,
    run: fn(Lab) -> LocalBoxFuture<'static, ()>,
}

/// `module::function`: the case is named like its function.
macro_rules! cases {
    ($($module:ident::$function:ident,)*) => {
        &[$(Case {
            name: stringify!($function),
            run: |lab| $module::$function(lab).boxed_local(),
        },)*]
    };
}

/// Every case, each for every engine.
const CASES: &[Case] = cases![
    crash::a_crash_at_any_write_loses_nothing_that_was_acknowledged,
    crash::a_client_that_repeats_an_unknown_creation_gets_what_it_made,
    crash::what_fails_before_the_version_is_known_to_have_done_nothing,
    crash::the_relay_dies_at_any_write_and_another_finishes,
    crash::a_pointer_without_a_version_is_dropped_only_when_no_write_can_be_under_way,
    crash::a_long_downtime_hides_no_change,
    crash::a_change_that_is_repeated_shows_what_its_first_attempt_could_not,
    keys::a_finished_request_is_answered_from_its_key_for_a_day,
    keys::a_request_that_died_is_taken_over_with_the_same_effect_id,
    keys::a_refused_request_frees_its_key_and_an_unknown_one_keeps_its_effect_id,
    keys::a_key_of_which_nothing_was_heard_does_not_block_its_repetition,
    keys::a_request_that_ended_while_the_store_was_away_may_be_repeated_at_once,
    keys::of_many_requests_with_one_key_one_is_done,
    keys::a_key_dies_at_any_write_and_the_effect_is_made_once,
    keys::keys_that_are_no_header_values_are_refused_by_name,
    keys::a_value_is_claimed_once_and_only_a_dead_claim_is_taken_over,
    keys::of_many_claimants_one_gets_a_free_and_one_a_dead_value,
    laws::the_history_is_what_happened_and_times_grow_whatever_the_clock_does,
    laws::views_converge_in_whatever_order_and_however_often_the_relay_repeats_them,
    laws::lost_views_are_rebuilt_from_the_versions,
    laws::no_change_writes_no_version_and_an_own_error_comes_back,
    laws::what_cannot_be_stored_is_refused_before_anything_is_written,
    laws::more_views_than_one_batch_takes_are_written_and_deleted,
    forms::old_forms_are_read_step_by_step_and_newer_ones_are_refused,
    pages::a_list_goes_on_behind_its_cursor_while_others_write,
    pages::a_cursor_that_was_altered_or_is_anothers_shows_no_page,
    races::of_many_writers_each_change_is_made_once_and_none_is_lost,
    races::of_writers_that_expect_the_same_version_one_wins,
    races::of_many_creations_of_one_note_one_is_made,
    races::under_random_faults_every_acknowledged_change_is_there_once_and_told_of,
    races::a_bucket_is_walked_by_one_relay_until_it_is_given_back_or_falls_silent,
    races::a_lease_is_taken_over_by_the_watchers_clock_alone_and_the_fence_grows,
    races::of_many_who_want_a_free_lease_one_gets_it,
    races::two_relays_on_one_pointer_and_a_repeating_bus_have_one_effect,
    races::a_consumer_that_crashes_between_effect_and_note_has_one_effect,
    races::a_running_relay_publishes_at_once_and_gives_its_buckets_back_when_it_stops,
    races::a_relay_that_is_stopped_anywhere_ends_what_it_began,
    slow::a_write_of_which_nothing_is_heard_keeps_its_pointer,
    slow::a_write_whose_pointer_took_too_long_gives_up_and_changes_nothing,
    slow::a_version_that_took_longer_than_any_pointer_lives_is_told_of_all_the_same,
    slow::a_lease_of_whose_beat_nothing_was_heard_is_beaten_and_given_back,
    takeover::a_short_request_writes_nothing_more_and_a_long_one_beats,
    takeover::a_stopped_request_does_nothing_more_once_another_has_its_key,
    takeover::a_stopped_request_goes_on_where_nobody_took_its_key,
    takeover::what_a_stopped_request_had_sent_is_the_effect_of_its_heir,
    takeover::of_many_that_take_a_key_over_one_gets_it,
    takeover::a_request_outlives_a_store_that_is_away_for_a_beat_and_no_longer,
    takeover::a_request_that_is_cut_off_beats_no_more_and_is_repeated_at_once,
    takeover::a_beat_of_which_nothing_was_heard_does_not_hinder_the_end,
    takeover::a_beat_of_which_nothing_was_heard_is_known_again_after_a_failure,
];

/// Runs every case over an engine, prints a line for each that passed, and fails with the others' names.
async fn run(lab: Lab) {
    let engine = lab.name();
    let cases = CASES.iter().map(|case| {
        let future = (case.run)(lab.clone());
        async move {
            let bounded = tokio::time::timeout(CASE_TIMEOUT, future);
            // What went wrong is printed as it is for any test that panics.
            let failed = match AssertUnwindSafe(bounded).catch_unwind().await {
                Ok(Ok(())) => {
                    println!("conformance: aggregates/{engine}/{} ok", case.name);
                    return None;
                }
                Ok(Err(_)) => format!("{} took longer than {CASE_TIMEOUT:?}", case.name),
                Err(_) => case.name.to_owned(),
            };
            println!("conformance: aggregates/{engine}/{failed} FAILED");
            Some(failed)
        }
    });
    let outcomes = stream::iter(cases).buffer_unordered(lab.side_by_side());
    let failed: Vec<String> = outcomes.filter_map(std::future::ready).collect().await;
    assert!(failed.is_empty(), "[{engine}] not kept: {failed:#?}");
}

#[tokio::test]
async fn memory_keeps_the_guarantees() {
    run(Lab::Memory).await;
}

#[tokio::test]
async fn sqlite_keeps_the_guarantees() {
    run(Lab::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cassandra_keeps_the_guarantees() {
    if let Backend::Ready(address) = cassandra() {
        run(Lab::cassandra(address).await).await;
    }
}
