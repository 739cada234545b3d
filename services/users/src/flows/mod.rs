//! What is done, step by step, and what a crash between two steps leaves to be finished.

mod accounts;
mod audit;
mod delete;
mod list;
mod roles;
mod rosters;
mod settle;
mod stats;
mod users;

pub(crate) use accounts::{AccountState, Accounts};
pub(crate) use audit::{Audit, AuditPosition, ReceivedLine};

pub(crate) use roles::Roles;
pub(crate) use rosters::Rosters;
pub(crate) use settle::Settler;
pub(crate) use stats::Stats;
pub(crate) use users::{AccountWish, ManagedUser, Users};
