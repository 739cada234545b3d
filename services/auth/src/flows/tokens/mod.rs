//! Sessions and the tokens that come from them.

mod refresh;
mod sessions;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use riwaq_clock::SharedClock;
use riwaq_directory::{Account, AccountStatus, SharedDirectory};
use riwaq_identity::{AUDIENCE, service_id};
use riwaq_kit::{ApiResult, Problem};
use riwaq_records::Stored;
use uuid::Uuid;

use crate::config::{Config, seconds};
use crate::domain::claims::{AccessClaims, IdClaims, RealmAccess, at_hash};
use crate::domain::client::ClientRecord;
use crate::domain::code::CodeGrant;
use crate::domain::refresh_token::{Presented, TokenName};
use crate::domain::session::{Chain, Refresh, RefreshLimits, Session};
use crate::keys::{KeyKeeper, SigningAlgorithm};
use crate::records::{SessionRow, SubjectRow};
use crate::secrets::{MacKey, random};
use crate::stores::codes::{Codes, Redeemed};
use crate::stores::revocations::Revocations;
use crate::stores::sessions::Sessions;
use crate::stores::subjects::{Subjects, whole_milliseconds};

/// The client of the password endpoints.
pub(crate) const PASSWORD_CLIENT: &str = "riwaq-password";

/// Makes tokens, and knows when not to.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: SharedClock,
    pub(crate) keys: Arc<KeyKeeper>,
    pub(crate) directory: SharedDirectory,
    pub(crate) sessions: Sessions,
    pub(crate) codes: Codes,
    pub(crate) subjects: Subjects,
    pub(crate) revocations: Revocations,
    pub(crate) refresh_key: MacKey,
}

/// What a client is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenSet {
    pub(crate) access_token: String,
    pub(crate) expires_in: i64,
    pub(crate) refresh_token: Option<String>,
    pub(crate) id_token: Option<String>,
    pub(crate) scope: String,
}

/// Somebody as they were at a moment.
pub(crate) struct Person {
    pub(crate) account: Account,
    /// The moment, before the account was read: a change that the account does not show yet will
    /// refuse tokens that bear it.
    as_of: DateTime<Utc>,
}

/// For whom and what a set is made.
struct For<'a> {
    person: &'a Person,
    client_id: &'a str,
    sid: Uuid,
    signed_in_at: DateTime<Utc>,
    scopes: &'a BTreeSet<String>,
    nonce: Option<String>,
}

impl Tokens {
    /// A token for a client itself (RFC 6749, 4.4).
    pub(crate) async fn for_client(
        &self,
        client_id: &str,
        client: &ClientRecord,
    ) -> ApiResult<TokenSet> {
        let scopes = BTreeSet::new();
        let now = self.clock.now();
        let claims = self.access_claims(
            service_id(client_id),
            client_id,
            None,
            client.roles.clone(),
            &scopes,
            now,
        );
        Ok(TokenSet {
            access_token: self.sign_access(&claims).await?,
            expires_in: claims.exp - claims.iat,
            refresh_token: None,
            id_token: None,
            scope: String::new(),
        })
    }

    /// Ends a session: its refresh tokens at once, its access tokens everywhere within seconds.
    pub(crate) async fn end_session(&self, sid: Uuid) -> ApiResult<()> {
        self.sessions.end(sid).await?;
        self.revocations.revoke_session(&sid.to_string()).await
    }

    /// Who a session is of, if both still count.
    pub(crate) async fn person(
        &self,
        subject: Uuid,
        signed_in_at: DateTime<Utc>,
    ) -> ApiResult<Option<Person>> {
        let before = self.clock.now();
        let dates = self.subjects.get(subject).await?;
        let account = self.directory.get(&[subject]).await?.pop();
        let account = account.filter(|account| account.status == AccountStatus::Active);
        let as_of = before.max(dates.tokens_not_before);
        Ok(account
            .filter(|_| signed_in_at >= dates.sessions_not_before)
            .map(|account| Person { account, as_of }))
    }

    async fn make(&self, made_for: For<'_>, refresh_token: Option<String>) -> ApiResult<TokenSet> {
        let For {
            person,
            client_id,
            sid,
            signed_in_at,
            scopes,
            nonce,
        } = made_for;
        let Person { account, as_of } = person;
        let roles = account.roles.clone();
        let claims = self.access_claims(account.id, client_id, Some(sid), roles, scopes, *as_of);
        let access_token = self.sign_access(&claims).await?;
        let id_token = if scopes.contains("openid") {
            let now = self.clock.now().timestamp();
            let claims = IdClaims {
                iss: self.config.issuer().to_owned(),
                sub: account.id,
                aud: client_id.to_owned(),
                azp: client_id.to_owned(),
                exp: now + i64::from(self.config.lifetimes.access_token_seconds),
                iat: now,
                auth_time: signed_in_at.timestamp(),
                nonce,
                sid,
                jti: Uuid::new_v4(),
                typ: "ID",
                at_hash: at_hash(&access_token),
            };
            Some(
                self.keys
                    .signer(SigningAlgorithm::RS256)
                    .await?
                    .sign("JWT", &claims)?,
            )
        } else {
            None
        };
        let expires_in = claims.exp - self.clock.now().timestamp();
        Ok(TokenSet {
            access_token,
            expires_in,
            refresh_token,
            id_token,
            scope: join(scopes),
        })
    }

    fn access_claims(
        &self,
        sub: Uuid,
        client_id: &str,
        sid: Option<Uuid>,
        roles: BTreeSet<String>,
        scopes: &BTreeSet<String>,
        issued_at: DateTime<Utc>,
    ) -> AccessClaims {
        let lifetime = TimeDelta::seconds(i64::from(self.config.lifetimes.access_token_seconds));
        AccessClaims {
            iss: self.config.issuer().to_owned(),
            sub,
            aud: AUDIENCE,
            azp: client_id.to_owned(),
            exp: (issued_at + lifetime).timestamp(),
            iat: issued_at.timestamp(),
            iat_ms: issued_at.timestamp_millis(),
            nbf: self.clock.now().timestamp(),
            jti: Uuid::new_v4(),
            sid,
            typ: "Bearer",
            scope: join(scopes),
            realm_access: RealmAccess { roles },
        }
    }

    async fn sign_access(&self, claims: &AccessClaims) -> ApiResult<String> {
        self.keys
            .signer(self.config.access_token_algorithm)
            .await?
            .sign("JWT", claims)
    }
}

fn join(scopes: &BTreeSet<String>) -> String {
    scopes
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}
