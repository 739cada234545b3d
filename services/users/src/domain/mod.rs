//! The rules: what a profile, a role and an administrative act are. No I/O.

mod account;
mod audit;
mod profile;
mod role;
mod roster;
mod user;

pub(crate) use account::{AccountChange, Status};
pub(crate) use audit::AuditNote;
pub(crate) use profile::{Profile, ProfileDraft, field_of, taken};
pub(crate) use role::{Role, check_permissions, check_role_name};
pub(crate) use roster::Roster;
pub(crate) use user::User;
