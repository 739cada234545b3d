//! The realm as the file has it, with what an installation says put in.

use serde_json::{Value, json};

use super::{Provision, ProvisionError};
use crate::config::ConfigError;

/// The realm as code: what Keycloak's own import takes as well.
const FILE: &str = include_str!("../../../../../keycloak/realm-riwaq.json");
/// The name of the realm in the file; Keycloak calls the role that everybody has after it.
#[cfg(test)]
const NAME_IN_FILE: &str = "riwaq";

/// The client that has the role that asks for a second factor.
const PORTAL: &str = "riwaq-portal";
const SECOND_FACTOR: &str = "second-factor";

/// The whole representation.
pub(super) fn wanted(options: &Provision) -> Result<Value, ProvisionError> {
    let public = options.public_url.trim_end_matches('/');
    let mut realm: Value = serde_json::from_str(FILE)
        .map_err(|error| ProvisionError::Server(format!("the realm's file: {error}")))?;
    // After parsing, so that no address can change the meaning of the file.
    fill_in(&mut realm, &|text| {
        text.replace("${RIWAQ_PUBLIC_URL}", public)
    });
    realm["realm"] = json!(options.realm_name);
    realm["defaultRole"]["name"] = json!(default_role(&options.realm_name));
    if let Some(school) = &options.school_name {
        realm["displayName"] = json!(school);
        realm["displayNameHtml"] = json!(escaped(school));
    }
    second_factor(&mut realm, options)?;
    let clients = realm["clients"].as_array_mut();
    let mut unknown: Vec<&String> = options.client_secrets.keys().collect();
    for client in clients.into_iter().flatten() {
        let id = client["clientId"].as_str().unwrap_or_default().to_owned();
        if let Some(url) = options
            .backchannel_logout_url
            .as_ref()
            .filter(|_| client["attributes"]["backchannel.logout.url"].is_string())
        {
            client["attributes"]["backchannel.logout.url"] = json!(url);
        }
        if let Some(secret) = options.client_secrets.get(&id) {
            client["secret"] = json!(secret);
            unknown.retain(|known| **known != id);
        }
    }
    match unknown.first() {
        None => Ok(realm),
        Some(client) => Err(ConfigError {
            field: "client_secrets",
            message: format!("{client}: the realm has no such client"),
        }
        .into()),
    }
}

/// The role that asks for a second factor is put into those roles, and into no other of the file's.
fn second_factor(realm: &mut Value, options: &Provision) -> Result<(), ConfigError> {
    let mut unknown = options.second_factor_roles.clone();
    let roles = realm["roles"]["realm"].as_array_mut();
    for role in roles.into_iter().flatten() {
        let name = role["name"].as_str().unwrap_or_default().to_owned();
        let Some(fields) = role.as_object_mut() else {
            continue;
        };
        if unknown.remove(&name) {
            let parts = json!({ "client": { PORTAL: [SECOND_FACTOR] } });
            fields.insert("composite".into(), json!(true));
            fields.insert("composites".into(), parts);
        } else {
            fields.remove("composite");
            fields.remove("composites");
        }
    }
    match unknown.pop_first() {
        None => Ok(()),
        Some(role) => Err(ConfigError {
            field: "second_factor_roles",
            message: format!("{role}: the realm's file has no such role"),
        }),
    }
}

/// What Keycloak calls the role that everybody has.
pub(super) fn default_role(realm_name: &str) -> String {
    format!("default-roles-{}", realm_name.to_lowercase())
}

fn fill_in(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill_in(field, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::provision::BACKCHANNEL_LOGOUT_PATH;

    fn options() -> Provision {
        Provision {
            realm_name: "Lycee-1".into(),
            public_url: "https://riwaq.example/".into(),
            client_secrets: BTreeMap::from([("riwaq-auth".into(), "s".repeat(40))]),
            school_name: Some("Études & <Lettres>".into()),
            ..Provision::default()
        }
    }

    fn client<'a>(realm: &'a Value, id: &str) -> &'a Value {
        let clients = realm["clients"].as_array().unwrap();
        clients
            .iter()
            .find(|client| client["clientId"] == id)
            .unwrap()
    }

    #[test]
    fn an_installation_is_put_into_the_file() {
        let realm = wanted(&options()).unwrap();
        let portal = client(&realm, "riwaq-portal");
        assert_eq!(
            portal["redirectUris"],
            json!(["https://riwaq.example/api/auth/session/callback"])
        );
        assert_eq!(
            portal["attributes"]["backchannel.logout.url"],
            json!(format!("https://riwaq.example{BACKCHANNEL_LOGOUT_PATH}"))
        );
        assert_eq!(
            client(&realm, "riwaq-auth")["secret"],
            json!("s".repeat(40))
        );
        assert_eq!(realm["defaultRole"]["name"], "default-roles-lycee-1");
        assert_eq!(realm["displayNameHtml"], "Études &amp; &lt;Lettres&gt;");
        assert!(!realm.to_string().contains("${RIWAQ"));
    }

    #[test]
    fn both_clients_that_people_sign_in_by_are_told_of_ended_sessions() {
        let told = Provision {
            backchannel_logout_url: Some("http://gateway.internal/told".into()),
            ..options()
        };
        for (options, expected) in [
            (
                options(),
                format!("https://riwaq.example{BACKCHANNEL_LOGOUT_PATH}"),
            ),
            (told, "http://gateway.internal/told".to_owned()),
        ] {
            let realm = wanted(&options).unwrap();
            for id in ["riwaq-portal", "riwaq-cli"] {
                let url = &client(&realm, id)["attributes"]["backchannel.logout.url"];
                assert_eq!(*url, json!(expected), "{id}");
            }
            let auth = &client(&realm, "riwaq-auth")["attributes"];
            assert_eq!(auth["backchannel.logout.url"], Value::Null);
        }
    }

    #[test]
    fn the_file_holds_no_secret_and_names_the_realm() {
        let file: Value = serde_json::from_str(FILE).unwrap();
        assert_eq!(file["realm"], NAME_IN_FILE);
        assert_eq!(
            file["defaultRole"]["name"],
            json!(default_role(NAME_IN_FILE))
        );
        assert!(!FILE.contains("\"secret\""));
        assert!(!FILE.contains("\"value\""));
    }

    #[test]
    fn the_file_asks_for_a_second_factor_where_the_defaults_do() {
        let file: Value = serde_json::from_str(FILE).unwrap();
        let filled = wanted(&options()).unwrap();
        assert_eq!(filled["roles"], file["roles"]);
        let none = Provision {
            second_factor_roles: ["student".to_owned()].into(),
            ..options()
        };
        let filled = wanted(&none).unwrap();
        let roles = filled["roles"]["realm"].as_array().unwrap();
        let with: Vec<&Value> = roles
            .iter()
            .filter(|role| role["composites"]["client"][PORTAL] == json!([SECOND_FACTOR]))
            .map(|role| &role["name"])
            .collect();
        assert_eq!(with, ["student"]);
        let unknown = Provision {
            second_factor_roles: ["dean".to_owned()].into(),
            ..options()
        };
        assert!(wanted(&unknown).unwrap_err().to_string().contains("dean"));
    }

    #[test]
    fn a_secret_for_an_unknown_client_is_refused() {
        let mut options = options();
        options
            .client_secrets
            .insert("riwaq-potal".into(), "s".repeat(40));
        let error = wanted(&options).unwrap_err();
        assert!(error.to_string().contains("riwaq-potal"), "{error}");
    }
}
