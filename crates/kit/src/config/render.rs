//! Prints the effective configuration as a commented TOML file that can be used again.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use super::docs::ConfigDocs;
use super::loader::ConfigError;

/// The effective configuration `config`, which is the struct `root` of `krate`: every setting with what it
/// means; settings that are absent are commented out; secrets are not shown.
///
/// # Errors
/// `config` does not serialise to a table.
pub fn render<T: Serialize>(
    config: &T,
    docs: &ConfigDocs,
    krate: &str,
    root: &str,
) -> Result<String, ConfigError> {
    let value = serde_json::to_value(config)
        .map_err(|error| ConfigError::new("", root, &error.to_string()))?;
    let Value::Object(map) = value else {
        return Err(ConfigError::new("", root, "is not a table"));
    };
    let mut printer = Printer {
        out: String::new(),
        docs,
        krate,
        root,
    };
    printer.table(&map, &mut Vec::new());
    Ok(printer.out)
}

struct Printer<'a> {
    out: String,
    docs: &'a ConfigDocs,
    krate: &'a str,
    root: &'a str,
}

impl Printer<'_> {
    /// TOML wants the plain settings of a table before the tables beneath it.
    fn table(&mut self, map: &Map<String, Value>, path: &mut Vec<String>) {
        for (name, value) in map.iter().filter(|(_, value)| !value.is_object()) {
            path.push(name.clone());
            self.comment(path);
            let prefix = if value.is_null() || is_redacted(value) {
                "# "
            } else {
                ""
            };
            // Writing to memory does not fail, here and below.
            let _ = writeln!(self.out, "{prefix}{} = {}", key(name), inline(value));
            path.pop();
        }
        for (name, value) in map {
            let Value::Object(below) = value else {
                continue;
            };
            path.push(name.clone());
            self.out.push('\n');
            self.comment(path);
            let header: Vec<_> = path.iter().map(|part| key(part)).collect();
            let _ = writeln!(self.out, "[{}]", header.join("."));
            self.table(below, path);
            path.pop();
        }
    }

    fn comment(&mut self, path: &[String]) {
        for line in self
            .docs
            .of(self.krate, self.root, path)
            .unwrap_or_default()
        {
            let _ = writeln!(self.out, "# {line}");
        }
    }
}

fn is_redacted(value: &Value) -> bool {
    value.as_str() == Some("<redacted>")
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { name.to_owned() } else { string(name) }
}

fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn inline(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(name, value)| format!("{} = {}", key(name), inline(value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::config::{Loader, Secret};

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Root {
        public_url: String,
        gateway: Gateway,
        clients: std::collections::BTreeMap<String, Client>,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Gateway {
        port: u16,
        key: Option<Secret>,
        origins: Vec<String>,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Client {
        limit: u32,
    }

    const ROOT_SOURCE: &str = r"
        /// Everything.
        pub struct Root {
            /// Where people find us.
            pub public_url: String,
            /// The public listener.
            pub gateway: other::Gateway,
            pub clients: BTreeMap<String, Client>,
        }
        pub struct Client {
            /// Requests a minute.
            pub limit: u32,
        }
    ";
    const OTHER_SOURCE: &str = r"
        pub struct Gateway {
            /// The port,
            /// of TCP.
            #[serde(default)]
            pub port: u16,
            /// Signs things.
            pub key: Option<Secret>,
        }
    ";

    #[test]
    fn the_effective_configuration_is_commented_and_can_be_used_again() {
        let config: Root = Loader::new()
            .toml(
                "[gateway]\nport = 7\nkey = 'hunter2'\n[clients.'a b']\nlimit = 3",
                "x",
            )
            .unwrap()
            .load()
            .unwrap();
        let docs = ConfigDocs::new()
            .source("root", ROOT_SOURCE)
            .source("other", OTHER_SOURCE);
        let text = render(&config, &docs, "root", "Root").unwrap();
        assert!(
            text.contains("# Where people find us.\npublic_url = \"\"\n"),
            "{text}"
        );
        assert!(
            text.contains("# The public listener.\n[gateway]\n"),
            "{text}"
        );
        assert!(
            text.contains("# The port,\n# of TCP.\nport = 7\n"),
            "{text}"
        );
        assert!(
            text.contains("# Signs things.\n# key = \"<redacted>\"\n"),
            "{text}"
        );
        assert!(
            text.contains("[clients.\"a b\"]\n# Requests a minute.\nlimit = 3\n"),
            "{text}"
        );
        assert!(!text.contains("hunter2"));
        let again: Root = Loader::new().toml(&text, "again").unwrap().load().unwrap();
        assert_eq!(again.gateway.port, 7);
    }
}
