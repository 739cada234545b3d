//! What the settings mean: read from the doc comments of the structs that declare them, so that the printed
//! configuration and the code cannot say different things.

use std::collections::HashMap;

/// The doc comments of configuration structs.
///
/// The program embeds the files that declare them (`include_str!`) and names the crate of each, as it is
/// written in the types of fields: `gateway: riwaq_gateway::Config`.
#[derive(Debug, Default)]
pub struct ConfigDocs {
    /// From (crate, struct) to its fields.
    structs: HashMap<(String, String), Vec<Field>>,
}

#[derive(Debug, Clone)]
struct Field {
    name: String,
    doc: Vec<String>,
    /// The types named in its type, innermost last, each with its crate where that is said.
    types: Vec<(Option<String>, String)>,
}

impl ConfigDocs {
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the structs declared in a source file of `krate`.
    #[must_use]
    pub fn source(mut self, krate: &str, text: &str) -> Self {
        let mut current: Option<(String, Vec<Field>)> = None;
        let mut doc = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix("///") {
                doc.push(comment.trim().to_owned());
            } else if let Some(name) = struct_name(line) {
                current = Some((name, Vec::new()));
                doc.clear();
            } else if line == "}" {
                if let Some((name, fields)) = current.take() {
                    self.structs.insert((krate.to_owned(), name), fields);
                }
            } else if let (Some((_, fields)), Some((name, kind))) = (&mut current, field(line)) {
                let types = types(kind);
                fields.push(Field {
                    name,
                    doc: std::mem::take(&mut doc),
                    types,
                });
            } else if !line.starts_with("#[") {
                doc.clear();
            }
        }
        self
    }

    /// The comment on the setting at `path`, beginning at the struct `root` of `krate`.
    pub(super) fn of(&self, krate: &str, root: &str, path: &[String]) -> Option<&[String]> {
        let (first, rest) = path.split_first()?;
        let field = self
            .fields(krate, root)?
            .iter()
            .find(|field| field.name == *first)?;
        if rest.is_empty() {
            return Some(&field.doc);
        }
        // The key of a map is a step of the path without being a field.
        let below = |path| {
            let mut types = field.types.iter();
            types.find_map(|(inner, name)| self.of(inner.as_deref().unwrap_or(krate), name, path))
        };
        below(rest).or_else(|| below(&rest[1..]))
    }

    fn fields(&self, krate: &str, name: &str) -> Option<&Vec<Field>> {
        self.structs.get(&(krate.to_owned(), name.to_owned()))
    }
}

fn struct_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("struct ")?;
    let visible = before.is_empty() || before.starts_with("pub");
    let name = after.strip_suffix('{')?.trim();
    (visible && name.chars().all(char::is_alphanumeric)).then(|| name.to_owned())
}

fn field(line: &str) -> Option<(String, &str)> {
    let line = line
        .strip_prefix("pub(crate) ")
        .or_else(|| line.strip_prefix("pub "))
        .unwrap_or(line);
    let (name, kind) = line.split_once(": ")?;
    let name = name.strip_prefix("r#").unwrap_or(name);
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    plain.then(|| (name.to_owned(), kind))
}

/// `Option<riwaq_gateway::Config>` names `Option` and `riwaq_gateway::Config`.
fn types(kind: &str) -> Vec<(Option<String>, String)> {
    kind.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .filter(|path| !path.is_empty())
        .map(|path| {
            let mut parts = path.split("::").filter(|part| !part.is_empty());
            let first = parts.next().unwrap_or_default();
            match parts.last() {
                Some(last) if !matches!(first, "crate" | "self" | "super") => {
                    (Some(first.to_owned()), last.to_owned())
                }
                Some(last) => (None, last.to_owned()),
                None => (None, first.to_owned()),
            }
        })
        .collect()
}
