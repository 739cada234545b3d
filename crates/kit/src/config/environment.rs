//! Which setting a variable means.

use std::collections::HashMap;
use std::sync::Arc;

use super::loader::ConfigError;
use super::secret::Secret;
use super::tree::{Setting, Value};

/// What the names of our variables begin with.
pub const PREFIX: &str = "RIWAQ_";

/// The variables of the process, for [`super::Loader::environment`]. Those that are not Unicode are left out:
/// none of ours can be.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// From `GATEWAY_RATE_LIMIT` to `gateway.rate_limit`, for every known setting.
pub(super) struct Names {
    known: HashMap<String, Vec<String>>,
    /// Those that have no value by default.
    absent: Vec<String>,
}

impl Names {
    pub(super) fn of(defaults: &Setting) -> Self {
        let mut known: HashMap<String, Vec<String>> = HashMap::new();
        defaults.walk(&mut Vec::new(), &mut |path| {
            // `a.b_c` and `a_b.c` would share a name: the first keeps it, the other is said with `__`.
            known
                .entry(path.join("_").to_ascii_uppercase())
                .or_insert_with(|| path.to_vec());
        });
        let is_absent = |path: &[String]| {
            let setting = defaults.nearest(path.iter().map(String::as_str));
            matches!(setting.value, Value::Null)
        };
        let absent = known.iter().filter(|(_, path)| is_absent(path));
        let absent = absent.map(|(name, _)| name.clone()).collect();
        Self { known, absent }
    }

    /// The path that `name` (without prefix) means. `__` separates levels where `_` would not be clear, and
    /// reaches beneath settings that are absent by default.
    fn path(&self, name: &str) -> Option<Vec<String>> {
        if let Some(path) = self.known.get(name) {
            return Some(path.clone());
        }
        let (first, rest) = name.split_once("__")?;
        let mut path = self.known.get(first)?.clone();
        path.extend(rest.split("__").map(str::to_ascii_lowercase));
        path.iter().all(|key| !key.is_empty()).then_some(path)
    }

    /// A setting of a table that is absent by default: `SERVER_TLS_KEY_FILE` is `server.tls.key_file`.
    fn beneath_absent(&self, name: &str) -> Option<Vec<String>> {
        let beneath = |absent: &&String| {
            name.strip_prefix(absent.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
        };
        let absent = self
            .absent
            .iter()
            .filter(beneath)
            .max_by_key(|absent| absent.len())?;
        let mut path = self.known.get(absent)?.clone();
        path.push(name[absent.len() + 1..].to_ascii_lowercase());
        Some(path)
    }

    /// The known name that is most like `name`.
    fn like(&self, name: &str) -> Option<&str> {
        let common = |known: &str| {
            known
                .bytes()
                .zip(name.bytes())
                .take_while(|(a, b)| a == b)
                .count()
        };
        let best = self
            .known
            .keys()
            .max_by_key(|known| (common(known), std::cmp::Reverse(known.len())))?;
        (common(best) >= 4).then_some(best)
    }

    /// Reads one variable into `tree`.
    pub(super) fn apply(
        &self,
        tree: &mut Setting,
        variable: &str,
        value: &str,
    ) -> Result<(), ConfigError> {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            return Ok(());
        };
        let origin: Arc<str> = variable.into();
        if let Some(path) = self.path(name) {
            tree.put(&path, Setting::loose(value, &origin));
            return Ok(());
        }
        let file = name.strip_suffix("_FILE").and_then(|base| self.path(base));
        if let (None, Some(path)) = (&file, self.beneath_absent(name)) {
            tree.put(&path, Setting::loose(value, &origin));
            return Ok(());
        }
        if let Some(path) = file {
            let secret = Secret::read(value)
                .map_err(|why| ConfigError::new(&path.join("."), &origin, &why))?;
            tree.put(&path, Setting::loose(secret.expose(), &origin));
            return Ok(());
        }
        let hint = self
            .like(name)
            .map(|like| format!("; did you mean {PREFIX}{like}?"))
            .unwrap_or_default();
        Err(ConfigError::new(
            "",
            &origin,
            &format!("no such setting{hint}"),
        ))
    }
}
