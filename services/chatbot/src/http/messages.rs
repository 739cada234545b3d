//! `/api/chatbot/conversations/{id}/messages`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use riwaq_identity::Actor;
use riwaq_kit::{Accept, ApiJson, ApiPath, ApiResult, Code, IdempotencyKey, Problem};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Shared;
use super::conversations::PRIVATE;
use super::dto::NewMessage;
use super::input::check_question;
use super::stream;
use crate::domain::Answer;
use crate::exchange::{Begun, NewQuestion, Told, begin};

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

/// One server-sent event of an answer, as the document describes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the stream writes")]
pub(crate) struct ServerSentEvent {
    /// `token`, `citation`, `done` or `error`.
    event: String,
    /// A JSON document of the event's own form.
    data: String,
}

/// Asks a question. The answer streams as server-sent events, or comes as one JSON document, by `Accept`.
///
/// Events: `token` `{"text"}`, `citation` (a `Citation`), then one `done` `{"message_id", "model", "answered",
/// "prompt_tokens", "completion_tokens"}`, or one `error` (a `Problem`). The answer is kept before `done` is sent.
/// Closing the connection stops it.
#[utoipa::path(
    post, path = "/api/chatbot/conversations/{id}/messages", tag = "chatbot", operation_id = "ask",
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with it gives the same answer, for a day"),
    ),
    request_body = NewMessage,
    responses(
        (status = 200, description = "The answer", content((Answer = "application/json"), (ServerSentEvent = "text/event-stream"))),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn post(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    accept: Accept,
    key: Option<IdempotencyKey>,
    ApiJson(body): ApiJson<NewMessage>,
) -> ApiResult<Response> {
    let Some(wanted) = accept.best(&[EVENTS, JSON]) else {
        return Err(Problem::new(
            Code::NotAcceptable,
            "an answer is text/event-stream or application/json",
        ));
    };
    check_question("content", &body.content, &app.config)?;
    let asked = NewQuestion {
        conversation_id: id,
        content: body.content,
        course_id: body.course_id,
    };
    let tasks = app.tasks.clone();
    let begun = tasks
        .run(async move { begin(&Arc::clone(&app), &actor, asked, key.as_ref()).await })
        .await?;
    if wanted == EVENTS {
        return Ok(stream::response(begun));
    }
    let answer = match begun {
        Begun::Known(answer) => answer,
        Begun::Running(told) => whole(told).await?,
    };
    Ok(([PRIVATE], Json(answer)).into_response())
}

async fn whole(mut told: mpsc::Receiver<Told>) -> Result<Answer, Problem> {
    while let Some(told) = told.recv().await {
        match told {
            Told::Text(_) | Told::Citation(_) => {}
            Told::Done(answer) => return Ok(answer),
            Told::Failed { problem, .. } => return Err(problem),
        }
    }
    // Its task is gone without a word: the process is going down.
    Err(Problem::unavailable("the answer was cut off"))
}
