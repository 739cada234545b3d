use riwaq_kit::service::{AcmeConfig, TlsConfig};

use super::*;

fn by_acme(folder: &str) -> Config {
    let mut config = Config {
        data_dir: "/var/lib/riwaq".into(),
        ..Config::default()
    };
    config.server.tls = Some(TlsConfig {
        acme: Some(AcmeConfig {
            folder: folder.into(),
            ..AcmeConfig::default()
        }),
        ..TlsConfig::default()
    });
    config.settled()
}

#[test]
fn what_acme_leaves_is_in_the_data_folder_unless_said_otherwise() {
    let folder = |config: Config| config.server.tls.unwrap().acme.unwrap().folder;
    let usual = PathBuf::from("/var/lib/riwaq/acme");
    assert_eq!(folder(by_acme("")), usual);
    assert_eq!(folder(by_acme("/etc/acme")), PathBuf::from("/etc/acme"));
}

#[test]
fn the_demonstrations_password_is_no_setting_and_its_neighbours_are_refused() {
    let loaded = |name: &str| {
        let variables = [(name.to_owned(), "a-password".to_owned())];
        let loader = Loader::new().environment(settings(variables.into_iter()));
        loader.load::<Config>().map(|_| ())
    };
    loaded("RIWAQ_DEMO_PASSWORD").unwrap();
    let refused = loaded("RIWAQ_DEMO_PASSWORD_FILE").unwrap_err().to_string();
    assert!(refused.contains("RIWAQ_DEMO_PASSWORD_FILE"), "{refused}");
}

#[test]
fn tls_is_the_public_listener_s_alone() {
    assert!(by_acme("").of_role("gateway").server.tls.is_some());
    for role in roles::ROLES.iter().filter(|role| role.name != "gateway") {
        let config = by_acme("").of_role(role.name);
        assert!(config.server.tls.is_none(), "{}", role.name);
    }
}

#[test]
fn the_address_of_a_listener_with_tls_begins_with_https() {
    let address = "127.0.0.1:8443".parse().unwrap();
    let plain = Config::default().bound(address).unwrap();
    assert_eq!(plain.public_url, "http://127.0.0.1:8443");
    let config = by_acme("").bound(address).unwrap();
    assert_eq!(config.public_url, "https://127.0.0.1:8443");
    assert!(config.identity.issuer.starts_with("https://"));
}

#[test]
fn every_setting_of_tls_is_printed_with_its_meaning() {
    let text = by_acme("").render().unwrap();
    for line in [
        "reload_seconds = 60",
        "accept_terms = false",
        "directory_url = \"https://acme-v02.api.letsencrypt.org/directory\"",
        "order_timeout_seconds = 300",
    ] {
        let at = text.find(line).unwrap_or_else(|| panic!("{line}: {text}"));
        let before = text[..at].trim_end().lines().next_back();
        assert!(
            before.is_some_and(|line| line.starts_with('#')),
            "{line} has no comment: {before:?}"
        );
    }
}

#[test]
fn the_longest_time_of_a_call_between_roles_is_a_setting_with_bounds() {
    let within = |milliseconds: &str| {
        let variables = [(
            "RIWAQ_CALLS_DEADLINE_MS".to_owned(),
            milliseconds.to_owned(),
        )];
        let config: Config = Loader::new().environment(variables).load()?;
        Ok::<_, anyhow::Error>(config.bound("127.0.0.1:8080".parse()?)?.calls.deadline_ms)
    };
    assert_eq!(Config::default().calls.deadline_ms, 5_000);
    assert_eq!(within("20000").unwrap(), 20_000);
    for refused in ["0", "99", "60001"] {
        let said = within(refused).unwrap_err().to_string();
        let expected = format!("calls.deadline_ms is {refused}: it must be 100 to 60000");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn the_chart_takes_every_section_but_those_that_it_sets_itself() {
    let schema = include_str!("../../../../charts/riwaq/values.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let taken = &schema["properties"]["config"]["properties"];
    let all = serde_json::to_value(Config::default()).unwrap();
    let sections = all.as_object().unwrap().iter();
    let sections = sections.filter(|(name, section)| {
        section.is_object() && !["secrets", "peers"].contains(&name.as_str())
    });
    let missing: Vec<_> = sections
        .filter(|(name, _)| taken.get(name).is_none())
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
