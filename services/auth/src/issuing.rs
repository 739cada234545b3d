//! Who makes the tokens: this service, or an issuer elsewhere.

use riwaq_identity::Refused;
use riwaq_kit::{ApiResult, Code, Problem};
use uuid::Uuid;

use crate::app::Auth;

/// Who makes tokens.
#[derive(Debug, Clone, Default)]
pub enum Issuing {
    /// This service. Its endpoints and its sign-in page are served.
    #[default]
    Own,
    /// An issuer elsewhere, such as Keycloak. People sign in at its page; it tells us by back channel who has signed out.
    Elsewhere(Elsewhere),
}

/// An issuer elsewhere.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// Its public name (`iss`).
    pub issuer: String,
    /// The clients that people sign in by: logout tokens are for them.
    pub clients: Vec<String>,
}

impl Issuing {
    /// Whether this service makes them.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self, Self::Own)
    }

    /// What an address of ours answers that has no use because the issuer is elsewhere.
    pub(crate) fn elsewhere(&self) -> Option<Problem> {
        match self {
            Self::Own => None,
            Self::Elsewhere(Elsewhere { issuer, .. }) => Some(Problem::new(
                Code::NotFound,
                format!("tokens are made by {issuer}: sign in there"),
            )),
        }
    }
}

impl Auth {
    /// Insists that tokens are made here.
    ///
    /// # Errors
    /// 404 that names the issuer.
    pub(crate) fn makes_tokens(&self) -> ApiResult<()> {
        self.issuing.elsewhere().map_or(Ok(()), Err)
    }

    /// Insists that passwords are checked here, for tokens that are made here.
    ///
    /// # Errors
    /// 404 that names the issuer, or 501 where the directory does not check passwords.
    pub(crate) fn takes_passwords(&self) -> ApiResult<()> {
        self.makes_tokens()?;
        if self.accounts.directory.capabilities().verifies_passwords {
            return Ok(());
        }
        let operation = "checking passwords";
        Err(riwaq_directory::DirectoryError::Unsupported { operation }.into())
    }

    /// Ends the session of an access token, though that may have expired: an old one must not keep anybody from
    /// signing out.
    pub(crate) async fn end_session_of(&self, access_token: &str) -> ApiResult<()> {
        match &self.issuing {
            Issuing::Own => {
                let sid = self.session_of(access_token).await?;
                self.tokens.end_session(sid).await
            }
            Issuing::Elsewhere(_) => match self.identity.verify(access_token).await {
                Ok(token) => match token.sid.as_deref() {
                    Some(sid) => self.tokens.revocations.revoke_session(sid).await,
                    None => Err(not_valid()),
                },
                // Everybody refuses it as it is.
                Err(Refused::Expired | Refused::Revoked) => Ok(()),
                Err(Refused::Unavailable) => Err(Refused::Unavailable.into()),
                Err(_) => Err(not_valid()),
            },
        }
    }

    /// The session of an access token that we made.
    async fn session_of(&self, access_token: &str) -> ApiResult<Uuid> {
        let claims = self.keys.claims_of_our_token(access_token).await?;
        claims
            .filter(|claims| claims["typ"] == "Bearer" && claims["iss"] == self.config.issuer())
            .and_then(|claims| Uuid::parse_str(claims["sid"].as_str()?).ok())
            .ok_or_else(not_valid)
    }
}

fn not_valid() -> Problem {
    Problem::unauthenticated("the token is not valid")
}
