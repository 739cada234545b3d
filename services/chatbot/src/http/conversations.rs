//! `/api/chatbot/conversations` and `/api/chatbot/conversations/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use riwaq_aggregates::{CursorScope, Recorded, request_hash};
use riwaq_identity::Actor;
use riwaq_kit::{
    ApiJson, ApiList, ApiPath, ApiResult, ETag, IdempotencyKey, IfMatch, IfNoneMatch, MaybeJson,
    PageParams, Problem,
};
use uuid::Uuid;

use super::Shared;
use super::dto::{
    Conversation, ConversationList, ConversationPatch, ConversationSummary, NewConversation,
};
use super::input::check_title;
use crate::app::App;
use crate::conversations::{self, ConversationPage};
use crate::records::ConversationRow;

/// One person's: to be kept by nobody in between, and asked for again.
pub(super) const PRIVATE: (HeaderName, HeaderValue) = (
    header::CACHE_CONTROL,
    HeaderValue::from_static("private, no-cache"),
);

/// My conversations, newest first.
#[utoipa::path(
    get, path = "/api/chatbot/conversations", tag = "chatbot", operation_id = "list_conversations",
    params(PageParams),
    responses((status = 200, description = "A page", body = ConversationList), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn list(
    State(app): Shared,
    actor: Actor,
    ApiList { page, .. }: ApiList,
) -> ApiResult<impl IntoResponse> {
    let user = actor.id().to_string();
    let scope = CursorScope {
        list: "conversations",
        query: "",
        user: &user,
    };
    let after = page
        .cursor
        .map(|cursor| app.cursors.open::<Uuid>(scope, &cursor))
        .transpose()?;
    let ConversationPage {
        rows,
        next,
        to_purge,
    } = app
        .conversations
        .page(actor.id(), after, page.limit)
        .await?;
    to_purge.into_iter().for_each(|row| purge(&app, row));
    let next_cursor = next
        .map(|last| app.cursors.seal(scope, &last))
        .transpose()?;
    let items = rows.into_iter().map(ConversationSummary::from).collect();
    Ok(([PRIVATE], Json(ConversationList { items, next_cursor })))
}

/// Goes on with a deletion that a crash cut off.
fn purge(app: &Arc<App>, row: ConversationRow) {
    let task_app = Arc::clone(app);
    app.tasks.spawn("purge", async move {
        if let Err(problem) = task_app.conversations.purge(&row).await {
            tracing::warn!(%problem, "a deleted conversation is still to be purged");
        }
    });
}

/// Begins a conversation.
#[utoipa::path(
    post, path = "/api/chatbot/conversations", tag = "chatbot", operation_id = "create_conversation",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with it has no further effect, for a day")),
    request_body = Option<NewConversation>,
    responses(
        (status = 201, description = "Made", body = Conversation, headers(("Location" = String), ("ETag" = String))),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn create(
    State(app): Shared,
    actor: Actor,
    key: Option<IdempotencyKey>,
    MaybeJson(body): MaybeJson<NewConversation>,
) -> ApiResult<Response> {
    if let Some(title) = &body.title {
        check_title(title, &app.config)?;
    }
    let tasks = app.tasks.clone();
    let made = tasks
        .run(async move { create_once(&app, &actor, key.as_ref(), body).await })
        .await?;
    Ok(created(made))
}

async fn create_once(
    app: &App,
    actor: &Actor,
    key: Option<&IdempotencyKey>,
    body: NewConversation,
) -> Result<Recorded, Problem> {
    let written = serde_json::to_vec(&body).map_err(Problem::internal)?;
    let hash = request_hash(&[b"POST", b"/api/chatbot/conversations", &written]);
    let make = async |id: Uuid| -> Result<Recorded, Problem> {
        let row = app.conversations.create(actor.id(), id, body.title).await?;
        let conversation = conversations::Conversation {
            row,
            messages: Vec::new(),
        };
        let headers = vec![
            (
                "location".to_owned(),
                format!("/api/chatbot/conversations/{id}"),
            ),
            ("etag".to_owned(), conversation.etag().to_string()),
        ];
        let body =
            serde_json::to_string(&Conversation::from(conversation)).map_err(Problem::internal)?;
        Ok(Recorded {
            status: StatusCode::CREATED.as_u16(),
            headers,
            body,
        })
    };
    app.idempotency
        .run(
            actor.id(),
            key.map(IdempotencyKey::as_str),
            hash,
            Problem::is_refusal,
            make,
        )
        .await
}

fn created(recorded: Recorded) -> Response {
    let mut response = recorded.body.into_response();
    *response.status_mut() = StatusCode::from_u16(recorded.status).unwrap_or(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(PRIVATE.0, PRIVATE.1);
    for (name, value) in recorded.headers {
        // What was recorded was made from valid ones.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}

/// One conversation with its messages.
#[utoipa::path(
    get, path = "/api/chatbot/conversations/{id}", tag = "chatbot", operation_id = "read_conversation",
    params(("id" = Uuid, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The conversation", body = Conversation, headers(("ETag" = String))),
        (status = 304, description = "It is as the caller has it"),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_none_match: IfNoneMatch,
) -> ApiResult<Response> {
    let conversation = app.conversations.read(actor.id(), id).await?;
    let etag = conversation.etag();
    if if_none_match.matches(&etag) {
        return Ok((StatusCode::NOT_MODIFIED, etag, [PRIVATE]).into_response());
    }
    Ok((etag, [PRIVATE], Json(Conversation::from(conversation))).into_response())
}

/// Renames a conversation.
#[utoipa::path(
    patch, path = "/api/chatbot/conversations/{id}", tag = "chatbot", operation_id = "rename_conversation",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body(content((ConversationPatch = "application/json"), (ConversationPatch = "application/merge-patch+json"))),
    responses((status = 200, description = "Renamed", body = ConversationSummary, headers(("ETag" = String))), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn patch(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
    ApiJson(body): ApiJson<ConversationPatch>,
) -> ApiResult<Response> {
    check_title(&body.title, &app.config)?;
    let tasks = app.tasks.clone();
    let (row, etag): (ConversationRow, ETag) = tasks
        .run(async move {
            app.conversations
                .rename(actor.id(), id, &if_match, &body.title)
                .await
        })
        .await?;
    Ok((etag, [PRIVATE], Json(ConversationSummary::from(row))).into_response())
}

/// Deletes a conversation with everything in it.
#[utoipa::path(
    delete, path = "/api/chatbot/conversations/{id}", tag = "chatbot", operation_id = "delete_conversation",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "Deleted"), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn delete(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
) -> ApiResult<StatusCode> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move { app.conversations.delete(actor.id(), id, &if_match).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
