//! What parent and child say to each other.
//!
//! The parent gives the [`Job`] as the last argument and the content on standard input. The child
//! writes one JSON value a line: [`Line::Confined`] before it reads, a [`Line::Page`] for each
//! page as soon as it has it, and [`Line::End`].

use serde::{Deserialize, Serialize};

use crate::{Confinement, Failure, Format, Limits, Page};

/// What the child is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) format: Format,
    pub(crate) limits: Limits,
    pub(crate) require_confinement: bool,
}

/// One line of the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Confined(Confinement),
    Unconfined(String),
    Page(Page),
    End(Option<Failure>),
}

/// Longest line that the parent reads, in bytes. The child keeps pages far below.
pub(crate) const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// Most characters of one page; what is longer is cut into several with the same number.
pub(crate) const PAGE_CHARACTERS: usize = 200_000;
