//! The identities that go with a call. What the tokens mean is not known here.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

/// The metadata key under which the user's own token goes along.
pub const ACTOR_TOKEN: HeaderName = HeaderName::from_static("x-riwaq-actor-token");

/// No service token could be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no service token: {reason}")]
pub struct TokenError {
    /// Why, without secrets.
    pub reason: String,
}

/// Where a channel gets the calling service's token from.
#[async_trait]
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// A token that is valid now, cached or fetched.
    ///
    /// # Errors
    /// When there is none and none can be fetched.
    async fn token(&self) -> Result<Arc<str>, TokenError>;

    /// The called service refused `token`: fetch another one before it expires by itself.
    fn refused(&self, token: &str);
}

/// Puts both identities on a request; gives back the service token that was used.
pub(crate) async fn attach(
    headers: &mut HeaderMap,
    tokens: Option<&Arc<dyn TokenSource>>,
    actor: Option<&HeaderValue>,
) -> Result<Option<Arc<str>>, Status> {
    if let (Some(actor), None) = (actor, headers.get(ACTOR_TOKEN)) {
        headers.insert(ACTOR_TOKEN, actor.clone());
    }
    let Some(tokens) = tokens else {
        return Ok(None);
    };
    let token = tokens
        .token()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Status::internal("the service token is not a header value"))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(Some(token))
}
