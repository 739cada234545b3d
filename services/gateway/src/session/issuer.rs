//! The issuer of tokens, as its client sees it: OpenID Connect with code and PKCE, by the crate `openidconnect`.

mod http;
mod known;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreErrorResponseType, CoreIdToken, CoreJwsSigningAlgorithm,
    CoreTokenResponse,
};
use openidconnect::{
    AuthorizationCode, CsrfToken, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, TokenResponse,
};
use riwaq_clock::SharedClock;
use riwaq_kit::problem::Chain;
use riwaq_kit::{Code, HttpService, Problem};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use self::known::{BELIEVED, Client, Known, SEEN};
use crate::config::SessionConfig;

/// Where an issuer says times in whole seconds, tokens that it made just after a revocation count as made before it. How
/// long until it can make others, and how often that is waited for.
pub(crate) const NEXT_SECOND: Duration = Duration::from_secs(1);
pub(crate) const MOST_WAITS: usize = 3;
/// When to ask again whoever needs an issuer that is away.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The issuer did not answer, or not as it should.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum IssuerError {
    /// It does not answer, or says that it cannot now.
    #[error("the issuer is away: {0}")]
    Away(String),
    /// It answered, and that does not do.
    #[error("the issuer: {0}")]
    Said(String),
}

/// Why tokens were not renewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    /// The refresh token is over: the person signs in again.
    #[error("the refresh token is refused")]
    Refused,
    /// Not now.
    #[error(transparent)]
    Unavailable(IssuerError),
}

/// Tokens as the issuer gave them.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) expires_in_seconds: u64,
    pub(crate) refresh_token: Option<String>,
    pub(crate) id_token: Option<String>,
}

/// What must be remembered while somebody is at the sign-in page.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) state: String,
    nonce: String,
    verifier: String,
}

/// The issuer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Issuer(Arc<Inner>);

struct Inner {
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    config: SessionConfig,
    http: HttpService,
    clock: SharedClock,
    known: ArcSwapOption<Known>,
    /// Held while asking; remembers the last failure.
    asking: Mutex<Option<(Duration, IssuerError)>>,
}

impl Issuer {
    /// `issuer` is its public address, `http` reaches it from here, `redirect` is where people come back to.
    pub(crate) fn new(
        issuer: &str,
        redirect: &Url,
        config: SessionConfig,
        http: HttpService,
        clock: SharedClock,
    ) -> Result<Self, url::ParseError> {
        Ok(Self(Arc::new(Inner {
            issuer: IssuerUrl::new(issuer.to_owned())?,
            redirect: RedirectUrl::from_url(redirect.clone()),
            config,
            http,
            clock,
            known: ArcSwapOption::empty(),
            asking: Mutex::new(None),
        })))
    }

    /// The issuer's name: its public address.
    pub(crate) fn name(&self) -> &str {
        self.0.issuer.as_str()
    }

    /// Where to send somebody who wants to sign in.
    pub(crate) async fn begin(&self) -> Result<(Url, Begun), IssuerError> {
        let client = self.0.client_seen(SEEN).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let request = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        let request = request
            .add_scope(Scope::new("profile".into()))
            .set_pkce_challenge(challenge);
        let (url, state, nonce) = request.url();
        let begun = Begun {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
        };
        Ok((url, begun))
    }

    /// The tokens of somebody who came back with a code.
    pub(crate) async fn exchange(&self, code: String, begun: Begun) -> Result<Tokens, IssuerError> {
        let client = self.0.client().await?;
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(said)?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(begun.verifier));
        let http = self.0.http_client();
        let answer = request.request_async(&http).await.map_err(from_request)?;
        let id_token = answer.id_token().ok_or_else(|| said("no ID token"))?;
        self.check(&client, id_token, &begun.nonce).await?;
        Ok(tokens(&answer))
    }

    /// The claims are checked for their binding to this sign-in; who it is, the access token says.
    async fn check(
        &self,
        client: &Client,
        id_token: &CoreIdToken,
        nonce: &str,
    ) -> Result<(), IssuerError> {
        let nonce = Nonce::new(nonce.to_owned());
        let checked = |client: &Client| {
            let clock = Arc::clone(&self.0.clock);
            let algorithms = [
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::EdDsa,
            ];
            let verifier = client
                .id_token_verifier()
                .set_allowed_algs(algorithms)
                .set_time_fn(move || clock.now());
            id_token.claims(&verifier, &nonce).map(|_| ()).map_err(said)
        };
        if checked(client).is_ok() {
            return Ok(());
        }
        // Its keys may be newer than those that we know.
        self.0.forget();
        checked(&self.0.client().await?)
    }

    /// New tokens for a refresh token, with the one that is good from now on.
    pub(crate) async fn refresh(&self, refresh_token: &str) -> Result<Tokens, RefreshError> {
        let client = self.0.client().await.map_err(RefreshError::Unavailable)?;
        let token = RefreshToken::new(refresh_token.to_owned());
        let request = client
            .exchange_refresh_token(&token)
            .map_err(|error| RefreshError::Unavailable(said(error)))?;
        match request.request_async(&self.0.http_client()).await {
            Ok(answer) => {
                let mut tokens = tokens(&answer);
                // An issuer that does not rotate sends none: the old one stays good.
                let kept = || refresh_token.to_owned();
                tokens.refresh_token.get_or_insert_with(kept);
                Ok(tokens)
            }
            Err(RequestTokenError::ServerResponse(answer))
                if *answer.error() == CoreErrorResponseType::InvalidGrant =>
            {
                Err(RefreshError::Refused)
            }
            Err(error) => Err(RefreshError::Unavailable(from_request(error))),
        }
    }

    /// Ends the session at the issuer as well, as far as it offers that. The session here has ended already, so that
    /// failures are for the log only: the tokens die by themselves.
    pub(crate) async fn end(&self, refresh_token: Option<String>, id_token: Option<String>) {
        let endings = match self.0.known(BELIEVED).await {
            Ok(known) => known.metadata.additional_metadata().clone(),
            Err(error) => {
                return tracing::warn!(cause = %error, "a session was not ended at the issuer");
            }
        };
        let end = endings
            .end_session_endpoint
            .zip(id_token)
            .map(|(url, hint)| {
                let mut form = vec![("id_token_hint", hint)];
                // Not of the specification, but what Keycloak asks of whoever is no browser; others pass it over.
                form.extend(refresh_token.clone().map(|token| ("refresh_token", token)));
                (url, form)
            });
        let revocation = endings.revocation_endpoint.zip(refresh_token);
        let revocation = revocation.map(|(url, token)| {
            let hint = "refresh_token".to_owned();
            (url, vec![("token", token), ("token_type_hint", hint)])
        });
        for (url, form) in end.into_iter().chain(revocation) {
            if let Err(error) = self.0.post(&url, form).await {
                tracing::warn!(cause = %error, endpoint = %url, "a session was not ended at the issuer");
            }
        }
    }
}

fn tokens(answer: &CoreTokenResponse) -> Tokens {
    Tokens {
        access_token: answer.access_token().secret().clone(),
        // RFC 6749, section 5.1 recommends it; without it we ask again soon.
        expires_in_seconds: answer.expires_in().map_or(60, |life| life.as_secs()),
        refresh_token: answer.refresh_token().map(|token| token.secret().clone()),
        id_token: answer.id_token().map(ToString::to_string),
    }
}

fn said(error: impl ToString) -> IssuerError {
    IssuerError::Said(error.to_string())
}

fn away(error: impl ToString) -> IssuerError {
    IssuerError::Away(error.to_string())
}

fn from_request<T>(error: RequestTokenError<IssuerError, T>) -> IssuerError
where
    T: openidconnect::ErrorResponse + 'static,
{
    match error {
        RequestTokenError::Request(error) => error,
        error => IssuerError::Said(Chain(&error).to_string()),
    }
}

impl From<IssuerError> for Problem {
    fn from(error: IssuerError) -> Self {
        tracing::warn!(cause = %error, "somebody cannot be signed in");
        Self::new(
            Code::Unavailable,
            "signing in is not possible at the moment: the issuer does not answer as it should",
        )
        .with_retry_after(RETRY_AFTER)
    }
}
