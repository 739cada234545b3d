//! Lays the sources over one another and types the result.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::environment::Names;
use super::tree::Setting;

/// A setting that cannot be used, and where it was said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    key: String,
    origin: String,
    message: String,
}

impl ConfigError {
    pub(super) fn new(key: &str, origin: &str, message: &str) -> Self {
        Self {
            key: key.to_owned(),
            origin: origin.to_owned(),
            message: message.to_owned(),
        }
    }

    /// The dotted key, such as `gateway.rate_limit`; empty where there is none.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.origin, self.message),
            key => write!(f, "{key} (from {}): {}", self.origin, self.message),
        }
    }
}

/// Gathers the sources of a configuration, in any order; [`Loader::load`] lays them over one another.
///
/// ```
/// # use riwaq_kit::config::Loader;
/// #[derive(Default, serde::Serialize, serde::Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Config { port: u16 }
/// let config: Config = Loader::new()
///     .toml("port = 8080", "riwaq.toml")?
///     .environment([("RIWAQ_PORT".to_owned(), "9090".to_owned())])
///     .load()?;
/// assert_eq!(config.port, 9090);
/// # Ok::<(), riwaq_kit::config::ConfigError>(())
/// ```
#[derive(Debug, Default)]
pub struct Loader {
    files: Vec<Setting>,
    variables: Vec<(String, String)>,
    flags: Vec<(String, String, String)>,
    ignored: Vec<String>,
}

impl Loader {
    /// Without sources: the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a TOML file; a later one wins.
    ///
    /// # Errors
    /// It cannot be read, or is not TOML.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new("", &name, &format!("cannot be read: {error}")))?;
        self.toml(&text, &name)
    }

    /// Adds a TOML text that is called `name` in errors.
    ///
    /// # Errors
    /// It is not TOML.
    pub fn toml(mut self, text: &str, name: &str) -> Result<Self, ConfigError> {
        let table: toml::Table = toml::from_str(text)
            .map_err(|error| ConfigError::new("", name, error.to_string().trim_end()))?;
        self.files.push(Setting::from_toml(
            toml::Value::Table(table),
            &Arc::from(name),
        ));
        Ok(self)
    }

    /// Adds variables; those that do not begin with `RIWAQ_` are passed over.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with(super::PREFIX));
        self.variables.extend(ours);
        self
    }

    /// Passes over variables whose names begin with `prefix`: those that other programs of the project read.
    #[must_use]
    pub fn ignore(mut self, prefix: &str) -> Self {
        self.ignored.push(prefix.to_owned());
        self
    }

    /// Sets the setting at the dotted `key`, as said by `flag` (its name on the command line).
    #[must_use]
    pub fn flag(mut self, flag: &str, key: &str, value: impl Into<String>) -> Self {
        self.flags
            .push((flag.to_owned(), key.to_owned(), value.into()));
        self
    }

    /// The effective configuration.
    ///
    /// # Errors
    /// An unknown setting, or one that does not fit; the error says which, and where it was said.
    pub fn load<T: Default + Serialize + DeserializeOwned>(self) -> Result<T, ConfigError> {
        let origin = Arc::from("defaults");
        let defaults = serde_json::to_value(T::default())
            .map_err(|error| ConfigError::new("", "defaults", &error.to_string()))?;
        let mut tree = Setting::from_json(defaults, &origin);
        let names = Names::of(&tree);
        for file in self.files {
            tree.overlay(file);
        }
        for (name, value) in &self.variables {
            if !self
                .ignored
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
            {
                names.apply(&mut tree, name, value)?;
            }
        }
        for (flag, key, value) in self.flags {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            tree.put(&path, Setting::loose(value, &Arc::from(flag)));
        }
        typed(tree)
    }
}

fn typed<T: DeserializeOwned>(tree: Setting) -> Result<T, ConfigError> {
    let sources = tree.clone();
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let mut key = error.path().to_string();
        let message = error.inner().to_string();
        // For an unknown key serde's path is the table; the key is in the message.
        if let Some(unknown) = message
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split('`').next())
        {
            if key == "." {
                key = unknown.to_owned();
            } else if key != unknown && !key.ends_with(&format!(".{unknown}")) {
                key = format!("{key}.{unknown}");
            }
        }
        let origin = Arc::clone(&sources.nearest(key.split('.')).origin);
        ConfigError::new(&key, &origin, &message)
    })
}

#[cfg(test)]
mod tests;
