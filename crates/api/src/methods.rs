//! What the contract says about a method: whether it may be repeated, whether it streams.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

use crate::FILE_DESCRIPTOR_SET;

/// One method of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Full service name, as `riwaq.users.v1.Users`.
    pub service: &'static str,
    /// Method name, as `GetUsers`.
    pub name: &'static str,
    /// `option idempotency_level` is `NO_SIDE_EFFECTS` or `IDEMPOTENT`: it may be sent again.
    pub idempotent: bool,
    /// The client sends a stream.
    pub client_streaming: bool,
    /// The server answers with a stream.
    pub server_streaming: bool,
}

impl Method {
    /// Neither side streams.
    #[must_use]
    pub fn is_unary(&self) -> bool {
        !self.client_streaming && !self.server_streaming
    }
}

/// The method behind a request path (`/riwaq.users.v1.Users/GetUsers`); `None` for a path that no
/// contract of ours names (health, reflection).
#[must_use]
pub fn method(path: &str) -> Option<Method> {
    TABLE.get(path).copied()
}

/// Every method of every contract, with its path.
pub fn methods() -> impl Iterator<Item = (&'static str, Method)> {
    TABLE.iter().map(|(path, method)| (path.as_str(), *method))
}

/// Built once from the descriptors, so that the contract is the only place that says it. The names
/// are leaked on purpose: the table lives as long as the process and has a few dozen entries.
static TABLE: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut table = HashMap::new();
    for file in &set.file {
        for service in &file.service {
            let full_name: &'static str = format!("{}.{}", file.package(), service.name()).leak();
            for method in &service.method {
                let level = method
                    .options
                    .as_ref()
                    .map_or(0, |options| options.idempotency_level.unwrap_or(0));
                table.insert(
                    format!("/{full_name}/{}", method.name()),
                    Method {
                        service: full_name,
                        name: method.name().to_owned().leak(),
                        idempotent: level != IdempotencyLevel::IdempotencyUnknown as i32,
                        client_streaming: method.client_streaming(),
                        server_streaming: method.server_streaming(),
                    },
                );
            }
        }
    }
    table
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_may_be_repeated_and_changes_that_are_not_keyed_may_not() {
        let get = method("/riwaq.users.v1.Users/GetUsers").unwrap();
        assert!(get.idempotent && get.is_unary());
        assert_eq!(
            (get.service, get.name),
            ("riwaq.users.v1.Users", "GetUsers")
        );
        assert!(
            method("/riwaq.auth.v1.Accounts/CreateAccount")
                .unwrap()
                .idempotent
        );
        assert!(
            !method("/riwaq.auth.v1.Accounts/StartActivation")
                .unwrap()
                .idempotent
        );
        assert!(
            method("/riwaq.files.v1.Files/ReadContent")
                .unwrap()
                .server_streaming
        );
        assert_eq!(method("/grpc.health.v1.Health/Check"), None);
    }
}
