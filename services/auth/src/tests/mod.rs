//! The whole service over memory: HTTP in, answers out.

mod accounts;
mod clients;
mod directory;
mod elsewhere;
mod mails;
mod oidc;
mod pages;
mod passwords;
mod people;
mod rotation;
mod sign_out;
mod tab;
mod tokens;
mod world;
