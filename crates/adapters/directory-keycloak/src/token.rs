//! Our own token at Keycloak: fetched by one at a time, used until shortly before it expires.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::CallError;
use crate::http::Http;

/// How we prove who we are.
#[derive(Clone)]
pub(crate) enum Grant {
    /// A client with a service account (RFC 6749, section 4.4).
    Client { id: String, secret: String },
    /// An administrator of the server, by the client that Keycloak keeps for that.
    Administrator { user: String, password: String },
}

/// Tokens for one grant at one realm.
pub(crate) struct Tokens {
    path: String,
    grant: Grant,
    held: Mutex<Held>,
}

enum Held {
    Nothing,
    Token {
        text: String,
        until: Duration,
    },
    /// Asked in vain: those who waited meanwhile need not ask again.
    Failed {
        at: Duration,
        error: CallError,
    },
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

impl Tokens {
    pub(crate) fn new(realm: &str, grant: Grant) -> Self {
        Self {
            path: format!("/realms/{realm}/protocol/openid-connect/token"),
            grant,
            held: Mutex::new(Held::Nothing),
        }
    }

    /// A token that is good for a while.
    pub(crate) async fn get(&self, http: &Http) -> Result<String, CallError> {
        let arrived = http.clock().monotonic();
        let mut held = self.held.lock().await;
        match &*held {
            Held::Token { text, until } if http.clock().monotonic() < *until => {
                return Ok(text.clone());
            }
            Held::Failed { at, error } if *at >= arrived => return Err(error.clone()),
            _ => {}
        }
        let asked = http.clock().monotonic();
        match self.fetch(http).await {
            Ok(granted) => {
                let life = Duration::from_secs(granted.expires_in);
                *held = Held::Token {
                    text: granted.access_token.clone(),
                    until: asked + life - life / 5,
                };
                Ok(granted.access_token)
            }
            Err(error) => {
                *held = Held::Failed {
                    at: http.clock().monotonic(),
                    error: error.clone(),
                };
                Err(error)
            }
        }
    }

    /// Forgets a token that was refused, unless there is a newer one already.
    pub(crate) async fn forget(&self, refused: &str) {
        let mut held = self.held.lock().await;
        if matches!(&*held, Held::Token { text, .. } if text == refused) {
            *held = Held::Nothing;
        }
    }

    async fn fetch(&self, http: &Http) -> Result<Granted, CallError> {
        let form: Vec<(&str, &str)> = match &self.grant {
            Grant::Client { id, secret } => vec![
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("client_secret", secret),
            ],
            Grant::Administrator { user, password } => vec![
                ("grant_type", "password"),
                ("client_id", "admin-cli"),
                ("username", user),
                ("password", password),
            ],
        };
        let request = http.request(Method::POST, &self.path).form(&form);
        match http.repeat("token", &request).await {
            Ok(answer) => {
                serde_json::from_slice(&answer.body).map_err(|error| CallError::Unreadable {
                    operation: "token",
                    cause: error.to_string(),
                })
            }
            Err(error)
                if error
                    .status()
                    .is_some_and(|status| status.is_client_error()) =>
            {
                Err(CallError::SignIn {
                    who: self.who().to_owned(),
                    cause: format!("{error}; is its secret right, and the realm there?"),
                })
            }
            Err(error) => Err(error),
        }
    }

    fn who(&self) -> &str {
        match &self.grant {
            Grant::Client { id, .. } => id,
            Grant::Administrator { user, .. } => user,
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.who())
    }
}
