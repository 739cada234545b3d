//! Query parameters, and those that every list shares.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use http::Uri;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, MapDeserializer};
use utoipa::IntoParams;

use super::serde_errors::does_not_fit;
use crate::problem::Problem;

/// The parameters of the query as a `T`, which should say `#[serde(deny_unknown_fields)]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApiQuery<T>(pub T);

impl<T, S> FromRequestParts<S> for ApiQuery<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse(pairs(&parts.uri)).map(Self)
    }
}

/// Which page of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many items at most, 1 to 200.
    pub limit: usize,
    /// Where to go on, as the page before gave it.
    pub cursor: Option<String>,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: Self::DEFAULT_LIMIT,
            cursor: None,
        }
    }
}

impl Page {
    /// How many items a page has when the caller does not say.
    pub const DEFAULT_LIMIT: usize = 50;
    /// How many items a page has at most.
    pub const MAX_LIMIT: usize = 200;
    /// How long a cursor may be, in bytes; ours are far shorter.
    const MAX_CURSOR: usize = 2048;

    fn set(&mut self, name: &str, value: Cow<'_, str>) -> Result<(), Problem> {
        if name == "limit" {
            let limit = value
                .parse()
                .ok()
                .filter(|limit| (1..=Self::MAX_LIMIT).contains(limit));
            self.limit = limit
                .ok_or_else(|| Problem::field("limit", "must be a whole number from 1 to 200"))?;
        } else if value.is_empty() || value.len() > Self::MAX_CURSOR {
            return Err(Problem::bad_cursor());
        } else {
            self.cursor = Some(value.into_owned());
        }
        Ok(())
    }
}

/// The parameters of every list, for OpenAPI documents: `params(PageParams)`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes what ApiList reads; never made")]
pub struct PageParams {
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A list without filters.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

/// The parameters of a list: `limit` and `cursor` as a [`Page`], the others as a `T`.
#[derive(Debug, Clone, Default)]
pub struct ApiList<T = NoFilter> {
    /// Which page.
    pub page: Page,
    /// The list's own parameters.
    pub filter: T,
}

impl<T, S> FromRequestParts<S> for ApiList<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut page = Page::default();
        let (mut filter, mut seen) = (Vec::new(), Vec::new());
        for (name, value) in pairs(&parts.uri) {
            if name != "limit" && name != "cursor" {
                filter.push((name, value));
                continue;
            }
            if seen.contains(&name) {
                return Err(Problem::field(name, "is given twice"));
            }
            page.set(&name, value)?;
            seen.push(name);
        }
        Ok(Self {
            page,
            filter: parse(filter.into_iter())?,
        })
    }
}

fn pairs(uri: &Uri) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
}

fn parse<'a, T: DeserializeOwned>(
    pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<T, Problem> {
    let values = pairs.map(|(name, value)| (name, Text(value)));
    let deserializer = MapDeserializer::<_, ValueError>::new(values);
    serde_path_to_error::deserialize(deserializer)
        .map_err(|error| does_not_fit(error.path(), &error.inner().to_string()))
}

/// A parameter's value: numbers and booleans are read from its text.
struct Text<'a>(Cow<'a, str>);

impl<'de> serde::de::IntoDeserializer<'de, ValueError> for Text<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! from_text {
    ($($method:ident => $visit:ident: $type:ty, $what:literal;)*) => {
        $(fn $method<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(serde::de::Error::custom(concat!("must be ", $what))),
            }
        })*
    };
}

impl<'de> serde::Deserializer<'de> for Text<'_> {
    type Error = ValueError;

    fn deserialize_any<V: serde::de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_str(&self.0)
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        use serde::de::IntoDeserializer;
        let name: serde::de::value::StrDeserializer<'_, ValueError> = (*self.0).into_deserializer();
        visitor.visit_enum(name)
    }

    from_text! {
        deserialize_bool => visit_bool: bool, "true or false";
        deserialize_i8 => visit_i8: i8, "a whole number";
        deserialize_i16 => visit_i16: i16, "a whole number";
        deserialize_i32 => visit_i32: i32, "a whole number";
        deserialize_i64 => visit_i64: i64, "a whole number";
        deserialize_u8 => visit_u8: u8, "a whole number, not negative";
        deserialize_u16 => visit_u16: u16, "a whole number, not negative";
        deserialize_u32 => visit_u32: u32, "a whole number, not negative";
        deserialize_u64 => visit_u64: u64, "a whole number, not negative";
        deserialize_f32 => visit_f32: f32, "a number";
        deserialize_f64 => visit_f64: f64, "a number";
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
        i128 u128
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use uuid::Uuid;

    use super::*;
    use crate::code::Code;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Scope {
        Mine,
        Catalogue,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        scope: Option<Scope>,
        owner: Option<Uuid>,
        #[serde(default)]
        unread: bool,
    }

    async fn list(query: &str) -> Result<ApiList<Filter>, Problem> {
        let (mut parts, ()) = Request::get(format!("/x?{query}"))
            .body(())
            .unwrap()
            .into_parts();
        ApiList::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_list_reads_its_page_and_its_own_parameters() {
        let ApiList { page, filter } = list("scope=mine&limit=3&cursor=abc&unread=true")
            .await
            .unwrap();
        assert_eq!(
            page,
            Page {
                limit: 3,
                cursor: Some("abc".into())
            }
        );
        assert_eq!(
            filter,
            Filter {
                scope: Some(Scope::Mine),
                owner: None,
                unread: true
            }
        );
        assert_eq!(list("").await.unwrap().page, Page::default());
    }

    #[tokio::test]
    async fn parameters_that_do_not_fit_are_named() {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=ten", "limit"),
            ("limit=-1", "limit"),
            ("limit=1&limit=2", "limit"),
            ("scope=theirs", "scope"),
            ("owner=7", "owner"),
            ("unread=maybe", "unread"),
            ("unknown=1", "unknown"),
            ("scope=mine&scope=mine", "scope"),
        ] {
            let problem = list(query).await.unwrap_err();
            assert_eq!(problem.code(), Code::ValidationFailed, "{query}");
            assert_eq!(problem.errors()[0].field, field, "{query}");
        }
    }

    #[tokio::test]
    async fn an_impossible_cursor_is_a_bad_cursor() {
        assert_eq!(list("cursor=").await.unwrap_err().code(), Code::BadCursor);
        let long = "a".repeat(5000);
        assert_eq!(
            list(&format!("cursor={long}")).await.unwrap_err().code(),
            Code::BadCursor
        );
    }

    #[tokio::test]
    async fn a_list_without_filters_takes_only_its_page() {
        let (mut parts, ()) = Request::get("/x?limit=1&x=2")
            .body(())
            .unwrap()
            .into_parts();
        let refused = ApiList::<NoFilter>::from_request_parts(&mut parts, &())
            .await
            .unwrap_err();
        assert_eq!(refused.errors()[0].field, "x");
    }
}
