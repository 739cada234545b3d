//! The values of the chart: what their file says, and whether the schema says the same.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::paths;

/// One value with the comment above it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Documented {
    pub(crate) path: String,
    pub(crate) comment: String,
}

/// The text of a chart's values.
pub(crate) fn text(chart: &str) -> Result<String> {
    Ok(fs::read_to_string(
        paths::root().join(chart).join("values.yaml"),
    )?)
}

/// Every value that has a comment, in the file's order.
pub(crate) fn documented(text: &str) -> Vec<Documented> {
    let (mut found, mut comment) = (Vec::new(), Vec::new());
    let mut parents: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(said) = trimmed.strip_prefix('#') {
            comment.push(said.trim());
        } else if let Some((key, _)) = trimmed.split_once(':').filter(|_| is_key(trimmed)) {
            let indent = line.len() - trimmed.len();
            parents.retain(|(depth, _)| *depth < indent);
            parents.push((indent, key.to_owned()));
            let names: Vec<&str> = parents.iter().map(|(_, name)| name.as_str()).collect();
            if !comment.is_empty() {
                let (path, comment) = (names.join("."), comment.join(" "));
                found.push(Documented { path, comment });
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    found
}

fn is_key(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// The value at a path of names.
pub(crate) fn at<'a>(values: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(values, |value, name| &value[name])
}

/// Fails where a value has no comment, or where values and schema name different things.
pub(crate) fn check(chart: &str) -> Result<()> {
    let text = text(chart)?;
    let values: Value = serde_norway::from_str(&text)?;
    let schema = fs::read_to_string(paths::root().join(chart).join("values.schema.json"))?;
    let findings = findings(&text, &values, &serde_json::from_str(&schema)?);
    if findings.is_empty() {
        return Ok(());
    }
    bail!("values of {chart}: {}", findings.join("; "))
}

fn findings(text: &str, values: &Value, schema: &Value) -> Vec<String> {
    let documented: BTreeSet<String> = documented(text).into_iter().map(|one| one.path).collect();
    let mut findings = Vec::new();
    without_comment(values, "", &documented, &mut findings);
    in_schema(schema, schema, "", &mut |path, is_closed| {
        if !is_closed {
            findings.push(format!("the schema takes anything beneath `{path}`"));
        }
        // Helm's own, and the program's sections, which it checks itself.
        if path != "global" && !path.starts_with("config.") && at(values, path).is_null() {
            findings.push(format!("the schema knows {path}, values.yaml does not"));
        }
    });
    findings
}

/// A value without a comment is a group whose members have one.
fn without_comment(
    values: &Value,
    above: &str,
    known: &BTreeSet<String>,
    findings: &mut Vec<String>,
) {
    let Some(members) = values.as_object() else {
        return;
    };
    for (name, value) in members {
        let path = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        if known.contains(&path) {
            continue;
        }
        match value.as_object() {
            Some(members) if !members.is_empty() => without_comment(value, &path, known, findings),
            _ => findings.push(format!("{path} has no comment")),
        }
    }
}

/// Calls `see` with every named value, and whether what is beneath it is named as well.
fn in_schema(root: &Value, schema: &Value, above: &str, see: &mut impl FnMut(&str, bool)) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for (name, member) in properties {
        let path = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        let resolved = resolve(root, member);
        let is_closed =
            resolved["properties"].is_null() || resolved["additionalProperties"] == false;
        see(&path, is_closed);
        // What a user fills in as a whole is not named in the values.
        let is_whole = ["resources", "gatewayFrom", "parentRefs"].contains(&name.as_str());
        if !is_whole {
            in_schema(root, resolved, &path, see);
        }
    }
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"]
        .as_str()
        .and_then(|name| name.strip_prefix("#/$defs/"));
    reference.map_or(schema, |name| &root["$defs"][name])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str =
        "# The file.\n\n# One.\na: 1\ngroup:\n  # Two,\n  # in two lines.\n  b: {}\n  c: 3\n";

    #[test]
    fn comments_belong_to_the_value_beneath_them() {
        let found = documented(TEXT);
        let shown: Vec<(&str, &str)> = found
            .iter()
            .map(|one| (one.path.as_str(), one.comment.as_str()))
            .collect();
        assert_eq!(shown, [("a", "One."), ("group.b", "Two, in two lines.")]);
    }

    #[test]
    fn a_value_without_a_comment_or_without_a_schema_is_found() {
        let values = json!({ "a": 1, "group": { "b": {}, "c": 3 } });
        let schema = json!({ "additionalProperties": false, "properties": {
            "a": { "type": "integer" },
            "gone": { "type": "integer" },
            "group": { "properties": { "b": { "type": "object" } } }
        }});
        let found = findings(TEXT, &values, &schema).join("\n");
        assert!(found.contains("group.c has no comment"), "{found}");
        assert!(found.contains("knows gone"), "{found}");
        assert!(found.contains("anything beneath `group`"), "{found}");
    }

    #[test]
    fn the_charts_have_both() {
        for chart in [crate::chart::CHART, crate::chart::TRIAL] {
            check(chart).unwrap();
        }
    }
}
