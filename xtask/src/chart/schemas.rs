//! Strict schemas of every kind, made from what Kubernetes and the Gateway API publish.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::backends::versions::{GATEWAY_API, KUBERNETES};
use crate::backends::{golang, install};
use crate::paths;

/// Changes whenever this file makes other schemas.
const REVISION: u32 = 1;

const ROUTES: &str = "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml";

/// The definition of HTTPRoute.
pub(super) fn routes() -> Result<PathBuf> {
    let module = golang::download(&GATEWAY_API, &paths::cache())?;
    Ok(module.join(ROUTES))
}

/// Their folder.
pub(crate) fn install() -> Result<PathBuf> {
    let folder = paths::cache().join(format!(
        "tools/kubernetes-schemas-{}-{}-{REVISION}",
        KUBERNETES.version, GATEWAY_API.version
    ));
    install::once(&folder, || make(&folder))?;
    Ok(folder)
}

fn make(folder: &Path) -> Result<()> {
    let module = golang::download(&KUBERNETES, folder)?;
    let text = fs::read_to_string(module.join("api/openapi-spec/swagger.json"))?;
    let mut document: Value = serde_json::from_str(&text)?;
    let mut definitions = document["definitions"].take();
    strict(&mut definitions);
    for (name, schema) in definitions.as_object().context("definitions")? {
        // What many kinds share (`DeleteOptions`) is no manifest.
        if let Some([kind]) = schema["x-kubernetes-group-version-kind"]
            .as_array()
            .map(Vec::as_slice)
        {
            let file = name_of(
                &text_of(kind, "group"),
                &text_of(kind, "version"),
                &text_of(kind, "kind"),
            );
            let reference = json!({ "$ref": format!("_definitions.json#/definitions/{name}") });
            fs::write(folder.join(file), reference.to_string())?;
        }
    }
    let all = json!({ "definitions": definitions });
    fs::write(folder.join("_definitions.json"), all.to_string())?;
    let module = golang::download(&GATEWAY_API, folder)?;
    custom(folder, &fs::read_to_string(module.join(ROUTES))?)
}

/// The versions of a custom resource definition.
fn custom(folder: &Path, text: &str) -> Result<()> {
    for document in serde_norway::Deserializer::from_str(text) {
        let definition = Value::deserialize(document)?;
        let spec = &definition["spec"];
        for version in spec["versions"].as_array().into_iter().flatten() {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            strict(&mut schema);
            // The server fills these in without being told of them by the definition.
            schema["properties"]["metadata"] = json!({ "type": "object" });
            let file = name_of(
                &text_of(spec, "group"),
                &text_of(version, "name"),
                &text_of(&spec["names"], "kind"),
            );
            fs::write(folder.join(file), schema.to_string())?;
        }
    }
    Ok(())
}

/// As kubeconform looks for it: `deployment-apps-v1.json`, `service-v1.json`.
fn name_of(group: &str, version: &str, kind: &str) -> String {
    let kind = kind.to_lowercase();
    match group.split('.').next() {
        Some(first) if !first.is_empty() => format!("{kind}-{first}-{version}.json"),
        _ => format!("{kind}-{version}.json"),
    }
}

fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// What is not named is refused; what OpenAPI says in its own way is said as JSON Schema.
fn strict(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(strict),
        Value::Object(object) => {
            if object
                .get("format")
                .is_some_and(|format| format == "int-or-string")
                || object.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
            {
                either(object, &["string", "integer"]);
            }
            object.values_mut().for_each(strict);
            let closed = object.get("properties").is_some_and(Value::is_object)
                && object.get("type").is_none_or(|of| of == "object")
                && !object.contains_key("additionalProperties");
            if closed {
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            if let Some(quantity) = object.get_mut("io.k8s.apimachinery.pkg.api.resource.Quantity")
                && let Some(quantity) = quantity.as_object_mut()
            {
                either(quantity, &["string", "number"]);
            }
        }
        _ => {}
    }
}

fn either(object: &mut Map<String, Value>, types: &[&str]) {
    object.remove("type");
    object.remove("format");
    let types: Vec<Value> = types.iter().map(|of| json!({ "type": of })).collect();
    object.insert("oneOf".to_owned(), Value::Array(types));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_takes_nothing_that_it_does_not_name() {
        let mut schema = json!({
            "type": "object",
            "properties": {
                "port": { "type": "string", "format": "int-or-string" },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } }
            }
        });
        strict(&mut schema);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["port"]["oneOf"][1]["type"], "integer");
        assert!(schema["properties"]["labels"]["additionalProperties"].is_object());
    }

    #[test]
    fn a_member_that_is_called_like_a_word_of_schemas_is_a_member() {
        let members = json!({
            "format": { "type": "string" },
            "properties": { "type": "object" },
            "x-kubernetes-int-or-string": { "type": "boolean" }
        });
        let mut schema = json!({ "type": "object", "properties": members });
        strict(&mut schema);
        assert!(schema["properties"]["oneOf"].is_null());
        assert_eq!(schema["properties"]["format"], members["format"]);
    }

    #[test]
    fn files_are_called_as_they_are_looked_for() {
        assert_eq!(name_of("", "v1", "Service"), "service-v1.json");
        assert_eq!(
            name_of("networking.k8s.io", "v1", "Ingress"),
            "ingress-networking-v1.json"
        );
    }
}
