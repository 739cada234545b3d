//! `/api/courses/{id}/enrolments`.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use riwaq_identity::Actor;
use riwaq_kit::{
    ApiList, ApiPath, ApiResult, IdempotencyKey, IfMatch, MaybeJson, PageParams, Problem,
};
use uuid::Uuid;

use super::answer::Answer;
use super::cursor::Cursors;
use super::dto::{Enrolment, List, NewEnrolment};
use super::input::once;
use super::{Shared, viewer};
use crate::app::Enrolled;

/// People enrolled in a course, for those who teach it.
#[utoipa::path(
    get, path = "/api/courses/{id}/enrolments", tag = "courses", operation_id = "list_enrolments",
    params(("id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page", body = List<Enrolment>), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn list(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    ApiList { page, .. }: ApiList,
) -> ApiResult<Answer> {
    let cursors = Cursors::new(
        &app.cursors,
        format!("courses/{id}/enrolments"),
        "",
        actor.id(),
    );
    let after = cursors.open::<Uuid>(page.cursor.as_deref())?;
    let (rows, next) = app
        .list_enrolments(&viewer(&actor), id, after, page.limit)
        .await?;
    let items = rows.into_iter().map(Enrolment::from).collect();
    Answer::json(
        StatusCode::OK,
        &List {
            items,
            next_cursor: cursors.seal(next.as_ref())?,
        },
    )
}

/// Enrols one person, several, or (with nobody named) the caller. Several are answered as a list.
#[utoipa::path(
    post, path = "/api/courses/{id}/enrolments", tag = "courses", operation_id = "create_enrolment",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with it has no further effect, for a day")),
    request_body = Option<NewEnrolment>,
    responses(
        (status = 201, description = "Enrolled", body = EnrolmentOrList, headers(("Location" = String), ("ETag" = String))),
        (status = 200, description = "Enrolled before", body = EnrolmentOrList, headers(("ETag" = String))),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn create(
    State(app): Shared,
    actor: Actor,
    ApiPath(course_id): ApiPath<Uuid>,
    key: Option<IdempotencyKey>,
    MaybeJson(body): MaybeJson<NewEnrolment>,
) -> ApiResult<Answer> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            let people = people(&body, actor.id(), app.config.enrol_at_once_max)?;
            let path = format!("/api/courses/{course_id}/enrolments");
            let several = body.user_ids.is_some();
            once(&app, actor.id(), key.as_ref(), (&path, &body), |op_id| {
                let (app, viewer, path) = (Arc::clone(&app), viewer(&actor), path.clone());
                async move {
                    let enrolled = app.enrol(&viewer, course_id, &people, op_id).await?;
                    answer(&enrolled, several, &path)
                }
            })
            .await
        })
        .await
}

/// One enrolment, or a list of them.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[allow(
    dead_code,
    reason = "describes the two forms of the answer; never made"
)]
enum EnrolmentOrList {
    One(Enrolment),
    Several(List<Enrolment>),
}

/// Whom a request names, each with its place in the request.
fn people(body: &NewEnrolment, caller: Uuid, most: usize) -> Result<Vec<(String, Uuid)>, Problem> {
    let ids = match (body.user_id, &body.user_ids) {
        (Some(_), Some(_)) => {
            return Err(Problem::field(
                "user_ids",
                "cannot be given together with user_id",
            ));
        }
        (one, None) => return Ok(vec![("user_id".to_owned(), one.unwrap_or(caller))]),
        (None, Some(ids)) => ids,
    };
    if ids.is_empty() || ids.len() > most {
        return Err(Problem::field(
            "user_ids",
            format!("must have 1 to {most} ids"),
        ));
    }
    let mut seen = HashSet::with_capacity(ids.len());
    match ids.iter().position(|id| !seen.insert(*id)) {
        Some(at) => Err(Problem::field(format!("user_ids[{at}]"), "is there twice")),
        None => Ok(ids
            .iter()
            .enumerate()
            .map(|(at, id)| (format!("user_ids[{at}]"), *id))
            .collect()),
    }
}

fn answer(enrolled: &[Enrolled], several: bool, path: &str) -> Result<Answer, Problem> {
    let is_new = enrolled.iter().any(|one| one.is_new);
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    if several {
        let items = enrolled
            .iter()
            .map(|one| Enrolment::from(&one.version.state))
            .collect();
        let answer = Answer::json(
            status,
            &List::<Enrolment> {
                items,
                next_cursor: None,
            },
        )?;
        return Ok(if is_new {
            answer.location(path.to_owned())
        } else {
            answer
        });
    }
    let one = enrolled
        .first()
        .ok_or_else(|| Problem::not_found("enrolment"))?;
    let state = &one.version.state;
    let answer = Answer::json(status, &Enrolment::from(state))?.version(one.version.version);
    Ok(if is_new {
        answer.location(format!("{path}/{}", state.user_id))
    } else {
        answer
    })
}

/// One enrolment: for those who teach the course, and for the person.
#[utoipa::path(
    get, path = "/api/courses/{id}/enrolments/{user_id}", tag = "courses", operation_id = "read_enrolment",
    params(("id" = Uuid, Path), ("user_id" = Uuid, Path)),
    responses((status = 200, description = "The enrolment", body = Enrolment, headers(("ETag" = String))), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    State(app): Shared,
    actor: Actor,
    ApiPath(ids): ApiPath<(Uuid, Uuid)>,
) -> ApiResult<Answer> {
    let newest = app.read_enrolment(&viewer(&actor), ids).await?;
    Ok(Answer::json(StatusCode::OK, &Enrolment::from(&newest.state))?.version(newest.version))
}

/// Ends an enrolment: one's own, or by those who teach the course.
#[utoipa::path(
    delete, path = "/api/courses/{id}/enrolments/{user_id}", tag = "courses", operation_id = "delete_enrolment",
    params(("id" = Uuid, Path), ("user_id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "Ended"), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn delete(
    State(app): Shared,
    actor: Actor,
    ApiPath(ids): ApiPath<(Uuid, Uuid)>,
    if_match: IfMatch,
) -> ApiResult<StatusCode> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            app.leave(&viewer(&actor), ids, &if_match).await?;
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}
