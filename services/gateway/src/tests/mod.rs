//! The gateway as a whole, before services and an issuer that the tests control.

mod edge;
mod issuer;
mod pages;
mod renewal;
mod sessions;
mod sockets;
mod world;
