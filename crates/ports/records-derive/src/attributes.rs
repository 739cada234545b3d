//! Reads `#[table(...)]` and `#[column(...)]`.

use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Field, Ident, LitInt, LitStr, Result, Token, parenthesized};

/// `#[table(...)]`.
pub(crate) struct TableAttributes {
    pub(crate) name: LitStr,
    pub(crate) conditional: bool,
    pub(crate) partition: Vec<Ident>,
    /// Field, and whether descending.
    pub(crate) clustering: Vec<(Ident, bool)>,
    pub(crate) since: u32,
    pub(crate) ttl: Option<Ident>,
}

/// How a field becomes a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// By `riwaq_records::Field`.
    Field,
    /// By serde, as JSON.
    Json,
    /// By `Display` and `FromStr`.
    Text,
}

/// `#[column(...)]` of one field.
pub(crate) struct ColumnAttributes {
    pub(crate) encoding: Encoding,
    pub(crate) name: LitStr,
    pub(crate) since: Option<LitInt>,
}

#[derive(Default)]
struct Partial {
    name: Option<LitStr>,
    write: Option<LitStr>,
    partition: Vec<Ident>,
    clustering: Vec<(Ident, bool)>,
    since: Option<LitInt>,
    ttl: Option<Ident>,
}

impl TableAttributes {
    pub(crate) fn read(struct_name: &Ident, attributes: &[Attribute]) -> Result<Self> {
        let mut partial = Partial::default();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("table"))
        {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    partial.name = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("write") {
                    partial.write = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("since") {
                    partial.since = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("ttl") {
                    partial.ttl = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("partition") {
                    let inside;
                    parenthesized!(inside in meta.input);
                    partial.partition = Punctuated::<Ident, Token![,]>::parse_terminated(&inside)?
                        .into_iter()
                        .collect();
                } else if meta.path.is_ident("clustering") {
                    let inside;
                    parenthesized!(inside in meta.input);
                    partial.clustering = Punctuated::<_, Token![,]>::parse_terminated_with(
                        &inside,
                        clustering_column,
                    )?
                    .into_iter()
                    .collect();
                } else {
                    return Err(
                        meta.error("expected name, write, partition, clustering, since or ttl")
                    );
                }
                Ok(())
            })?;
        }
        partial.complete(struct_name)
    }
}

impl Partial {
    fn complete(self, struct_name: &Ident) -> Result<TableAttributes> {
        let missing =
            |what: &str| Error::new(struct_name.span(), format!("#[table(...)] needs {what}"));
        let name = self.name.ok_or_else(|| missing("name = \"...\""))?;
        check_name(&name)?;
        if name.value().starts_with("riwaq_") {
            return Err(Error::new(
                name.span(),
                "names that begin with riwaq_ belong to the engines",
            ));
        }
        let write = self
            .write
            .ok_or_else(|| missing("write = \"conditional\" or \"timestamped\""))?;
        let conditional = match write.value().as_str() {
            "conditional" => true,
            "timestamped" => false,
            _ => {
                return Err(Error::new(
                    write.span(),
                    "expected \"conditional\" or \"timestamped\"",
                ));
            }
        };
        if self.partition.is_empty() {
            return Err(missing("partition(field, ...)"));
        }
        let since = self.since.as_ref().map_or(Ok(1), number)?;
        let (partition, clustering, ttl) = (self.partition, self.clustering, self.ttl);
        Ok(TableAttributes {
            name,
            conditional,
            partition,
            clustering,
            since,
            ttl,
        })
    }
}

fn clustering_column(input: ParseStream<'_>) -> Result<(Ident, bool)> {
    let field = input.parse()?;
    if !input.peek(Ident) {
        return Ok((field, false));
    }
    let order: Ident = input.parse()?;
    match order.to_string().as_str() {
        "asc" => Ok((field, false)),
        "desc" => Ok((field, true)),
        _ => Err(Error::new(order.span(), "expected asc or desc")),
    }
}

impl ColumnAttributes {
    pub(crate) fn read(field: &Field) -> Result<Self> {
        let ident = field
            .ident
            .as_ref()
            .ok_or_else(|| Error::new(field.span(), "fields must be named"))?;
        let plain = ident.to_string();
        let plain = plain.strip_prefix("r#").unwrap_or(&plain);
        let mut column = Self {
            encoding: Encoding::Field,
            name: LitStr::new(plain, ident.span()),
            since: None,
        };
        for attribute in field
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("column"))
        {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("json") {
                    column.encoding = Encoding::Json;
                } else if meta.path.is_ident("text") {
                    column.encoding = Encoding::Text;
                } else if meta.path.is_ident("name") {
                    column.name = meta.value()?.parse()?;
                } else if meta.path.is_ident("since") {
                    column.since = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected json, text, name or since"));
                }
                Ok(())
            })?;
        }
        check_name(&column.name)?;
        if column.name.value() == "op_id" {
            let reason =
                "op_id belongs to the store: it is passed beside the row, and read with get_stored";
            return Err(Error::new(column.name.span(), reason));
        }
        Ok(column)
    }
}

/// A positive number of a migration.
pub(crate) fn number(literal: &LitInt) -> Result<u32> {
    match literal.base10_parse()? {
        0 => Err(Error::new(literal.span(), "migrations are numbered from 1")),
        number => Ok(number),
    }
}

/// The rule of `riwaq_records::validate::is_name`.
fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let good = text.len() <= 48
        && text.bytes().all(allowed)
        && text.starts_with(|first: char| first.is_ascii_lowercase());
    if good {
        return Ok(());
    }
    Err(Error::new(
        name.span(),
        "a name has a-z, 0-9 and _, begins with a letter, and has at most 48 characters",
    ))
}
