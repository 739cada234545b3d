//! The written form of a problem, and its place in OpenAPI documents.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ContentBuilder, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::{FieldError, PROBLEM_JSON, Problem};
use crate::code::Code;

/// Problem details (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Names the kind of problem; the same for every occurrence.
    #[serde(rename = "type")]
    pub kind: Cow<'a, str>,
    /// A short sentence about the kind of problem.
    pub title: Cow<'a, str>,
    /// The HTTP status.
    pub status: u16,
    /// A sentence about this occurrence.
    pub detail: Cow<'a, str>,
    /// The kind of problem in one word, for programs.
    pub code: Code,
    /// Names this request in logs and traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The fields that do not fit.
    #[serde(default, skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(value_type = Vec<FieldError>)]
    pub errors: Cow<'a, [FieldError]>,
}

pub(super) fn type_uri(code: Code) -> Cow<'static, str> {
    Cow::Owned(format!("urn:riwaq:problem:{}", code.as_str()))
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<utoipa::openapi::Schema> {
        ProblemBody::schema()
    }
}

impl ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Problem")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<utoipa::openapi::Schema>)>) {
        ProblemBody::schemas(schemas);
        schemas.push(("Problem".to_owned(), ProblemBody::schema()));
    }
}

/// In `#[utoipa::path(responses(.., Problem))]`: every answer that is not listed is a problem.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = ContentBuilder::new()
            .schema(Some(utoipa::openapi::Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description("A problem: what went wrong, in `code`")
            .content(PROBLEM_JSON, content)
            .build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}
