//! The chart's README, made from the comments of its values.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::{CHART, values};

const RIWAQ: &str = "# The chart of Riwaq

[docs/guides/install.md](../../docs/guides/install.md) goes from a cluster to the first course. `examples/` has values for
both modes, and [k8s/](../../k8s) what comes of them, for whoever has no Helm.
";

const TRIAL: &str = "# Servers for a trial of Riwaq

One of each, for [the chart of Riwaq](../riwaq/README.md) with `mode: roles`, where nothing must last.
";

const TABLE: &str = "
This file is made from the comments of `values.yaml` by `cargo xtask chart`.

## Values
| value | default | what |
|---|---|---|
";

/// Where it lies.
pub(crate) fn file(chart: &str) -> PathBuf {
    Path::new(chart).join("README.md")
}

/// What it has to say.
pub(crate) fn text(chart: &str) -> Result<String> {
    let text = values::text(chart)?;
    let head = if chart == CHART { RIWAQ } else { TRIAL };
    let table = rendered(&text, &serde_norway::from_str(&text)?);
    Ok(format!("{head}{TABLE}{table}"))
}

fn rendered(text: &str, all: &Value) -> String {
    let documented = values::documented(text);
    let mut page = String::new();
    for one in &documented {
        let below = format!("{}.", one.path);
        let is_group = documented
            .iter()
            .any(|other| other.path.starts_with(&below));
        let default = if is_group {
            String::new()
        } else {
            format!("`{}`", shown(values::at(all, &one.path)))
        };
        let comment = one.comment.replace('|', "\\|");
        page.push_str(&format!("| `{}` | {default} | {comment} |\n", one.path));
    }
    page
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_documented_value_is_a_row_with_its_default() {
        let text = "# Which.\nmode: all\n# A group.\ngroup:\n  # Empty.\n  name: \"\"\n  # Two | three.\n  list: [2, 3]\n";
        let all = json!({ "mode": "all", "group": { "name": "", "list": [2, 3] } });
        let page = rendered(text, &all);
        assert!(page.contains("| `mode` | `all` | Which. |\n"), "{page}");
        assert!(page.contains("| `group` |  | A group. |\n"), "{page}");
        assert!(
            page.contains("| `group.name` | `\"\"` | Empty. |\n"),
            "{page}"
        );
        assert!(
            page.contains("| `group.list` | `[2,3]` | Two \\| three. |\n"),
            "{page}"
        );
    }
}
