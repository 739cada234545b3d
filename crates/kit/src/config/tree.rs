//! Settings before they are typed: a tree in which every value knows where it came from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

/// A value and where it was said.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Arc<str>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// From a variable or a flag: becomes whatever type is asked for.
    Loose(String),
    Array(Vec<Setting>),
    Table(BTreeMap<String, Setting>),
}

impl Setting {
    pub(super) fn loose(text: impl Into<String>, origin: &Arc<str>) -> Self {
        Self {
            value: Value::Loose(text.into()),
            origin: Arc::clone(origin),
        }
    }

    pub(super) fn empty(origin: &Arc<str>) -> Self {
        Self {
            value: Value::Table(BTreeMap::new()),
            origin: Arc::clone(origin),
        }
    }

    pub(super) fn from_json(json: Json, origin: &Arc<str>) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Value::Int(value),
                None => Value::Float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Value::Text(text),
            Json::Array(items) => Value::Array(
                items
                    .into_iter()
                    .map(|item| Self::from_json(item, origin))
                    .collect(),
            ),
            Json::Object(map) => Value::Table(
                map.into_iter()
                    .map(|(key, value)| (key, Self::from_json(value, origin)))
                    .collect(),
            ),
        };
        Self {
            value,
            origin: Arc::clone(origin),
        }
    }

    pub(super) fn from_toml(toml: toml::Value, origin: &Arc<str>) -> Self {
        let value = match toml {
            toml::Value::Boolean(value) => Value::Bool(value),
            toml::Value::Integer(value) => Value::Int(value),
            toml::Value::Float(value) => Value::Float(value),
            toml::Value::String(text) => Value::Text(text),
            toml::Value::Datetime(time) => Value::Text(time.to_string()),
            toml::Value::Array(items) => Value::Array(
                items
                    .into_iter()
                    .map(|item| Self::from_toml(item, origin))
                    .collect(),
            ),
            toml::Value::Table(map) => Value::Table(
                map.into_iter()
                    .map(|(key, value)| (key, Self::from_toml(value, origin)))
                    .collect(),
            ),
        };
        Self {
            value,
            origin: Arc::clone(origin),
        }
    }

    /// Lays `above` over this one: tables are merged key by key, anything else is replaced.
    pub(super) fn overlay(&mut self, above: Self) {
        match (&mut self.value, above.value) {
            (Value::Table(ours), Value::Table(theirs)) => {
                for (key, setting) in theirs {
                    match ours.get_mut(&key) {
                        Some(existing) => existing.overlay(setting),
                        None => {
                            ours.insert(key, setting);
                        }
                    }
                }
            }
            (ours, value) => {
                *ours = value;
                self.origin = above.origin;
            }
        }
    }

    /// Puts `setting` at `path`, making tables on the way.
    pub(super) fn put(&mut self, path: &[String], setting: Self) {
        let Some((first, rest)) = path.split_first() else {
            self.overlay(setting);
            return;
        };
        if !matches!(self.value, Value::Table(_)) {
            *self = Self::empty(&setting.origin);
        }
        if let Value::Table(map) = &mut self.value {
            let origin = Arc::clone(&setting.origin);
            map.entry(first.clone())
                .or_insert_with(|| Self::empty(&origin))
                .put(rest, setting);
        }
    }

    /// The setting at `path`, or the nearest one above it.
    pub(super) fn nearest<'a>(&self, mut path: impl Iterator<Item = &'a str>) -> &Self {
        match (&self.value, path.next()) {
            (Value::Table(map), Some(key)) => {
                map.get(key).map_or(self, |below| below.nearest(path))
            }
            _ => self,
        }
    }

    /// Calls `found` with the path of every setting, tables included.
    pub(super) fn walk(&self, path: &mut Vec<String>, found: &mut impl FnMut(&[String])) {
        if !path.is_empty() {
            found(path);
        }
        if let Value::Table(map) = &self.value {
            for (key, below) in map {
                path.push(key.clone());
                below.walk(path, found);
                path.pop();
            }
        }
    }
}
