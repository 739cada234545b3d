//! The one configuration loader: defaults, then a TOML file, then `RIWAQ_*` variables, then flags.
//!
//! Every crate declares its part as a struct with `Default`, `Serialize`, `Deserialize` and
//! `#[serde(default, deny_unknown_fields)]`; the program gathers the parts in one struct and loads that.

mod docs;
mod environment;
mod loader;
mod render;
mod secret;
mod tree;
mod value;

pub use docs::ConfigDocs;
pub use environment::{PREFIX, process_environment};
pub use loader::{ConfigError, Loader};
pub use render::render;
pub use secret::Secret;
