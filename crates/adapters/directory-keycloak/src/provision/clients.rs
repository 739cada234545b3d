//! Clients, their roles, the roles that contain these, and the rights of service accounts.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::update::{items, make, text};
use crate::admin::Admin;
use crate::error::CallError;

/// Ids of the realm's clients, by the names that people know them by.
type Ids = BTreeMap<String, String>;

pub(super) async fn ensure(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
    added: &mut Vec<String>,
) -> Result<(), CallError> {
    let path = format!("{realm}/clients");
    let there: Vec<Value> = admin.get("list_clients", &path, &[]).await?;
    for client in items(&wanted["clients"]) {
        let name = text(client, "clientId");
        match there.iter().find(|known| text(known, "clientId") == name) {
            Some(known) => bring_up(admin, realm, client, known).await?,
            None => {
                if make(admin, "create_client", &path, client).await? {
                    added.push(format!("client {name}"));
                }
            }
        }
    }
    let now: Vec<Value> = admin.get("list_clients", &path, &[]).await?;
    let ids: Ids = now
        .iter()
        .map(|client| {
            (
                text(client, "clientId").to_owned(),
                text(client, "id").to_owned(),
            )
        })
        .collect();
    client_roles(admin, realm, wanted, &ids, added).await?;
    composites(admin, realm, wanted, &ids).await?;
    service_accounts(admin, realm, wanted, &ids).await
}

/// The client as the file has it. Its scopes are not part of that request.
async fn bring_up(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
    there: &Value,
) -> Result<(), CallError> {
    let id = text(there, "id");
    let path = format!("{realm}/clients/{id}");
    let mut client = wanted.clone();
    client["id"] = json!(id);
    // What a school has set beside ours stays.
    let mut attributes = there["attributes"].clone();
    if let (Some(all), Some(ours)) = (attributes.as_object_mut(), wanted["attributes"].as_object())
    {
        all.extend(ours.clone());
        client["attributes"] = attributes;
    }
    admin
        .change("update_client", Method::PUT, &path, Some(&client))
        .await?;
    let scopes: Vec<Value> = admin
        .get("list_client_scopes", &format!("{realm}/client-scopes"), &[])
        .await?;
    for (field, kind) in [
        ("defaultClientScopes", "default-client-scopes"),
        ("optionalClientScopes", "optional-client-scopes"),
    ] {
        for name in items(&wanted[field]).filter(|name| !items(&there[field]).any(|n| n == *name)) {
            let scope = scopes.iter().find(|scope| scope["name"] == *name);
            let Some(scope) = scope else { continue };
            let path = format!("{path}/{kind}/{}", text(scope, "id"));
            let nothing: Option<&()> = None;
            admin
                .change("give_client_scope", Method::PUT, &path, nothing)
                .await?;
        }
    }
    Ok(())
}

async fn client_roles(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
    ids: &Ids,
    added: &mut Vec<String>,
) -> Result<(), CallError> {
    for (client, roles) in wanted["roles"]["client"].as_object().into_iter().flatten() {
        let Some(id) = ids.get(client) else { continue };
        for role in items(roles) {
            let name = text(role, "name");
            let path = format!("{realm}/clients/{id}/roles");
            let known: Option<Value> = admin
                .find("get_client_role", &format!("{path}/{name}"), &[])
                .await?;
            if known.is_none() && make(admin, "create_client_role", &path, role).await? {
                added.push(format!("role {client}.{name}"));
            }
        }
    }
    Ok(())
}

/// Roles of our clients that the realm roles of the file contain, and those that they contain no more.
async fn composites(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
    ids: &Ids,
) -> Result<(), CallError> {
    for role in items(&wanted["roles"]["realm"]) {
        let path = format!("{realm}/roles/{}/composites", text(role, "name"));
        for (client, roles) in wanted["roles"]["client"].as_object().into_iter().flatten() {
            let contained = &role["composites"]["client"][client];
            let (within, without): (Vec<&Value>, Vec<&Value>) = items(roles)
                .map(|role| &role["name"])
                .partition(|name| items(contained).any(|contained| contained == *name));
            for (names, method) in [(within, Method::POST), (without, Method::DELETE)] {
                if names.is_empty() {
                    continue;
                }
                let roles = roles_of(admin, realm, ids, client, &json!(names)).await?;
                admin
                    .change("set_parts_of_role", method, &path, Some(&roles))
                    .await?;
            }
        }
    }
    Ok(())
}

async fn service_accounts(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
    ids: &Ids,
) -> Result<(), CallError> {
    for account in items(&wanted["users"]) {
        let Some(id) = ids.get(text(account, "serviceAccountClientId")) else {
            continue;
        };
        let path = format!("{realm}/clients/{id}/service-account-user");
        let user: Value = admin.get("get_service_account", &path, &[]).await?;
        let mappings = format!("{realm}/users/{}/role-mappings", text(&user, "id"));
        let mut roles: Vec<Value> = Vec::new();
        for name in items(&account["realmRoles"]).filter_map(Value::as_str) {
            let path = format!("{realm}/roles/{name}");
            roles.push(admin.get("get_role", &path, &[]).await?);
        }
        if !roles.is_empty() {
            let path = format!("{mappings}/realm");
            admin
                .change("give_roles", Method::POST, &path, Some(&roles))
                .await?;
        }
        for (client, names) in account["clientRoles"].as_object().into_iter().flatten() {
            let roles = roles_of(admin, realm, ids, client, names).await?;
            let client_id = ids.get(client).map(String::as_str).unwrap_or_default();
            let path = format!("{mappings}/clients/{client_id}");
            admin
                .change("give_client_roles", Method::POST, &path, Some(&roles))
                .await?;
        }
    }
    Ok(())
}

async fn roles_of(
    admin: &Admin,
    realm: &str,
    ids: &Ids,
    client: &str,
    names: &Value,
) -> Result<Vec<Value>, CallError> {
    let id = ids.get(client).map(String::as_str).unwrap_or_default();
    let mut roles = Vec::new();
    for name in items(names).filter_map(Value::as_str) {
        let path = format!("{realm}/clients/{id}/roles/{name}");
        roles.push(admin.get("get_client_role", &path, &[]).await?);
    }
    Ok(roles)
}
