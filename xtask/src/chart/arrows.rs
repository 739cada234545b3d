//! Who calls whom: read from the roles' own source, for the network policies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use syn::visit::{self, Visit};

use super::CHART;
use crate::paths;

/// Where each role says what it is.
const ROLES: &str = "services/riwaq/src/role";

/// The arrows of the program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrows {
    /// The roles that each role calls.
    pub(crate) asks: BTreeMap<String, BTreeSet<String>>,
    /// The roles that send mail. Every other backend is opened by every role.
    pub(crate) mails: BTreeSet<String>,
}

/// The file of the chart that carries them.
pub(crate) fn file() -> PathBuf {
    Path::new(CHART).join("files/arrows.json")
}

/// What that file has to say.
pub(crate) fn text() -> Result<String> {
    let arrows = read()?;
    let value = serde_json::json!({ "asks": arrows.asks, "mails": arrows.mails });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

/// Reads them.
pub(crate) fn read() -> Result<Arrows> {
    let mut arrows = Arrows::default();
    let folder = paths::root().join(ROLES);
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {ROLES}"))? {
        let path = entry?.path();
        let role = path.file_stem().unwrap_or_default().to_string_lossy();
        if role != "mod" {
            let source = fs::read_to_string(&path)?;
            arrows.add(&role, &source)?;
        }
    }
    Ok(arrows)
}

impl Arrows {
    fn add(&mut self, role: &str, source: &str) -> Result<()> {
        let mut found = Found::default();
        found.visit_file(&syn::parse_file(source).with_context(|| format!("the role {role}"))?);
        let Some(asks) = found.asks else {
            bail!("{ROLES}/{role}.rs has no `asks`");
        };
        self.asks.insert(role.to_owned(), asks);
        if found.mails {
            self.mails.insert(role.to_owned());
        }
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    asks: Option<BTreeSet<String>>,
    mails: bool,
}

impl<'ast> Visit<'ast> for Found {
    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if matches!(&field.member, syn::Member::Named(name) if name == "asks") {
            let mut names = Names::default();
            names.visit_expr(&field.expr);
            self.asks = Some(names.0);
        }
        visit::visit_field_value(self, field);
    }

    fn visit_expr_field(&mut self, field: &'ast syn::ExprField) {
        // `parts.adapters.mail`
        let of_adapters = matches!(&*field.base, syn::Expr::Field(base)
            if matches!(&base.member, syn::Member::Named(name) if name == "adapters"));
        let is_mail = matches!(&field.member, syn::Member::Named(name) if name == "mail");
        self.mails |= of_adapters && is_mail;
        visit::visit_expr_field(self, field);
    }
}

/// Every text in an expression.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.0.insert(text.value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_asks_and_one_that_sends_mail() {
        let mut arrows = Arrows::default();
        let asking = r#"const ROLE: Role = Role { name: "a", asks: &["b", "c"] };"#;
        let mailing =
            r#"const ROLE: Role = Role { asks: &[] }; fn f(p: &P) { g(p.adapters.mail.clone()); }"#;
        arrows.add("a", asking).unwrap();
        arrows.add("b", mailing).unwrap();
        assert_eq!(arrows.asks["a"], ["b".to_owned(), "c".to_owned()].into());
        assert!(arrows.asks["b"].is_empty());
        assert_eq!(arrows.mails, ["b".to_owned()].into());
        assert!(arrows.add("c", "fn nothing() {}").is_err());
    }

    #[test]
    fn the_program_has_arrows_and_all_of_them_lead_to_roles() {
        let arrows = read().unwrap();
        assert!(arrows.asks["gateway"].len() > 3);
        assert!(
            arrows
                .asks
                .values()
                .flatten()
                .all(|asked| arrows.asks.contains_key(asked))
        );
        assert!(arrows.mails.contains("auth"));
    }
}
