//! What the derive refuses, and how it says so.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_quote};

use super::expand;

fn refusal(input: &DeriveInput) -> String {
    expand(input).unwrap_err().to_string()
}

#[test]
fn what_is_missing_is_named() {
    let bare: DeriveInput = parse_quote!(
        struct Row {
            id: i64,
        }
    );
    assert_eq!(refusal(&bare), "#[table(...)] needs name = \"...\"");
    let unnamed_way: DeriveInput = parse_quote!(
        #[table(name = "rows", partition(id))]
        struct Row {
            id: i64,
        }
    );
    assert_eq!(
        refusal(&unnamed_way),
        "#[table(...)] needs write = \"conditional\" or \"timestamped\""
    );
    let keyless: DeriveInput = parse_quote!(
        #[table(name = "rows", write = "conditional")]
        struct Row {
            id: i64,
        }
    );
    assert_eq!(
        refusal(&keyless),
        "#[table(...)] needs partition(field, ...)"
    );
}

#[test]
fn names_and_words_outside_of_the_rules_are_refused() {
    let refused = |attributes: TokenStream, fields: TokenStream| -> String {
        refusal(&parse_quote!(#[table(#attributes)] struct Row { #fields }))
    };
    let id = || quote!(id: i64);
    let upper = quote!(name = "Rows", write = "conditional", partition(id));
    assert!(refused(upper, id()).starts_with("a name has a-z"));
    let ours = quote!(name = "riwaq_rows", write = "conditional", partition(id));
    assert!(refused(ours, id()).contains("belong to the engines"));
    let way = quote!(name = "rows", write = "often", partition(id));
    assert!(refused(way, id()).starts_with("expected \"conditional\""));
    let typo = quote!(
        name = "rows",
        write = "conditional",
        partition(id),
        cluster(id)
    );
    assert!(refused(typo, id()).starts_with("expected name, write"));
    let order = quote!(name = "rows", write = "conditional", partition(id), clustering(n down));
    assert_eq!(refused(order, id()), "expected asc or desc");
    let good = || quote!(name = "rows", write = "conditional", partition(id));
    assert!(refused(good(), quote!(id: i64, op_id: i64)).contains("op_id belongs to the store"));
    assert!(refused(good(), quote!(id: i64, #[column(xml)] a: i64)).starts_with("expected json"));
    assert!(
        refused(good(), quote!(id: i64, #[column(name = "id")] a: i64)).starts_with("two columns")
    );
}

#[test]
fn keys_that_cannot_be_are_refused() {
    let refused = |attributes: TokenStream, fields: TokenStream| -> String {
        refusal(
            &parse_quote!(#[table(name = "rows", write = "timestamped", #attributes)] struct Row { #fields }),
        )
    };
    let fields = || quote!(id: i64, n: i64);
    assert_eq!(
        refused(quote!(partition(other)), fields()),
        "is not a field of this struct"
    );
    assert_eq!(
        refused(quote!(partition(id), clustering(id)), fields()),
        "is in the key twice"
    );
    assert!(refused(quote!(partition(id), ttl = id), fields()).contains("outside of the key"));
    let json = quote!(#[column(json)] id: i64);
    assert_eq!(
        refused(quote!(partition(id)), json),
        "a key column is neither JSON nor added later"
    );
    let later = quote!(id: i64, #[column(json, since = 2)] n: i64);
    assert_eq!(
        refused(quote!(partition(id)), later),
        "a column that is added later must be an Option"
    );
    let older = quote!(id: i64, #[column(since = 2)] n: Option<i64>);
    assert_eq!(
        refused(quote!(partition(id), since = 3), older),
        "a column is not older than its table"
    );
    assert_eq!(
        refused(quote!(partition(id), since = 0), fields()),
        "migrations are numbered from 1"
    );
}

#[test]
fn only_plain_structs_are_tables() {
    let generic: DeriveInput = parse_quote!(
        struct Row<T> {
            id: T,
        }
    );
    assert_eq!(refusal(&generic), "a table cannot be generic");
    let choice: DeriveInput = parse_quote!(
        #[table(name = "rows", write = "timestamped", partition(id))]
        enum Row {
            A,
        }
    );
    assert_eq!(refusal(&choice), "a table is a struct");
    let tuple: DeriveInput = parse_quote!(
        #[table(name = "rows", write = "timestamped", partition(id))]
        struct Row(i64);
    );
    assert_eq!(refusal(&tuple), "a table is a struct with named fields");
}
