//! The contract between services: types generated from `proto/`, and the [`Channel`] that carries
//! calls.
//!
//! Owns: the generated messages, clients and server traits, their descriptors, and everything that
//! a call between services goes through (deadline, identities, trace context, retries, circuit
//! breaker, balancing, limits, metrics). A service cannot tell whether the other one runs in the
//! same process: [`Channel::local`] and [`Channel::remote`] have the same layers, and messages are
//! encoded either way.
//!
//! Must not know: what a token means (`riwaq-identity`), what any service does, how addresses are
//! configured (the composition root).

#![warn(missing_docs)]

mod channel;
pub mod clients;
pub mod deadline;
mod methods;
pub mod server;

pub use channel::{
    ACTOR_TOKEN, Binder, Bound, BreakerPolicy, CallContext, Channel, ChannelError, ChannelOptions,
    ChannelPolicy, Remote, Resolver, RetryPolicy, SystemResolver, TokenError, TokenSource,
};
pub use methods::{Method, method, methods};

/// The encoded `FileDescriptorSet` of every contract, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/riwaq_descriptor.bin"));

macro_rules! contract {
    ($(#[$doc:meta])* $module:ident, $package:literal) => {
        $(#[$doc])*
        pub mod $module {
            /// Version 1 of the contract.
            #[allow(missing_docs, unused_qualifications, unreachable_pub, clippy::all, reason = "generated from proto/")]
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    };
}

contract!(
    /// Accounts, sign-in state and revocations, kept by the auth service.
    auth, "riwaq.auth.v1"
);
contract!(
    /// Profiles, roles and the audit journal, kept by the users service.
    users, "riwaq.users.v1"
);
contract!(
    /// Courses and the rights over them.
    courses, "riwaq.courses.v1"
);
contract!(
    /// Files of courses and their bytes.
    files, "riwaq.files.v1"
);
contract!(
    /// Passages found for a question.
    search, "riwaq.search.v1"
);
contract!(
    /// Answers with citations.
    chatbot, "riwaq.chatbot.v1"
);
