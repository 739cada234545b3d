//! `GET /api/search`.
#![expect(unused_qualifications, reason = "of code that utoipa makes")]

use std::sync::Arc;

use axum::extract::State as FromState;
use axum::{Json, Router};
use riwaq_aggregates::{CursorKey, CursorScope};
use riwaq_identity::Actor;
use riwaq_index::{Hit, Index, Kind, Position, Query};
use riwaq_kit::{ApiList, ApiResult, PageParams, Problem};
use serde::{Deserialize, Serialize};
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Access;
use crate::domain::snippet::{Snippet, snippet};

/// Longest question, in characters.
const QUESTION_CHARS: usize = 1_000;

/// What the handler works with.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) access: Access,
    pub(crate) cursor_key: CursorKey,
}

/// The routes and their document.
pub(crate) fn router(state: State) -> (Router, OpenApi) {
    routes().with_state(state).split_for_parts()
}

/// The document alone.
pub(crate) fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(search))
}

/// Which hits are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HitKind {
    /// A passage of a file.
    Passage,
    /// A course.
    Course,
    /// A person. People are not indexed; none is found.
    Person,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Words to look for, in French, Arabic or English; there are no operators.
    #[param(min_length = 1, max_length = 1000)]
    q: String,
    /// Only hits of this kind.
    #[param(inline)]
    kind: Option<HitKind>,
    /// Only hits of this course.
    course_id: Option<Uuid>,
}

/// One hit.
#[derive(Debug, Serialize, ToSchema)]
struct SearchHit {
    kind: HitKind,
    /// The passage or course.
    id: Uuid,
    /// The title of the file or course.
    title: String,
    /// The part of the text that answers best; `…` where it was cut.
    snippet: String,
    /// Where words of the question stand in `snippet`: from and to, in characters (Unicode code
    /// points).
    highlights: Vec<[usize; 2]>,
    /// The course that it belongs to.
    course_id: Uuid,
    /// The file that a passage is of.
    file_id: Option<Uuid>,
    /// The page of the passage, from 1, where the document has pages.
    #[schema(minimum = 1)]
    page: Option<u32>,
    /// The heading above the passage; may be empty.
    heading: String,
    /// How well it answers; only to compare hits of one answer.
    score: f32,
}

/// One page of hits, best first.
#[derive(Debug, Serialize, ToSchema)]
struct SearchPage {
    items: Vec<SearchHit>,
    /// `cursor` of the next page; null when there is none.
    next_cursor: Option<String>,
}

/// Where a page ended, as the cursor carries it: the score by its bits, so that none is lost.
#[derive(Debug, Serialize, Deserialize)]
struct Mark(u32, Uuid);

/// Searches files and courses
///
/// Finds passages of files and courses among what the caller may read at this moment. A word is
/// found in any of its inflected forms; every hit has at least one of the words.
#[utoipa::path(
    get,
    path = "/api/search",
    tag = "search",
    params(Filter, PageParams),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Hits, best first", body = SearchPage),
        (status = 400, description = "`bad_cursor`: the cursor is not one of this question and caller", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation_failed`: a parameter does not fit", body = Problem, content_type = "application/problem+json"),
        Problem,
    )
)]
async fn search(
    FromState(state): FromState<State>,
    actor: Actor,
    ApiList { page, filter }: ApiList<Filter>,
) -> ApiResult<Json<SearchPage>> {
    check(&filter.q)?;
    let user = actor.id().to_string();
    let asked = asked(&filter);
    let scope = CursorScope {
        list: "search",
        query: &asked,
        user: &user,
    };
    let after = page
        .cursor
        .map(|cursor| state.cursor_key.open::<Mark>(scope, &cursor))
        .transpose()?;
    let after = after.map(|Mark(score, id)| Position {
        score: f32::from_bits(score),
        id,
    });
    let kind = match filter.kind {
        None => None,
        Some(HitKind::Passage) => Some(Kind::Passage),
        Some(HitKind::Course) => Some(Kind::Course),
        Some(HitKind::Person) => {
            return Ok(Json(SearchPage {
                items: Vec::new(),
                next_cursor: None,
            }));
        }
    };
    let readable = state.access.readable(&actor).await?;
    let query = Query {
        text: filter.q,
        readable,
        course_id: filter.course_id,
        kind,
        limit: page.limit,
        after,
    };
    let hits = state.index.search(&query).await?;
    metrics::counter!("riwaq_search_questions_total", "found" => if hits.hits.is_empty() { "no" } else { "yes" })
        .increment(1);
    let next = hits.next.map(|next| {
        state
            .cursor_key
            .seal(scope, &Mark(next.score.to_bits(), next.id))
    });
    Ok(Json(SearchPage {
        items: hits.hits.into_iter().map(shown).collect(),
        next_cursor: next.transpose()?,
    }))
}

fn check(question: &str) -> Result<(), Problem> {
    if question.trim().is_empty() {
        return Err(Problem::field("q", "must not be empty"));
    }
    if question.chars().count() > QUESTION_CHARS {
        return Err(Problem::field(
            "q",
            format!("has more than {QUESTION_CHARS} characters"),
        ));
    }
    Ok(())
}

/// Everything that chooses the hits; a cursor is good for the same only.
fn asked(filter: &Filter) -> String {
    serde_json::json!([filter.q, filter.kind, filter.course_id]).to_string()
}

fn shown(hit: Hit) -> SearchHit {
    let Hit {
        document,
        score,
        highlights,
        ..
    } = hit;
    let Snippet { text, highlights } = snippet(&document.text, &highlights);
    SearchHit {
        kind: match document.kind {
            Kind::Passage => HitKind::Passage,
            Kind::Course => HitKind::Course,
        },
        id: document.id,
        title: document.title,
        snippet: text,
        highlights,
        course_id: document.course_id,
        file_id: document.file_id,
        page: (document.page > 0).then_some(document.page),
        heading: document.heading,
        score,
    }
}
