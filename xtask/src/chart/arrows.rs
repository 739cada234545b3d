//! Who calls whom, and what each stands on: read from the roles' own source, for the network policies.

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
    /// What each role stands on beside records and events: `blobs`, `index`, `directory`, `mail`.
    pub(crate) needs: BTreeMap<String, BTreeSet<String>>,
}

/// The file of the chart that carries them.
pub(crate) fn file() -> PathBuf {
    Path::new(CHART).join("files/arrows.json")
}

/// What that file has to say.
pub(crate) fn text() -> Result<String> {
    let arrows = read()?;
    let value = serde_json::json!({ "asks": arrows.asks, "needs": arrows.needs });
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
        let (Some(asks), Some(needs)) = (found.asks, found.needs) else {
            bail!("{ROLES}/{role}.rs has no `asks`, or no `needs`");
        };
        self.asks.insert(role.to_owned(), asks);
        self.needs.insert(role.to_owned(), needs);
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    asks: Option<BTreeSet<String>>,
    needs: Option<BTreeSet<String>>,
}

impl<'ast> Visit<'ast> for Found {
    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        let syn::Member::Named(name) = &field.member else {
            return;
        };
        let mut names = Names::default();
        names.visit_expr(&field.expr);
        if name == "asks" {
            self.asks = Some(names.0);
        } else if name == "needs" {
            self.needs = Some(names.0);
        }
        visit::visit_field_value(self, field);
    }
}

/// Every text in an expression, and the last word of every path: `"users"`, and of `Need::Mail` `mail`.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.0.insert(text.value());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let last = path.segments.last();
        self.0
            .extend(last.map(|segment| segment.ident.to_string().to_lowercase()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_asks_and_one_that_needs() {
        let mut arrows = Arrows::default();
        let asking = r#"const ROLE: Role = Role { name: "a", asks: &["b", "c"], needs: &[] };"#;
        let needing = "const ROLE: Role = Role { asks: &[], needs: &[Need::Index, Need::Mail] };";
        arrows.add("a", asking).unwrap();
        arrows.add("b", needing).unwrap();
        assert_eq!(arrows.asks["a"], ["b".to_owned(), "c".to_owned()].into());
        assert!(arrows.asks["b"].is_empty());
        assert!(arrows.needs["a"].is_empty());
        assert_eq!(
            arrows.needs["b"],
            ["index".to_owned(), "mail".to_owned()].into()
        );
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
        assert!(arrows.needs["auth"].contains("mail"));
        assert!(arrows.needs["gateway"].is_empty());
    }
}
