//! Bodies of requests and answers.

use riwaq_kit::{ApiResult, FieldErrors, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::flows::tokens::TokenSet;

/// The longest text that is looked at where anything is refused alike, in bytes.
const MAX_TEXT_BYTES: usize = 4096;

/// Who signs in: `email` or `username`, not both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginRequest {
    /// The e-mail address.
    #[schema(example = "student@riwaq.local")]
    pub(crate) email: Option<String>,
    /// The user name, instead.
    pub(crate) username: Option<String>,
    /// The password.
    #[schema(format = Password)]
    pub(crate) password: String,
}

impl LoginRequest {
    /// The one name that is given.
    pub(crate) fn login(&self) -> ApiResult<&str> {
        let mut errors = FieldErrors::new();
        errors.check(
            self.password.len() <= MAX_TEXT_BYTES,
            "password",
            "is too long",
        );
        let login = match (&self.email, &self.username) {
            (Some(login), None) | (None, Some(login)) => login,
            (None, None) => return Err(Problem::field("email", "is missing; or give `username`")),
            (Some(_), Some(_)) => {
                return Err(Problem::field("username", "cannot be given beside `email`"));
            }
        };
        errors.check(login.len() <= MAX_TEXT_BYTES, "email", "is too long");
        errors.finish()?;
        Ok(login)
    }
}

/// Tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenResponse {
    /// For `Authorization: Bearer`.
    pub(crate) access_token: String,
    /// For `POST /api/auth/refresh`, once.
    pub(crate) refresh_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub(crate) token_type: &'static str,
    /// How long the access token lives, in seconds.
    #[schema(example = 300)]
    pub(crate) expires_in: i64,
}

impl From<TokenSet> for TokenResponse {
    fn from(set: TokenSet) -> Self {
        Self {
            access_token: set.access_token,
            refresh_token: set.refresh_token.unwrap_or_default(),
            token_type: "Bearer",
            expires_in: set.expires_in,
        }
    }
}

/// A refresh token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    /// The last one that was given out.
    pub(crate) refresh_token: String,
}

/// What to end, beside the session of the access token.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogoutRequest {
    /// The refresh token of the session.
    pub(crate) refresh_token: Option<String>,
}

/// Who registers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterRequest {
    /// The e-mail address: the activation goes there.
    #[schema(example = "zoe@example.org", max_length = 254)]
    pub(crate) email: String,
    /// 12 to 128 characters.
    #[schema(format = Password, min_length = 12, max_length = 128)]
    pub(crate) password: String,
    /// The first name.
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) first_name: String,
    /// The last name.
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) last_name: String,
    /// The language of the mail: `fr`, `ar` or `en`.
    pub(crate) locale: Option<String>,
}

/// What became of a registration: the same whether or not the address had an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegisterResponse {
    /// Always `pending`.
    #[schema(example = "pending")]
    pub(crate) status: &'static str,
}

/// An activation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivateRequest {
    /// From the mail, or the code that the school printed.
    pub(crate) token: String,
    /// 12 to 128 characters; needed where the account has no password yet.
    #[schema(format = Password, min_length = 12, max_length = 128)]
    pub(crate) password: Option<String>,
}

/// Who has forgotten the password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgotRequest {
    /// The e-mail address.
    pub(crate) email: String,
}

/// Nothing more is said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    pub(crate) status: &'static str,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetRequest {
    /// From the mail.
    pub(crate) token: String,
    /// 12 to 128 characters.
    #[schema(format = Password, min_length = 12, max_length = 128)]
    pub(crate) password: String,
}

/// The person who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// The user id.
    pub(crate) id: Uuid,
    /// The e-mail address.
    pub(crate) email: String,
    /// The user name, if there is one.
    pub(crate) username: Option<String>,
    /// The first name.
    pub(crate) first_name: String,
    /// The last name.
    pub(crate) last_name: String,
    /// The first name in Arabic script.
    pub(crate) first_name_ar: Option<String>,
    /// The last name in Arabic script.
    pub(crate) last_name_ar: Option<String>,
    /// Names of roles.
    pub(crate) roles: Vec<String>,
    /// What the roles allow.
    pub(crate) permissions: Vec<String>,
    /// `fr`, `ar` or `en`.
    pub(crate) locale: String,
}
