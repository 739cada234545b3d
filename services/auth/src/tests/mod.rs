//! The whole service over memory: HTTP in, answers out.

mod accounts;
mod mails;
mod oidc;
mod pages;
mod passwords;
mod people;
mod rotation;
mod tab;
mod tokens;
mod world;
