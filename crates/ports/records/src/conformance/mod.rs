//! The conformance suite: what every engine must do, as one list of cases.
//!
//! An engine gives a [`Factory`] and calls [`run`]; the cases are the same for all. They share one
//! store and a few tables, and keep apart by random partitions, because making tables is slow on
//! some engines.

mod concurrency;
mod conditional;
mod durability;
mod input;
mod migrations;
mod model;
mod order;
mod scans;
mod tables;
mod timestamped;
mod values;
mod ways;
mod whole_table;

use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{MigrationPlan, Records, RecordsError, Store, TableSchema};

/// How long one case may take.
const CASE_TIMEOUT: Duration = Duration::from_secs(180);

/// What an engine brings to the suite.
#[async_trait]
pub trait Factory: Send + Sync + 'static {
    /// The engine's name in the report.
    fn engine(&self) -> &str;

    /// One more handle on the store that the cases share.
    async fn handle(&self) -> Result<Arc<dyn Records>, RecordsError>;

    /// A handle on the same store after everything that was not durable is lost: close without a
    /// farewell, then open again. Earlier handles may stop working.
    async fn reopen(&self) -> Result<Arc<dyn Records>, RecordsError>;

    /// An empty store, without any table, that nobody else uses.
    async fn fresh(&self) -> Result<Arc<dyn Records>, RecordsError>;

    /// How many seeds the random runs take.
    fn seeds(&self) -> u64 {
        8
    }
}

/// What a case is given.
#[derive(Clone)]
pub struct Context {
    factory: Arc<dyn Factory>,
}

impl Context {
    /// A handle on the shared store.
    async fn store(&self) -> Result<Store, RecordsError> {
        Ok(Store::new(self.factory.handle().await?))
    }
}

/// Why a case failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<RecordsError> for Failure {
    fn from(error: RecordsError) -> Self {
        Self(format!("unexpected error: {error} ({error:?})"))
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(format!("a task of the case ended badly: {error}"))
    }
}

/// What a case returns.
pub type CaseResult = Result<(), Failure>;

/// One case of the suite.
pub struct Case {
    /// Its name, as a sentence about the engine.
    pub name: &'static str,
    run: fn(Context) -> BoxFuture<'static, CaseResult>,
}

/// Fails the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(crate::conformance::Failure::new(format!($($message)+)));
        }
    };
}
use ensure;

/// Fails the case unless both sides are equal.
fn equal<T: PartialEq + Debug>(what: impl Display, actual: &T, expected: &T) -> CaseResult {
    ensure!(
        actual == expected,
        "{what}: got {actual:?}, expected {expected:?}"
    );
    Ok(())
}

/// Fails the case unless the call was refused as invalid input.
fn invalid<T: Debug>(what: impl Display, result: Result<T, RecordsError>) -> CaseResult {
    match result {
        Err(RecordsError::InvalidInput { .. }) => Ok(()),
        other => Err(Failure::new(format!(
            "{what}: expected InvalidInput, got {other:?}"
        ))),
    }
}

/// Fails the case unless the call was refused for its size.
fn too_large<T: Debug>(what: impl Display, result: Result<T, RecordsError>) -> CaseResult {
    match result {
        Err(RecordsError::TooLarge { .. }) => Ok(()),
        other => Err(Failure::new(format!(
            "{what}: expected TooLarge, got {other:?}"
        ))),
    }
}

/// `case!(module::function)`: the case is named like its function.
macro_rules! cases {
    ($($module:ident::$function:ident,)*) => {
        &[$(Case {
            name: stringify!($function),
            run: |context| Box::pin($module::$function(context)),
        },)*]
    };
}

/// Every case, in the order in which they run.
pub const CASES: &[Case] = cases![
    values::every_type_reads_back_as_it_was_written,
    values::empty_text_and_blob_differ_from_null,
    values::hostile_text_is_kept_byte_for_byte,
    values::a_row_without_any_value_exists,
    values::times_are_kept_to_the_millisecond,
    values::the_largest_row_is_kept,
    input::rows_that_break_the_declaration_are_refused,
    input::sizes_beyond_the_limits_are_refused,
    input::keys_beyond_the_rules_are_refused,
    input::scans_that_make_no_sense_are_refused,
    ways::a_table_is_written_in_its_own_way_only,
    ways::conditions_that_no_engine_could_hold_are_refused,
    input::an_unknown_table_is_a_schema_error,
    timestamped::the_newest_timestamp_wins_in_any_order_of_arrival,
    timestamped::a_deletion_wins_a_tie_and_outlasts_older_puts,
    timestamped::puts_of_one_timestamp_end_alike_in_any_order,
    timestamped::repeating_a_write_changes_nothing,
    timestamped::a_put_writes_every_column,
    timestamped::a_batch_is_all_or_nothing,
    timestamped::a_batch_is_ordered_by_its_timestamps,
    timestamped::a_full_batch_over_many_partitions_arrives,
    conditional::an_insert_succeeds_once,
    conditional::a_compare_and_set_wants_a_match,
    conditional::a_condition_may_name_several_columns_and_null,
    conditional::a_deleted_row_may_be_inserted_again,
    conditional::several_rows_change_together_or_not_at_all,
    conditional::a_refusal_shows_the_present_rows_in_order,
    conditional::a_retry_with_the_same_op_id_is_recognised,
    conditional::an_expiry_does_not_take_a_row_before_its_time,
    scans::rows_come_in_the_declared_order,
    scans::pages_meet_without_gap_or_overlap_in_both_directions,
    scans::a_page_begins_behind_a_row_that_is_gone,
    scans::prefix_and_bounds_select_by_value,
    scans::a_scan_stays_in_its_partition,
    scans::a_partition_of_thousands_is_read_in_pages,
    order::text_sorts_by_its_bytes,
    order::uuids_sort_by_version_first,
    order::blobs_sort_unsigned_and_downwards_when_declared,
    order::flags_and_times_sort_by_value,
    whole_table::every_row_is_seen_once_over_pages,
    whole_table::rows_that_stay_are_seen_once_while_others_change,
    whole_table::a_cursor_of_garbage_is_refused,
    concurrency::of_many_inserts_one_wins,
    concurrency::no_increment_is_lost,
    concurrency::versions_have_no_gap_and_no_double,
    concurrency::sums_over_rows_of_a_partition_are_kept,
    concurrency::a_lease_has_one_owner_at_a_time,
    concurrency::a_writer_reads_its_own_writes,
    durability::a_second_handle_sees_acknowledged_writes,
    durability::acknowledged_writes_survive_a_crash,
    durability::the_store_answers_a_ping,
    migrations::migrating_twice_changes_nothing,
    migrations::an_unknown_number_is_refused,
    migrations::a_new_column_reads_as_null_and_old_programs_go_on,
    migrations::drops_are_repeatable_and_final,
    model::random_operations_agree_with_the_memory_version,
];

/// The tables of the suite, for engines that want to create them beforehand.
#[must_use]
pub fn tables() -> Vec<&'static TableSchema> {
    tables::all()
}

/// Runs every case and prints one line for each.
///
/// # Errors
/// The names of the cases that failed, with their reasons.
pub async fn run(factory: Arc<dyn Factory>) -> Result<(), String> {
    run_matching(factory, "").await
}

/// Runs the cases whose names contain `filter`.
///
/// # Errors
/// As for [`run`]; also if no case matches or the tables cannot be made.
#[expect(clippy::print_stdout, reason = "the suite reports case by case")]
pub async fn run_matching(factory: Arc<dyn Factory>, filter: &str) -> Result<(), String> {
    let engine = factory.engine().to_owned();
    prepare(factory.as_ref())
        .await
        .map_err(|error| format!("records/{engine}: {error}"))?;
    let mut failed = Vec::new();
    let mut ran = 0;
    for case in CASES.iter().filter(|case| case.name.contains(filter)) {
        ran += 1;
        let future = (case.run)(Context {
            factory: Arc::clone(&factory),
        });
        let result = match tokio::time::timeout(CASE_TIMEOUT, future).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(format!("took longer than {CASE_TIMEOUT:?}"))),
        };
        match result {
            Ok(()) => println!("conformance: records/{engine}/{} ok", case.name),
            Err(failure) => {
                println!(
                    "conformance: records/{engine}/{} FAILED: {failure}",
                    case.name
                );
                failed.push(format!("{}: {failure}", case.name));
            }
        }
    }
    if ran == 0 {
        return Err(format!(
            "records/{engine}: no case is named like {filter:?}"
        ));
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n"))
    }
}

async fn prepare(factory: &dyn Factory) -> Result<(), RecordsError> {
    let plan = MigrationPlan::new(tables::all())?;
    let store = factory.handle().await?;
    store.migrate(&plan).await?;
    plan.check(store.as_ref()).await
}
