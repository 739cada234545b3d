use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::config::Secret;

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Config {
    public_url: String,
    gateway: Gateway,
    llm: Llm,
    clients: BTreeMap<String, Client>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: "http://localhost".into(),
            // Not the default of `Gateway`: a part of it that is not said keeps this.
            gateway: Gateway {
                port: 8080,
                ..Gateway::default()
            },
            llm: Llm::default(),
            clients: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Gateway {
    port: u16,
    rate_limit: bool,
    origins: Vec<String>,
    tls: Option<Tls>,
}

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Tls {
    certificate: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Llm {
    ollama_url: Option<String>,
    key: Option<Secret>,
}

impl PartialEq for Llm {
    fn eq(&self, other: &Self) -> bool {
        self.ollama_url == other.ollama_url
    }
}

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Client {
    limit: u32,
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(toml: &str, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Loader::new()
        .toml(toml, "riwaq.toml")?
        .environment(env(pairs))
        .ignore("RIWAQ_TEST_")
        .load()
}

#[test]
fn later_sources_win_and_the_rest_keeps_its_default() {
    let toml = "public_url = 'http://a'\n[gateway]\nrate_limit = true\norigins = ['x']";
    let config = load(toml, &[("RIWAQ_PUBLIC_URL", "http://b"), ("PATH", "/bin")]).unwrap();
    assert_eq!(config.public_url, "http://b");
    assert_eq!(
        config.gateway,
        Gateway {
            port: 8080,
            rate_limit: true,
            origins: vec!["x".into()],
            tls: None
        }
    );
    let flagged: Config = Loader::new()
        .environment(env(&[("RIWAQ_GATEWAY_PORT", "1")]))
        .flag("--port", "gateway.port", "2")
        .load()
        .unwrap();
    assert_eq!(flagged.gateway.port, 2);
}

#[test]
fn variables_take_the_type_of_their_setting() {
    let config = load(
        "",
        &[
            ("RIWAQ_GATEWAY_RATE_LIMIT", "off"),
            ("RIWAQ_GATEWAY_ORIGINS", "a, b,"),
            ("RIWAQ_LLM_OLLAMA_URL", "http://o"),
            ("RIWAQ_GATEWAY_TLS__CERTIFICATE", "/c"),
            ("RIWAQ_CLIENTS__PORTAL__LIMIT", "7"),
            ("RIWAQ_GATEWAY__PORT", "99"),
            ("RIWAQ_TEST_ANYTHING", "x"),
        ],
    )
    .unwrap();
    assert!(!config.gateway.rate_limit);
    assert_eq!(config.gateway.origins, ["a", "b"]);
    assert_eq!(config.gateway.tls.unwrap().certificate, "/c");
    assert_eq!(config.gateway.port, 99);
    assert_eq!(config.llm.ollama_url.as_deref(), Some("http://o"));
    assert_eq!(config.clients["portal"].limit, 7);
    let absent = load("[llm]\nollama_url = 'x'", &[("RIWAQ_LLM_OLLAMA_URL", "")]).unwrap();
    assert_eq!(absent.llm.ollama_url, None);
}

#[test]
fn a_table_that_is_absent_by_default_is_reached_by_its_plain_name() {
    let config = load("", &[("RIWAQ_GATEWAY_TLS_CERTIFICATE", "/c")]).unwrap();
    assert_eq!(config.gateway.tls.unwrap().certificate, "/c");
}

#[test]
fn errors_name_the_setting_and_where_it_was_said() {
    let said = |toml, pairs: &[_]| load(toml, pairs).unwrap_err().to_string();
    assert!(
        said("[gateway]\nprot = 1", &[])
            .starts_with("gateway.prot (from riwaq.toml): unknown field")
    );
    assert!(said("x = 1", &[]).starts_with("x (from riwaq.toml)"));
    assert!(said("[gateway]\nport = 'a'", &[]).starts_with("gateway.port (from riwaq.toml)"));
    assert_eq!(
        said("", &[("RIWAQ_GATEWAY_PORT", "70000")]),
        "gateway.port (from RIWAQ_GATEWAY_PORT): must be a whole number from 0 to 65535"
    );
    assert_eq!(
        said("", &[("RIWAQ_GATEWAY_RATE_LIMITS", "off")]),
        "RIWAQ_GATEWAY_RATE_LIMITS: no such setting; did you mean RIWAQ_GATEWAY_RATE_LIMIT?"
    );
    assert!(said("", &[("RIWAQ_GATEWAY_TLS__X", "1")]).starts_with("gateway.tls.x"));
    assert!(said("a = [", &[]).starts_with("riwaq.toml:"));
}

#[test]
fn a_secret_may_come_from_a_file_named_by_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "s3cret\n").unwrap();
    let config = load("", &[("RIWAQ_LLM_KEY_FILE", path.to_str().unwrap())]).unwrap();
    assert_eq!(config.llm.key.unwrap().expose(), "s3cret");
    assert!(load("", &[("RIWAQ_LLM_KEY_FILE", "/nonexistent")]).is_err());
}
