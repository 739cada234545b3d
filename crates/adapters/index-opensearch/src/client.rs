//! Requests to the cluster: signing in, limits, repetition, other nodes, metrics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use riwaq_calls::Calls;
use riwaq_clock::SharedClock;
use riwaq_index::IndexError;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use url::Url;

use crate::config::Config;
use crate::error::Failure;

/// What the metrics call this backend.
const BACKEND: &str = "opensearch";
const OUTCOMES: &[&str] = &["ok", "unreachable", "busy", "failed", "refused"];
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// One request. All that are sent may be repeated without another effect.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Its name in the metrics.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// Path and query; our own names only, nothing to escape.
    pub(crate) path: String,
    pub(crate) body: Body,
    /// The longest wait, repetitions included.
    pub(crate) timeout: Duration,
}

/// What goes with a request.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Empty,
    Json(Bytes),
    /// Lines of JSON, for `_bulk`.
    Lines(Bytes),
}

/// A connection pool to the nodes of one cluster.
pub(crate) struct Client {
    http: reqwest::Client,
    nodes: Vec<Url>,
    /// The node that is asked first: the last one that answered.
    preferred: AtomicUsize,
    slots: Semaphore,
    authorization: Option<HeaderValue>,
    clock: SharedClock,
    calls: Calls,
    attempts: usize,
    first_pause: Duration,
    response_bytes: usize,
    questions: Duration,
    writes: Duration,
}

impl Client {
    /// A client for a checked configuration.
    pub(crate) fn new(
        config: &Config,
        nodes: Vec<Url>,
        clock: SharedClock,
    ) -> Result<Self, IndexError> {
        let tls = riwaq_trust::client(config.ca_file.as_deref());
        let tls = tls.map_err(|error| IndexError::invalid("ca_file", error.to_string()))?;
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_millis(config.connection_timeout_ms))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(config.requests)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| IndexError::Unavailable(format!("no HTTP client: {error}")))?;
        Ok(Self {
            http,
            nodes,
            preferred: AtomicUsize::new(0),
            slots: Semaphore::new(config.requests.min(Semaphore::MAX_PERMITS)),
            authorization: authorization(config)?,
            calls: Calls::new(BACKEND, OUTCOMES, clock.clone()),
            clock,
            attempts: config.attempts,
            first_pause: Duration::from_millis(config.first_pause_ms),
            response_bytes: config.response_bytes,
            questions: Duration::from_millis(config.request_timeout_ms),
            writes: Duration::from_secs(config.write_timeout_seconds),
        })
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// A question: within `request_timeout_ms`.
    pub(crate) fn ask(&self, operation: &'static str, method: Method, path: String) -> Call {
        Call {
            operation,
            method,
            path,
            body: Body::Empty,
            timeout: self.questions,
        }
    }

    /// What changes something: within `write_timeout_seconds`.
    pub(crate) fn change(&self, operation: &'static str, method: Method, path: String) -> Call {
        Call {
            timeout: self.writes,
            ..self.ask(operation, method, path)
        }
    }

    /// How long to wait before each further try.
    pub(crate) fn pauses(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(self.attempts - 1)
            .with_jitter()
            .build()
    }

    /// Sends a request until it has an answer, its time is over, or repeating it is no use.
    pub(crate) async fn send(&self, call: Call) -> Result<Bytes, Failure> {
        let outcome = |answer: &Result<_, Failure>| match answer {
            Ok(_) => "ok",
            Err(failure) => failure.outcome(),
        };
        let answer = self.in_time(&call);
        self.calls.of(call.operation, answer, outcome).await
    }

    async fn in_time(&self, call: &Call) -> Result<Bytes, Failure> {
        let answer = tokio::time::timeout(call.timeout, self.until_answered(call)).await;
        answer.unwrap_or_else(|_| {
            // Others try another node first: this one may be half dead.
            self.prefer_another();
            let waited = call.timeout.as_millis();
            Err(Failure::Unreachable(format!("nothing within {waited} ms")))
        })
    }

    /// As [`send`](Self::send), and reads the answer.
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, call: Call) -> Result<T, Failure> {
        let operation = call.operation;
        let body = self.send(call).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::Strange(format!("to {operation}: {error}")))
    }

    async fn until_answered(&self, call: &Call) -> Result<Bytes, Failure> {
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|_| Failure::Unreachable("the client is closed".into()))?;
        let mut pauses = self.pauses();
        // As many nodes as there are may be away before a pause is worth it.
        let mut others = self.nodes.len() - 1;
        loop {
            let failure = match self.once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if !failure.is_passing() => return Err(failure),
                Err(failure) => failure,
            };
            if let Failure::Unreachable(_) = failure {
                self.prefer_another();
                if others > 0 {
                    others -= 1;
                    continue;
                }
            }
            let Some(pause) = pauses.next() else {
                return Err(failure);
            };
            tracing::debug!(operation = call.operation, %failure, "asking OpenSearch again");
            self.clock.sleep(pause).await;
        }
    }

    async fn once(&self, call: &Call) -> Result<Bytes, Failure> {
        let place = self.preferred.load(Ordering::Relaxed) % self.nodes.len();
        let base = self.nodes[place].as_str().trim_end_matches('/');
        let mut request = self
            .http
            .request(call.method.clone(), format!("{base}{}", call.path));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        request = match &call.body {
            Body::Empty => request,
            Body::Json(body) => request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone()),
            Body::Lines(body) => request
                .header(CONTENT_TYPE, "application/x-ndjson")
                .body(body.clone()),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = self.read(response).await?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(Failure::of_answer(status.as_u16(), &body))
        }
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > self.response_bytes {
                let most = self.response_bytes;
                return Err(Failure::Strange(format!("more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn prefer_another(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }
}

fn authorization(config: &Config) -> Result<Option<HeaderValue>, IndexError> {
    let (field, value) = if !config.bearer_token.is_empty() {
        ("bearer_token", format!("Bearer {}", config.bearer_token))
    } else if !config.user.is_empty() {
        if config.user.contains(':') {
            return Err(IndexError::invalid("user", "must not contain a colon"));
        }
        let pair = format!("{}:{}", config.user, config.password);
        ("user", format!("Basic {}", STANDARD.encode(pair)))
    } else {
        return Ok(None);
    };
    let mut header = HeaderValue::try_from(value)
        .map_err(|_| IndexError::invalid(field, "holds what no header can carry"))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// The error and what is behind it, without the address.
fn unreachable(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut behind = std::error::Error::source(&error);
    while let Some(cause) = behind {
        reason = format!("{reason}: {cause}");
        behind = cause.source();
    }
    Failure::Unreachable(reason)
}
