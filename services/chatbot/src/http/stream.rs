//! An answer as server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::Value;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use crate::domain::{Answer, Citation};
use crate::exchange::{Begun, Told};

/// A comment is sent when nothing else was for so long, so that nobody in between gives up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Token<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Done<'a> {
    message_id: Uuid,
    model: &'a str,
    answered: bool,
    prompt_tokens: u32,
    completion_tokens: u32,
}

/// The stream. When the client goes away it is dropped, and with it what it is fed from.
pub(crate) fn response(begun: Begun) -> Response {
    let events: BoxStream<'static, Event> = match begun {
        Begun::Running(told) => ReceiverStream::new(told).map(|told| event(&told)).boxed(),
        Begun::Known(answer) => stream::iter(again(&answer)).boxed(),
    };
    let events = events.map(Ok::<_, Infallible>);
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // For proxies that collect answers before they pass them on.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// An answer that was given before, once more.
fn again(answer: &Answer) -> Vec<Event> {
    let mut events = vec![named(
        "token",
        &Token {
            text: &answer.content,
        },
    )];
    events.extend(answer.citations.iter().map(citation));
    events.push(done(answer));
    events
}

fn event(told: &Told) -> Event {
    match told {
        Told::Text(text) => named("token", &Token { text }),
        Told::Citation(found) => citation(found),
        Told::Done(answer) => done(answer),
        Told::Failed { body, .. } => named("error", body),
    }
}

fn citation(citation: &Citation) -> Event {
    named("citation", citation)
}

fn done(answer: &Answer) -> Event {
    let done = Done {
        message_id: answer.message_id,
        model: &answer.model,
        answered: answer.answered,
        prompt_tokens: answer.prompt_tokens,
        completion_tokens: answer.completion_tokens,
    };
    named("done", &done)
}

fn named(name: &str, data: &impl Serialize) -> Event {
    let data = serde_json::to_value(data).unwrap_or(Value::Null);
    // JSON has no line ends outside of texts, and inside they are escaped: one line of data.
    Event::default().event(name).data(data.to_string())
}
