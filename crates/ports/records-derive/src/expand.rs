//! Writes the implementation of `Table`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Result, Type};

use crate::attributes::{ColumnAttributes, Encoding, TableAttributes, number};

/// One field that is a column.
struct Column<'a> {
    field: &'a Ident,
    kind: &'a Type,
    name: LitStr,
    encoding: Encoding,
    since: u32,
    in_key: bool,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "a table cannot be generic",
        ));
    }
    let table = TableAttributes::read(&input.ident, &input.attrs)?;
    let columns = columns(input, &table)?;
    let key_columns = table.partition.len() + table.clustering.len();
    if key_columns > 6 {
        return Err(Error::new(
            input.ident.span(),
            "a primary key has at most six columns",
        ));
    }
    let ident = &input.ident;
    let (schema, checks) = (schema(&table, &columns)?, checks(&table, &columns));
    let (to_row, from_row) = (to_row(&table, &columns), from_row(&table, &columns));
    let tuple = |columns: &[Column<'_>]| {
        let types = columns.iter().map(|column| column.kind);
        quote!((#(#types,)*))
    };
    let partition = tuple(&columns[..table.partition.len()]);
    let clustering = tuple(&columns[table.partition.len()..key_columns]);
    let key = tuple(&columns[..key_columns]);
    Ok(quote! {
        #checks
        #[automatically_derived]
        impl ::riwaq_records::Table for #ident {
            type Partition = #partition;
            type Clustering = #clustering;
            type Key = #key;
            #schema
            #to_row
            #from_row
        }
    })
}

/// The fields in the order of the schema: partition, clustering, others.
fn columns<'a>(input: &'a DeriveInput, table: &TableAttributes) -> Result<Vec<Column<'a>>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.span(), "a table is a struct"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new(
            input.span(),
            "a table is a struct with named fields",
        ));
    };
    let key: Vec<&Ident> = table
        .partition
        .iter()
        .chain(table.clustering.iter().map(|(field, _)| field))
        .collect();
    let mut slots: Vec<Option<Column<'a>>> = key.iter().map(|_| None).collect();
    for (at, ident) in key.iter().enumerate() {
        if key[..at].contains(ident) {
            return Err(Error::new(ident.span(), "is in the key twice"));
        }
    }
    let mut others = Vec::new();
    for field in &fields.named {
        let Some(ident) = &field.ident else { continue };
        let attributes = ColumnAttributes::read(field)?;
        let place = key.iter().position(|name| *name == ident);
        let since = attributes.since.as_ref().map_or(Ok(table.since), number)?;
        if since < table.since {
            return Err(Error::new(
                attributes.since.span(),
                "a column is not older than its table",
            ));
        }
        if place.is_some() && (attributes.encoding == Encoding::Json || since > table.since) {
            return Err(Error::new(
                ident.span(),
                "a key column is neither JSON nor added later",
            ));
        }
        let column = Column {
            field: ident,
            kind: &field.ty,
            name: attributes.name,
            encoding: attributes.encoding,
            since,
            in_key: place.is_some(),
        };
        if column.encoding != Encoding::Field && since > table.since && !is_option(column.kind) {
            return Err(Error::new(
                ident.span(),
                "a column that is added later must be an Option",
            ));
        }
        if column.in_key && column.encoding == Encoding::Text {
            return Err(Error::new(
                ident.span(),
                "a key column implements riwaq_records::Field itself",
            ));
        }
        match place {
            Some(place) => slots[place] = Some(column),
            None => others.push(column),
        }
    }
    let mut columns = Vec::new();
    for (slot, ident) in slots.into_iter().zip(key) {
        columns
            .push(slot.ok_or_else(|| Error::new(ident.span(), "is not a field of this struct"))?);
    }
    columns.extend(others);
    refuse_twice(&columns)?;
    Ok(columns)
}

fn refuse_twice(columns: &[Column<'_>]) -> Result<()> {
    for (at, column) in columns.iter().enumerate() {
        if columns[..at]
            .iter()
            .any(|earlier| earlier.name.value() == column.name.value())
        {
            return Err(Error::new(column.name.span(), "two columns have this name"));
        }
    }
    Ok(())
}

fn schema(table: &TableAttributes, columns: &[Column<'_>]) -> Result<TokenStream> {
    let (name, since, partition) = (&table.name, table.since, table.partition.len());
    let mode = if table.conditional {
        quote!(Conditional)
    } else {
        quote!(Timestamped)
    };
    let orders = table.clustering.iter().map(|(_, descending)| {
        if *descending {
            quote!(Descending)
        } else {
            quote!(Ascending)
        }
    });
    let ttl = match &table.ttl {
        None => quote!(::core::option::Option::None),
        Some(field) => {
            let column = columns
                .iter()
                .find(|column| column.field == field && !column.in_key);
            let Some(Column { name, .. }) = column else {
                return Err(Error::new(
                    field.span(),
                    "is not a field outside of the key",
                ));
            };
            quote!(::core::option::Option::Some(#name))
        }
    };
    let declared = columns.iter().map(declaration);
    Ok(quote! {
        fn schema() -> &'static ::riwaq_records::TableSchema {
            static SCHEMA: ::riwaq_records::TableSchema = ::riwaq_records::TableSchema {
                name: #name,
                since: #since,
                write_mode: ::riwaq_records::WriteMode::#mode,
                columns: &[#(#declared),*],
                partition_columns: #partition,
                clustering: &[#(::riwaq_records::Order::#orders),*],
                ttl_column: #ttl,
            };
            &SCHEMA
        }
    })
}

fn declaration(column: &Column<'_>) -> TokenStream {
    let (name, since, kind) = (&column.name, column.since, column.kind);
    let (column_type, nullable) = match column.encoding {
        Encoding::Field => (
            quote_spanned!(kind.span()=> <#kind as ::riwaq_records::Field>::COLUMN_TYPE),
            quote_spanned!(kind.span()=> <#kind as ::riwaq_records::Field>::NULLABLE),
        ),
        Encoding::Json | Encoding::Text => {
            let nullable = is_option(kind);
            let kind = if column.encoding == Encoding::Json {
                quote!(Json)
            } else {
                quote!(Text)
            };
            (
                quote!(::riwaq_records::ColumnType::#kind),
                quote!(#nullable),
            )
        }
    };
    quote! {
        ::riwaq_records::Column { name: #name, kind: #column_type, nullable: #nullable, since: #since }
    }
}

/// What only the types can tell, checked when the struct is compiled.
fn checks(table: &TableAttributes, columns: &[Column<'_>]) -> TokenStream {
    let checks = columns
        .iter()
        .filter(|column| column.encoding == Encoding::Field)
        .map(|column| {
            let kind = column.kind;
            let field = quote!(<#kind as ::riwaq_records::Field>);
            let (holds, message) = if column.in_key {
                let holds = quote!(#field::COLUMN_TYPE.may_be_key() && !#field::NULLABLE);
                (holds, "a key column can be neither optional nor a double")
            } else if column.since > table.since {
                (
                    quote!(#field::NULLABLE),
                    "a column that is added later must be an Option",
                )
            } else if table.ttl.as_ref() == Some(column.field) {
                let timestamp = quote!(::riwaq_records::ColumnType::Timestamp);
                let holds =
                    quote!(::core::matches!(#field::COLUMN_TYPE, #timestamp) && !#field::NULLABLE);
                (holds, "a ttl column must be a timestamp, and not optional")
            } else {
                return TokenStream::new();
            };
            quote_spanned!(kind.span()=> const _: () = ::core::assert!(#holds, #message);)
        });
    quote!(#(#checks)*)
}

fn to_row(table: &TableAttributes, columns: &[Column<'_>]) -> TokenStream {
    let name = &table.name;
    let values = columns.iter().map(|column| {
        let (field, column_name) = (column.field, &column.name);
        let function = Ident::new(
            &format!("to_{}", function_suffix(column)),
            column.kind.span(),
        );
        quote!(::riwaq_records::derive_support::#function(#name, #column_name, &self.#field)?)
    });
    quote! {
        fn to_row(&self) -> ::core::result::Result<::riwaq_records::Row, ::riwaq_records::RecordsError> {
            ::core::result::Result::Ok(::riwaq_records::Row::new(::std::vec![#(#values),*]))
        }
    }
}

fn from_row(table: &TableAttributes, columns: &[Column<'_>]) -> TokenStream {
    let name = &table.name;
    let fields = columns.iter().map(|column| {
        let (field, column_name) = (column.field, &column.name);
        let function = Ident::new(&format!("from_{}", function_suffix(column)), column.kind.span());
        quote!(#field: ::riwaq_records::derive_support::#function(#name, #column_name, values.next())?)
    });
    quote! {
        fn from_row(
            row: ::riwaq_records::Row,
        ) -> ::core::result::Result<Self, ::riwaq_records::RecordsError> {
            let mut values = row.into_values().into_iter();
            ::core::result::Result::Ok(Self { #(#fields),* })
        }
    }
}

fn function_suffix(column: &Column<'_>) -> &'static str {
    match (column.encoding, is_option(column.kind)) {
        (Encoding::Field, _) => "value",
        (Encoding::Json, false) => "json",
        (Encoding::Json, true) => "json_option",
        (Encoding::Text, false) => "text",
        (Encoding::Text, true) => "text_option",
    }
}

/// Whether the type is written as `Option<..>`.
fn is_option(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    path.path
        .segments
        .last()
        .is_some_and(|segment| segment.ident == "Option")
}

#[cfg(test)]
mod tests;
