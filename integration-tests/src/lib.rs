//! What the scenarios share: the worlds that they run in, the people in them, documents, and the load under which
//! things are broken.
//!
//! Owns no rule of the product: what is expected stands in the scenarios themselves.
#![allow(clippy::print_stdout, reason = "a scenario says what it saw")]

mod collector;
mod distributed;
mod documents;
mod load;
mod people;
mod scenario;
mod world;

pub use collector::Collector;
pub use distributed::{
    ADMIN, ADMIN_PASSWORD, Backends, Leftovers, Line, MAKE_ADMIN, ROLES, Remover, Share,
};
pub use documents::Documents;
pub use load::{ConstantRate, Load, LoadKind, RateReport, Working};
pub use people::{Course, Person, School};
pub use scenario::{NotRun, Scenario, ScenarioRun, chosen, python, random, rounds, run};
pub use world::{Mode, World};
