//! The suite that every adapter passes, registered here once.
//!
//! An adapter brings a [`Factory`] and calls [`run_all`]; a case that it could forget to list does
//! not exist.
#![expect(clippy::expect_used, reason = "a suite fails by panicking")]

mod durability;
mod fixtures;
mod language;
mod model;
mod paging;
mod rebuild;
mod rights;
mod versions;

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream;

use crate::{Index, MemoryIndex};

/// Makes indexes for the suite.
#[async_trait]
pub trait Factory: Send + Sync {
    /// A new, empty index.
    async fn fresh(&self) -> Box<dyn Instance>;
}

/// One index with its data.
#[async_trait]
pub trait Instance: Send + Sync {
    /// A handle.
    fn handle(&self) -> Arc<dyn Index>;
    /// Another handle onto the same data, made as a second user of it would make one.
    async fn second(&self) -> Arc<dyn Index>;
    /// Gives up every handle without an orderly end, and opens the same data again.
    async fn reopen(&mut self) -> Arc<dyn Index>;
}

/// A case of the suite.
pub type Case = for<'f> fn(&'f dyn Factory) -> BoxFuture<'f, ()>;

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        /// Every case with its name.
        #[must_use]
        pub fn cases() -> Vec<(&'static str, Case)> {
            vec![$((
                concat!(stringify!($module), "::", stringify!($name)),
                |factory| Box::pin($module::$name(factory)),
            )),*]
        }
    };
}

cases![
    model::random_operations_agree_with_the_model,
    rights::a_forbidden_passage_is_never_found,
    rights::an_empty_set_finds_nothing,
    rights::a_hostile_query_is_plain_words,
    rights::a_hostile_query_never_finds_what_is_forbidden,
    rights::thousands_of_courses_fit_in_a_filter,
    rights::course_and_kind_narrow_but_never_widen,
    rights::a_moved_file_leaves_its_old_readers,
    versions::an_older_version_is_refused,
    versions::the_same_version_replaces,
    versions::a_tombstone_keeps_late_writes_out,
    versions::a_newer_version_comes_back_after_a_tombstone,
    versions::repeated_and_reordered_writes_end_alike,
    versions::several_versions_in_one_write_apply_in_order,
    versions::racing_writers_leave_the_newest_version_whole,
    versions::a_broken_rule_changes_nothing,
    versions::no_documents_is_a_version_too,
    versions::a_note_belongs_to_its_version,
    language::french,
    language::arabic,
    language::english,
    language::mixed_scripts,
    language::stop_words_do_not_match_beside_content_words,
    language::highlights_and_coverage_tell_what_was_found,
    language::titles_and_headings_are_searched,
    language::hostile_texts_are_kept_as_they_are,
    paging::pages_give_every_hit_once,
    paging::equal_scores_are_ordered_by_id,
    paging::page_boundaries,
    paging::limits_are_refused_beyond,
    paging::sources_are_listed_by_page,
    durability::what_was_acknowledged_survives,
    durability::a_write_that_is_given_up_is_whole_or_absent,
    durability::another_handle_sees_what_was_written,
    durability::a_reader_sees_a_source_whole,
    durability::clearing_forgets_versions_too,
    durability::statistics_count_what_there_is,
    durability::many_and_large_documents,
    rebuild::what_was_filled_is_found_afterwards,
    rebuild::writes_of_others_meanwhile_are_in_the_new_index,
    rebuild::a_second_one_gives_up_the_first,
    rebuild::clearing_gives_it_up,
];

/// Runs every case, each on a fresh index, and prints its name as it passes.
///
/// # Panics
/// When a case fails.
pub async fn run_all(adapter: &str, factory: &dyn Factory) {
    run_side_by_side(adapter, factory, 1).await;
}

/// As [`run_all`], several cases at once: for a server that takes long to make an index.
///
/// # Panics
/// When a case fails.
#[expect(
    clippy::print_stdout,
    reason = "the list of cases that passed is part of the output"
)]
pub async fn run_side_by_side(adapter: &str, factory: &dyn Factory, at_once: usize) {
    stream::iter(cases())
        .for_each_concurrent(at_once, |(name, case)| async move {
            case(factory).await;
            println!("conformance: index/{adapter}/{name} ok");
        })
        .await;
}

/// Makes [`MemoryIndex`]es. Reopening keeps the data, as a server that one connects to again.
#[derive(Debug)]
pub struct MemoryFactory;

struct MemoryInstance(MemoryIndex);

#[async_trait]
impl Factory for MemoryFactory {
    async fn fresh(&self) -> Box<dyn Instance> {
        Box::new(MemoryInstance(MemoryIndex::new()))
    }
}

#[async_trait]
impl Instance for MemoryInstance {
    fn handle(&self) -> Arc<dyn Index> {
        Arc::new(self.0.clone())
    }

    async fn second(&self) -> Arc<dyn Index> {
        Arc::new(self.0.clone())
    }

    async fn reopen(&mut self) -> Arc<dyn Index> {
        Arc::new(self.0.clone())
    }
}
