//! Derives a table declaration from a Rust struct.
//!
//! Owns the syntax of `#[derive(Table)]`; must not know any engine. See [`derive_table`].
#![warn(missing_docs)]

mod attributes;
mod expand;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a row of a table.
///
/// ```text
/// #[derive(Table)]
/// #[table(name = "course_versions", write = "conditional", partition(id), clustering(version desc))]
/// struct CourseVersion {
///     id: Uuid,
///     version: i64,
///     changed_at: DateTime<Utc>,
///     #[column(text)]
///     kind: ChangeKind,          // Display and FromStr
///     #[column(json)]
///     state: CourseState,        // serde
///     #[column(since = 4)]
///     reviewed_by: Option<Uuid>, // added by migration 4
/// }
/// ```
///
/// On the struct, `#[table(...)]`:
/// - `name = "..."`: the table's name: `a-z`, `0-9`, `_`, a letter first, at most 48 characters;
/// - `write = "conditional"` or `"timestamped"`;
/// - `partition(field, ...)`: the partition key;
/// - `clustering(field [asc|desc], ...)`: the clustering columns, ascending unless said otherwise;
/// - `since = N`: the migration that creates it (1 unless given);
/// - `ttl = field`: the timestamp after which the row may be removed.
///
/// On a field, `#[column(...)]`: `json` (serde), `text` (Display and FromStr), `name = "..."`,
/// `since = N`. Other fields implement `riwaq_records::Field`; `Option` makes a column nullable.
#[proc_macro_derive(Table, attributes(table, column))]
pub fn derive_table(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
