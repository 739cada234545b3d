//! HTTP to one Keycloak server: TLS, time-outs, repetition, a limit on requests at once, metrics.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use riwaq_calls::Calls;
use riwaq_clock::SharedClock;
use tokio::sync::Semaphore;

use crate::config::ConfigError;
use crate::error::CallError;

const BACKEND: &str = "keycloak";
const OUTCOMES: &[&str] = &["ok", "refused", "failed"];
/// How large an answer may be, in bytes: a page of accounts is far below.
const MAX_ANSWER: usize = 8 << 20;
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// One server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client,
    base: Arc<str>,
    timeout: Duration,
    clock: SharedClock,
    calls: Arc<Calls>,
    permits: Arc<Semaphore>,
}

/// A success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Where what was made is.
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
}

/// How long things may take, and how many at once.
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) request: Duration,
    pub(crate) at_once: usize,
}

impl Http {
    pub(crate) fn new(
        server_url: &str,
        ca_file: Option<&Path>,
        limits: &Limits,
        clock: SharedClock,
    ) -> Result<Self, ConfigError> {
        let tls = riwaq_trust::client(ca_file).map_err(|error| ConfigError {
            field: "ca_file",
            message: error.to_string(),
        })?;
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .connect_timeout(limits.connect)
            .timeout(limits.request)
            .pool_idle_timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| ConfigError {
                field: "server_url",
                message: flat(&error),
            })?;
        Ok(Self {
            client,
            base: server_url.trim_end_matches('/').into(),
            timeout: limits.request,
            calls: Arc::new(Calls::new(BACKEND, OUTCOMES, clock.clone())),
            clock,
            permits: Arc::new(Semaphore::new(limits.at_once)),
        })
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// A request to `path`, which begins with a slash.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request that may be repeated: until it is answered, three times, and not for longer than twice the time
    /// for one answer.
    pub(crate) async fn repeat(
        &self,
        operation: &'static str,
        request: &RequestBuilder,
    ) -> Result<Answer, CallError> {
        let begun = self.clock.monotonic();
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let Some(request) = request.try_clone() else {
                break;
            };
            match self.send(operation, request).await {
                Err(error)
                    if error.is_passing()
                        && attempt < TRIES
                        && self.clock.monotonic().saturating_sub(begun) < self.timeout =>
                {
                    tracing::debug!(%error, "keycloak is asked again");
                    self.clock.sleep(pause).await;
                    pause *= 4;
                }
                outcome => return outcome,
            }
        }
        Err(CallError::Unreadable {
            operation,
            cause: "a request that streams cannot be repeated".into(),
        })
    }

    /// Sends it once.
    pub(crate) async fn send(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, CallError> {
        let call = self.perform(operation, request);
        self.calls.of(operation, call, outcome).await
    }

    async fn perform(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, CallError> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let unanswered = |error: &reqwest::Error| CallError::Unanswered {
            operation,
            cause: flat(error),
            sent: !error.is_connect(),
        };
        let response = request
            .send()
            .await
            .map_err(|error| unanswered(&error.without_url()))?;
        let status = response.status();
        let location = response
            .headers()
            .get(reqwest::header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = read(operation, response).await?;
        if status.is_success() {
            return Ok(Answer {
                status,
                location,
                body,
            });
        }
        Err(CallError::Refused {
            operation,
            status,
            body,
        })
    }
}

/// What it was, for the metrics.
fn outcome(answer: &Result<Answer, CallError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(CallError::Refused { status, .. }) if status.is_client_error() => "refused",
        Err(_) => "failed",
    }
}

async fn read(
    operation: &'static str,
    mut response: reqwest::Response,
) -> Result<Bytes, CallError> {
    let mut body = BytesMut::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| CallError::Unanswered {
            operation,
            cause: flat(&error.without_url()),
            sent: true,
        })?;
        let Some(chunk) = chunk else {
            return Ok(body.freeze());
        };
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(CallError::Unreadable {
                operation,
                cause: format!("it is larger than {MAX_ANSWER} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
}

/// An error with everything beneath it: the outer ones say little.
fn flat(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
