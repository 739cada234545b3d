//! The OpenAPI document says what the service does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::World;

async fn document() -> Value {
    serde_json::to_value(World::new().await.openapi()).unwrap()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let ("$ref", Some(target)) = (name.as_str(), member.as_str()) {
                    found.insert(target.to_owned());
                }
                references(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = document().await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target} is not there");
    }
}

#[tokio::test]
async fn every_operation_has_its_name_its_problems_and_its_identity() {
    let document = document().await;
    let mut names = BTreeSet::new();
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let case = format!("{method} {path}");
            operations += 1;
            assert!(
                names.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{case}"
            );
            assert!(
                operation["responses"]["default"]["content"]["application/problem+json"]
                    .is_object(),
                "{case}"
            );
            assert!(operation["security"][0]["bearer"].is_array(), "{case}");
            let success = operation["responses"]
                .as_object()
                .unwrap()
                .keys()
                .any(|status| status.starts_with('2'));
            assert!(success, "{case} has no success");
        }
    }
    assert_eq!(operations, 19);
}
