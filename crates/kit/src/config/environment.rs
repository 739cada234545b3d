//! Which setting a variable means.

use std::collections::HashMap;
use std::sync::Arc;

use super::loader::ConfigError;
use super::secret::Secret;
use super::tree::Setting;

/// What the names of our variables begin with.
pub const PREFIX: &str = "RIWAQ_";

/// The variables of the process, for [`super::Loader::environment`]. Those that are not Unicode are left out:
/// none of ours can be.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// From `GATEWAY_RATE_LIMIT` to `gateway.rate_limit`, for every known setting.
pub(super) struct Names(HashMap<String, Vec<String>>);

impl Names {
    pub(super) fn of(defaults: &Setting) -> Self {
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        defaults.walk(&mut Vec::new(), &mut |path| {
            // `a.b_c` and `a_b.c` would share a name: the first keeps it, the other is said with `__`.
            names
                .entry(path.join("_").to_ascii_uppercase())
                .or_insert_with(|| path.to_vec());
        });
        Self(names)
    }

    /// The path that `name` (without prefix) means. `__` separates levels where `_` would not be clear, and
    /// reaches beneath settings that are absent by default.
    fn path(&self, name: &str) -> Option<Vec<String>> {
        if let Some(path) = self.0.get(name) {
            return Some(path.clone());
        }
        let (first, rest) = name.split_once("__")?;
        let mut path = self.0.get(first)?.clone();
        path.extend(rest.split("__").map(str::to_ascii_lowercase));
        path.iter().all(|key| !key.is_empty()).then_some(path)
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
            .0
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
        if let Some(path) = name.strip_suffix("_FILE").and_then(|base| self.path(base)) {
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
