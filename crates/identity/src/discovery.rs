//! An issuer elsewhere, as it is reached from here: its own description (OpenID Connect Discovery 1.0), and a way to
//! its addresses that may differ from the public one.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::body::Body;
use http::header::ACCEPT;
use http::{Request, Uri};
use riwaq_clock::SharedClock;
use riwaq_kit::HttpService;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::IdentityConfig;
use crate::http::exchange;

/// Where an issuer describes itself, beneath its name (OpenID Connect Discovery 1.0, section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// How long an issuer is left alone after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// The issuer cannot be asked, or says something else than it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the issuer {issuer}: {reason}")]
pub struct DiscoveryError {
    /// Its public name.
    pub issuer: String,
    /// Why.
    pub reason: String,
}

/// What an issuer says of itself, as far as verifiers and services need it. Addresses are the public ones.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Described {
    /// Its name, exactly as configured.
    pub issuer: String,
    /// Its key set.
    pub jwks_uri: String,
    /// Where tokens are had.
    pub token_endpoint: String,
}

/// An issuer that runs somewhere else. Cheap to clone; asks nothing before it has to.
///
/// What it said is believed for the configured time of keys, and for longer while it does not answer: where its
/// endpoints are changes less often than it is away.
#[derive(Clone)]
pub struct RemoteIssuer(Arc<Inner>);

struct Inner {
    name: String,
    jwks_url: Option<String>,
    http: HttpService,
    clock: SharedClock,
    ttl: Duration,
    known: ArcSwapOption<(Arc<Described>, Duration)>,
    /// Held while asking; remembers the last failure.
    asking: Mutex<Option<(Duration, DiscoveryError)>>,
}

impl RemoteIssuer {
    /// The issuer of the configuration, reached by `http`, which is given addresses as the configuration says.
    #[must_use]
    pub fn new(config: &IdentityConfig, http: HttpService, clock: SharedClock) -> Self {
        let set = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let http = match set(&config.internal_url) {
            Some(internal) => rebased(http, &config.issuer, &internal),
            None => http,
        };
        Self(Arc::new(Inner {
            name: config.issuer.clone(),
            jwks_url: set(&config.jwks_url),
            http,
            clock,
            ttl: Duration::from_secs(config.key_ttl_seconds),
            known: ArcSwapOption::empty(),
            asking: Mutex::default(),
        }))
    }

    /// Its public name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The way to it: takes its public addresses.
    #[must_use]
    pub fn http(&self) -> HttpService {
        self.0.http.clone()
    }

    /// Where its keys are.
    #[must_use]
    pub fn keys(&self) -> Endpoint {
        match &self.0.jwks_url {
            Some(address) => Endpoint::from(address.clone()),
            None => Endpoint(Place::Described(self.clone(), |said| &said.jwks_uri)),
        }
    }

    /// Where it gives tokens out.
    #[must_use]
    pub fn tokens(&self) -> Endpoint {
        Endpoint(Place::Described(self.clone(), |said| &said.token_endpoint))
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// Only where it never said anything: it does not answer, or not under its name.
    pub async fn described(&self) -> Result<Arc<Described>, DiscoveryError> {
        let inner = &*self.0;
        if let Some(said) = inner.believed(inner.ttl) {
            return Ok(said);
        }
        // Whoever knows something goes on with it while another asks.
        let old = inner.believed(Duration::MAX);
        let mut failure = match (old.as_ref(), inner.asking.try_lock()) {
            (_, Ok(failure)) => failure,
            (Some(old), Err(_)) => return Ok(Arc::clone(old)),
            (None, Err(_)) => inner.asking.lock().await,
        };
        if let Some(said) = inner.believed(inner.ttl) {
            return Ok(said);
        }
        let now = inner.clock.monotonic();
        let error = match &*failure {
            Some((at, error)) if now < at.saturating_add(PAUSE) => error.clone(),
            _ => match inner.ask().await {
                Ok(said) => {
                    *failure = None;
                    let said = Arc::new(said);
                    let known = (Arc::clone(&said), inner.clock.monotonic());
                    inner.known.store(Some(Arc::new(known)));
                    return Ok(said);
                }
                Err(reason) => {
                    let issuer = inner.name.clone();
                    let error = DiscoveryError { issuer, reason };
                    tracing::warn!(%error, "the issuer does not say where its endpoints are");
                    *failure = Some((inner.clock.monotonic(), error.clone()));
                    error
                }
            },
        };
        old.ok_or(error)
    }
}

impl Inner {
    fn believed(&self, ttl: Duration) -> Option<Arc<Described>> {
        let known = self.known.load();
        let (said, since) = known.as_deref()?;
        let age = self.clock.monotonic().saturating_sub(*since);
        (age < ttl).then(|| Arc::clone(said))
    }

    async fn ask(&self) -> Result<Described, String> {
        let address = format!("{}{WELL_KNOWN}", self.name.trim_end_matches('/'));
        let request = Request::get(&address).header(ACCEPT, "application/json");
        let request = request
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let answer = exchange(&self.http, &self.clock, request).await?;
        let said: Described = serde_json::from_slice(&answer)
            .map_err(|error| format!("the answer is no description of an issuer: {error}"))?;
        // Section 4.3: else one issuer could speak for another.
        if said.issuer != self.name {
            return Err(format!("it calls itself {}", said.issuer));
        }
        Ok(said)
    }
}

impl fmt::Debug for RemoteIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteIssuer")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

/// An address of the issuer: a known one, or one that it tells itself.
#[derive(Debug, Clone)]
pub struct Endpoint(Place);

#[derive(Debug, Clone)]
enum Place {
    Known(Arc<str>),
    Described(RemoteIssuer, fn(&Described) -> &String),
}

impl Endpoint {
    /// The whole address.
    ///
    /// # Errors
    /// Where the issuer has to tell it, and does not.
    pub async fn address(&self) -> Result<String, DiscoveryError> {
        match &self.0 {
            Place::Known(address) => Ok(address.to_string()),
            Place::Described(issuer, which) => Ok(which(&*issuer.described().await?).clone()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Known(address) => f.write_str(address),
            Place::Described(issuer, _) => f.write_str(issuer.name()),
        }
    }
}

impl From<String> for Endpoint {
    fn from(address: String) -> Self {
        Self(Place::Known(address.into()))
    }
}

impl From<&str> for Endpoint {
    fn from(address: &str) -> Self {
        Self(Place::Known(address.into()))
    }
}

/// `http` under another address: what lies beneath `public` is asked beneath `internal`, the rest as it is.
fn rebased(http: HttpService, public: &str, internal: &str) -> HttpService {
    let public: Arc<str> = public.trim_end_matches('/').into();
    let internal: Arc<str> = internal.trim_end_matches('/').into();
    HttpService::new(tower::service_fn(move |mut request: Request<Body>| {
        let (http, moved) = (http.clone(), moved(request.uri(), &public, &internal));
        async move {
            if let Some(uri) = moved {
                *request.uri_mut() = uri?;
            }
            http.call(request).await
        }
    }))
}

/// The same address beneath `internal`, if it is beneath `public`.
fn moved(uri: &Uri, public: &str, internal: &str) -> Option<Result<Uri, riwaq_kit::BoxError>> {
    let address = uri.to_string();
    let rest = address.strip_prefix(public)?;
    if !(rest.is_empty() || rest.starts_with(['/', '?'])) {
        return None;
    }
    Some(Uri::try_from(format!("{internal}{rest}")).map_err(Into::into))
}

/// The client for the issuer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("the client for the issuer: {0}")]
    Tls(#[from] reqwest::Error),
}

/// Adds the authorities of a file to those that a client believes.
pub(crate) fn with_authorities(
    mut client: reqwest::ClientBuilder,
    file: Option<&Path>,
) -> Result<reqwest::ClientBuilder, ClientError> {
    let Some(path) = file else { return Ok(client) };
    let bytes = std::fs::read(path).map_err(|error| ClientError::File {
        path: path.display().to_string(),
        error,
    })?;
    for certificate in reqwest::Certificate::from_pem_bundle(&bytes)? {
        client = client.add_root_certificate(certificate);
    }
    Ok(client)
}
