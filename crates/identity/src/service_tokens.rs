//! The calling service's own token (OAuth 2.0 client credentials, RFC 6749, section 4.4).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use riwaq_api::{TokenError, TokenSource};
use riwaq_clock::SharedClock;
use riwaq_kit::{HttpService, TaskFailed, TaskGroup};
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};
use url::form_urlencoded;
use uuid::Uuid;

use crate::SERVICE_NAMESPACE;
use crate::discovery::Endpoint;
use crate::http::exchange;

/// The shortest pause between two requests to the issuer after one failed, and the age below which
/// a token is not thrown away because somebody refused it.
const PAUSE: Duration = Duration::from_secs(1);
/// A token is not used in its last moments: it must still be valid when it arrives.
const MARGIN: Duration = Duration::from_secs(5);

/// The subject of the tokens of a client (`riwaq-users`), where our own issuer makes them.
#[must_use]
pub fn service_id(client_id: &str) -> Uuid {
    Uuid::new_v5(&SERVICE_NAMESPACE, client_id.as_bytes())
}

/// Who asks for tokens, and where.
#[derive(Clone)]
pub struct ClientCredentials {
    /// The issuer's token endpoint.
    pub token_endpoint: Endpoint,
    /// Such as `riwaq-users`.
    pub client_id: String,
    /// Never printed.
    pub client_secret: String,
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("token_endpoint", &self.token_endpoint)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Fetches a service's tokens and keeps the present one. Renews ahead of expiry while everybody goes on with the old
/// one: nobody waits, least of all for an issuer that takes connections and does not answer.
pub struct ServiceTokens(Arc<Source>);

struct Source {
    service: HttpService,
    credentials: ClientCredentials,
    clock: SharedClock,
    tasks: TaskGroup,
    held: ArcSwapOption<Held>,
    /// Held while fetching.
    fetching: Arc<Mutex<LastFailure>>,
}

/// When and why no token came, if the last attempt failed.
type LastFailure = Option<(Duration, TokenError)>;

struct Held {
    token: Arc<str>,
    fetched: Duration,
    renew_from: Duration,
    unusable_from: Duration,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

impl ServiceTokens {
    /// Fetches nothing before the first call, and from then on as one of `tasks`.
    #[must_use]
    pub fn new(
        service: HttpService,
        credentials: ClientCredentials,
        clock: SharedClock,
        tasks: TaskGroup,
    ) -> Self {
        Self(Arc::new(Source {
            service,
            credentials,
            clock,
            tasks,
            held: ArcSwapOption::empty(),
            fetching: Arc::default(),
        }))
    }
}

impl Source {
    fn usable(&self, now: Duration) -> Option<Arc<Held>> {
        self.held
            .load_full()
            .filter(|held| now < held.unusable_from)
    }

    /// While everybody goes on with the old token.
    fn renew(self: &Arc<Self>, fetching: OwnedMutexGuard<LastFailure>) {
        if self.failed_lately(&fetching).is_some() {
            return;
        }
        let (source, closing) = (Arc::clone(self), self.tasks.closing_token());
        self.tasks.spawn("renewing a service's token", async move {
            // Whether one came is seen at the next call.
            let _ = closing.run_until_cancelled(source.fetch(fetching)).await;
        });
    }

    /// Goes on when whoever waits has no more time: what comes serves the next one.
    async fn obtain(
        self: &Arc<Self>,
        fetching: OwnedMutexGuard<LastFailure>,
    ) -> Result<Arc<str>, TokenError> {
        let source = Arc::clone(self);
        let fetch = async move { Ok(source.fetch(fetching).await) };
        let fetched = self.tasks.run(fetch).await;
        fetched.unwrap_or_else(|failed: TaskFailed| {
            let reason = failed.to_string();
            Err(TokenError { reason })
        })
    }

    async fn fetch(
        &self,
        mut last_failure: OwnedMutexGuard<LastFailure>,
    ) -> Result<Arc<str>, TokenError> {
        if let Some(error) = self.failed_lately(&last_failure) {
            return Err(error);
        }
        let now = self.clock.monotonic();
        match self.ask().await {
            Ok(answer) => {
                *last_failure = None;
                let life = Duration::from_secs(answer.expires_in);
                let token: Arc<str> = answer.access_token.into();
                self.held.store(Some(Arc::new(Held {
                    token: Arc::clone(&token),
                    fetched: now,
                    renew_from: now.saturating_add(life * 3 / 4),
                    unusable_from: now.saturating_add(life.saturating_sub(MARGIN)),
                })));
                Ok(token)
            }
            Err(reason) => {
                let error = TokenError { reason };
                tracing::warn!(client = self.credentials.client_id, %error, "no new service token");
                *last_failure = Some((self.clock.monotonic(), error.clone()));
                Err(error)
            }
        }
    }

    /// The issuer is not asked again so soon.
    fn failed_lately(&self, last_failure: &LastFailure) -> Option<TokenError> {
        let (at, error) = last_failure.as_ref()?;
        let is_late = self.clock.monotonic() >= at.saturating_add(PAUSE);
        (!is_late).then(|| error.clone())
    }

    async fn ask(&self) -> Result<Answer, String> {
        let ClientCredentials {
            token_endpoint,
            client_id,
            client_secret,
        } = &self.credentials;
        // Both halves form-encoded first (RFC 6749, section 2.3.1).
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(client_id), encode(client_secret));
        let address = token_endpoint.address().await;
        let request = Request::post(address.map_err(|error| error.to_string())?)
            .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Body::from("grant_type=client_credentials"))
            .map_err(|error| error.to_string())?;
        let answer = exchange(&self.service, &self.clock, request).await?;
        serde_json::from_slice(&answer).map_err(|_| "the answer is not a token answer".to_owned())
    }
}

#[async_trait]
impl TokenSource for ServiceTokens {
    async fn token(&self) -> Result<Arc<str>, TokenError> {
        let source = &self.0;
        let now = source.clock.monotonic();
        if let Some(held) = source.usable(now) {
            if now >= held.renew_from
                && let Ok(fetching) = Arc::clone(&source.fetching).try_lock_owned()
            {
                source.renew(fetching);
            }
            return Ok(Arc::clone(&held.token));
        }
        let fetching = Arc::clone(&source.fetching).lock_owned().await;
        // Whoever had the lock before may have fetched it.
        if let Some(held) = source.usable(source.clock.monotonic()) {
            return Ok(Arc::clone(&held.token));
        }
        source.obtain(fetching).await
    }

    fn refused(&self, token: &str) {
        let source = &self.0;
        let now = source.clock.monotonic();
        let stale =
            |held: &Held| *held.token == *token && now >= held.fetched.saturating_add(PAUSE);
        if source.held.load().as_ref().is_some_and(|held| stale(held)) {
            source.held.store(None);
        }
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokens")
            .field("credentials", &self.0.credentials)
            .finish_non_exhaustive()
    }
}
