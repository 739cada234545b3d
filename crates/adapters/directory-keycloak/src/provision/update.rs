//! A realm that is there, brought up to the file.

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{clients, flows};
use crate::admin::Admin;
use crate::error::CallError;

/// Parts of the representation that Keycloak does not take in an update of the realm: they are brought up one by one.
const APART: &[&str] = &[
    "realm",
    "roles",
    "defaultRole",
    "clientScopes",
    "defaultDefaultClientScopes",
    "defaultOptionalClientScopes",
    "clients",
    "users",
    "authenticationFlows",
    "authenticatorConfig",
    "components",
];

/// Says what was missing.
pub(super) async fn update(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
) -> Result<Vec<String>, CallError> {
    let mut added = Vec::new();
    flows::ensure(admin, realm, wanted, &mut added).await?;
    let settings: Map<String, Value> = wanted
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !APART.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    admin
        .change("update_realm", Method::PUT, realm, Some(&settings))
        .await?;
    profile(admin, realm, wanted).await?;
    roles(admin, realm, wanted, &mut added).await?;
    scopes(admin, realm, wanted, &mut added).await?;
    clients::ensure(admin, realm, wanted, &mut added).await?;
    added.sort();
    Ok(added)
}

/// The fields of an account, and who may change them.
async fn profile(admin: &Admin, realm: &str, wanted: &Value) -> Result<(), CallError> {
    let components = &wanted["components"]["org.keycloak.userprofile.UserProfileProvider"];
    let text = components[0]["config"]["kc.user.profile.config"][0].as_str();
    let profile: Value =
        serde_json::from_str(text.unwrap_or_default()).map_err(|error| CallError::Unreadable {
            operation: "update_user_profile",
            cause: error.to_string(),
        })?;
    let path = format!("{realm}/users/profile");
    admin
        .change("update_user_profile", Method::PUT, &path, Some(&profile))
        .await
        .map(|_| ())
}

/// Roles that are missing. What they contain comes with the clients, whose roles are among it.
async fn roles(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
    added: &mut Vec<String>,
) -> Result<(), CallError> {
    for role in items(&wanted["roles"]["realm"]) {
        let name = text(role, "name");
        let path = format!("{realm}/roles/{name}");
        if admin.find::<Value>("get_role", &path, &[]).await?.is_none() {
            let role = json!({ "name": name, "description": role["description"] });
            if make(admin, "create_role", &format!("{realm}/roles"), &role).await? {
                added.push(format!("role {name}"));
            }
        }
    }
    Ok(())
}

async fn scopes(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
    added: &mut Vec<String>,
) -> Result<(), CallError> {
    let path = format!("{realm}/client-scopes");
    let there: Vec<Value> = admin.get("list_client_scopes", &path, &[]).await?;
    for scope in items(&wanted["clientScopes"]) {
        let name = text(scope, "name");
        let Some(known) = there.iter().find(|known| text(known, "name") == name) else {
            if make(admin, "create_client_scope", &path, scope).await? {
                added.push(format!("client scope {name}"));
            }
            continue;
        };
        mappers(
            admin,
            &format!("{path}/{}", text(known, "id")),
            scope,
            known,
        )
        .await?;
    }
    Ok(())
}

/// The mappers of a scope, as the file has them; others that a school has added stay.
async fn mappers(
    admin: &Admin,
    scope: &str,
    wanted: &Value,
    there: &Value,
) -> Result<(), CallError> {
    let path = format!("{scope}/protocol-mappers/models");
    for mapper in items(&wanted["protocolMappers"]) {
        let known = items(&there["protocolMappers"])
            .find(|known| text(known, "name") == text(mapper, "name"));
        match known {
            None => {
                make(admin, "create_mapper", &path, mapper).await?;
            }
            Some(known) => {
                let mut mapper = mapper.clone();
                mapper["id"] = known["id"].clone();
                let path = format!("{path}/{}", text(known, "id"));
                admin
                    .change("update_mapper", Method::PUT, &path, Some(&mapper))
                    .await?;
            }
        }
    }
    Ok(())
}

/// Makes something; `false` if somebody else has made it meanwhile.
pub(super) async fn make<Body: Serialize + ?Sized>(
    admin: &Admin,
    operation: &'static str,
    path: &str,
    body: &Body,
) -> Result<bool, CallError> {
    match admin
        .change(operation, Method::POST, path, Some(body))
        .await
    {
        Ok(_) => Ok(true),
        Err(error) if error.is(StatusCode::CONFLICT) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}
