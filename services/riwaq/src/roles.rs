//! The roles, as data: what each is called, whom it asks, what it keeps, and how it is built.

use anyhow::{Result, bail};
use riwaq_aggregates::records::TableSchema;
use riwaq_events::Group;
use riwaq_kit::Service;
use riwaq_records::MigrationPlan;
use utoipa::openapi::OpenApi;

use crate::adapters::Need;
use crate::role;
use crate::wiring::Parts;

/// One role.
pub(crate) struct Role {
    /// Its name on the command line, in logs and in metrics.
    pub(crate) name: &'static str,
    /// The roles that it calls.
    pub(crate) asks: &'static [&'static str],
    /// What it stands on beside records and events.
    pub(crate) needs: &'static [Need],
    /// The tables that it keeps, beside those of the aggregates.
    pub(crate) tables: fn() -> Vec<&'static TableSchema>,
    /// The groups that it consumes in; they are declared before anything is published.
    pub(crate) groups: fn() -> Vec<Group>,
    /// The OpenAPI document of its REST routes.
    pub(crate) document: fn() -> OpenApi,
    /// Builds its service.
    pub(crate) build: fn(&Parts) -> Result<Service>,
}

/// The public role: its service calls nobody by gRPC, and nobody calls it.
pub(crate) const PUBLIC: &str = "gateway";

/// All of them, the public one last.
pub(crate) const ROLES: &[Role] = &[
    role::auth::ROLE,
    role::users::ROLE,
    role::courses::ROLE,
    role::files::ROLE,
    role::search::ROLE,
    role::chatbot::ROLE,
    role::gateway::ROLE,
];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    ROLES.iter().map(|role| role.name).collect()
}

/// The role of that name.
pub(crate) fn find(name: &str) -> Result<&'static Role> {
    match ROLES.iter().find(|role| role.name == name) {
        Some(role) => Ok(role),
        None => bail!(
            "there is no role {name}; the roles are {}",
            names().join(", ")
        ),
    }
}

/// Every table of every role: a store is migrated as a whole, whichever role asks for it.
pub(crate) fn migration_plan() -> Result<MigrationPlan> {
    let own = ROLES.iter().flat_map(|role| (role.tables)());
    let shared = riwaq_aggregates::tables()
        .into_iter()
        .chain(crate::adapters::tables());
    Ok(MigrationPlan::new(shared.chain(own))?)
}

/// The documents of all roles but the gateway, which merges them, wherever they run.
pub(crate) fn documents() -> Vec<OpenApi> {
    let others = ROLES
        .iter()
        .filter(|role| role.name != role::gateway::ROLE.name);
    others.map(|role| (role.document)()).collect()
}

/// Every group of every role.
pub(crate) fn groups() -> Vec<Group> {
    ROLES.iter().flat_map(|role| (role.groups)()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_role_asks_roles_that_exist() {
        for role in ROLES {
            for asked in role.asks {
                assert!(find(asked).is_ok(), "{} asks {asked}", role.name);
                assert_ne!(*asked, role.name);
            }
        }
    }

    #[test]
    fn no_two_documents_call_different_things_by_one_name() {
        let mut schemas = BTreeMap::new();
        let documents: Vec<OpenApi> = ROLES.iter().map(|role| (role.document)()).collect();
        let components = documents
            .iter()
            .filter_map(|document| document.components.as_ref());
        for (name, schema) in components.flat_map(|components| &components.schemas) {
            let first = *schemas.entry(name).or_insert(schema);
            assert!(first == schema, "{name}");
        }
        assert!(schemas.len() > 20);
    }

    /// Some refusals, of an address that is too long, of too many requests, are not of any one route: `default` stands for them.
    #[test]
    fn every_operation_says_how_it_fails() {
        let mut silent = Vec::new();
        for document in ROLES.iter().map(|role| (role.document)()) {
            for (path, item) in document.paths.paths {
                let operations = [item.get, item.put, item.post, item.delete, item.patch];
                for operation in operations.into_iter().flatten() {
                    if !operation.responses.responses.contains_key("default") {
                        silent.push(format!("{path} {:?}", operation.operation_id));
                    }
                }
            }
        }
        assert_eq!(silent, Vec::<String>::new());
    }

    #[test]
    fn the_tables_of_all_roles_fit_together() {
        let plan = migration_plan().unwrap();
        assert!(plan.tables().len() > 20);
    }
}
