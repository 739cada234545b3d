//! Sessions and the tokens that come from them.

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
use crate::records::SessionRow;
use crate::secrets::{MacKey, random};
use crate::stores::codes::{Codes, Redeemed};
use crate::stores::revocations::Revocations;
use crate::stores::sessions::Sessions;
use crate::stores::subjects::{Subjects, whole_milliseconds};

/// The client of the password endpoints.
pub(crate) const PASSWORD_CLIENT: &str = "riwaq-password";
/// Rotations that were overtaken before we give up.
const ATTEMPTS: usize = 16;

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
    /// Begins a session for somebody who has just proved who they are; `None` when their account
    /// was changed since.
    pub(crate) async fn begin_session(
        &self,
        verified: &Account,
        cookie_fingerprint: Option<String>,
    ) -> ApiResult<Option<(Uuid, DateTime<Utc>)>> {
        let dates = self.subjects.get(verified.id).await?;
        let now = whole_milliseconds(self.clock.now());
        // Not before the date from which on sessions count, though that may be a moment ahead.
        let signed_in_at = now.max(dates.sessions_not_before);
        let session = Session::new(signed_in_at, cookie_fingerprint);
        let expires_at = now + seconds(self.config.lifetimes.session_seconds);
        let sid = self
            .sessions
            .begin(verified.id, session, expires_at)
            .await?;
        // A password that was changed between its check and the reading of the dates would
        // otherwise still have signed somebody in.
        let person = self.person(verified.id, signed_in_at).await?;
        if person.is_none_or(|person| person.account.version != verified.version) {
            self.sessions.end(sid).await?;
            return Ok(None);
        }
        Ok(Some((sid, signed_in_at)))
    }

    /// Tokens of a new session, for the password endpoint.
    pub(crate) async fn for_password(&self, verified: &Account) -> ApiResult<Option<TokenSet>> {
        let Some((sid, signed_in_at)) = self.begin_session(verified, None).await? else {
            return Ok(None);
        };
        let Some(person) = self.person(verified.id, signed_in_at).await? else {
            return Ok(None);
        };
        self.begin_chain(
            &person,
            PASSWORD_CLIENT,
            sid,
            signed_in_at,
            &BTreeSet::new(),
            None,
        )
        .await
    }

    /// Tokens for an authorization code; `None` for one that is not good. A code that was used
    /// before ends its session (RFC 6749, 4.1.2).
    pub(crate) async fn for_code(
        &self,
        code: &str,
        matches: impl Fn(&CodeGrant) -> bool,
    ) -> ApiResult<Option<TokenSet>> {
        let grant = match self.codes.redeem(code, matches).await? {
            Redeemed::First(grant) => grant,
            Redeemed::Again(grant) => {
                tracing::warn!(
                    client = grant.client_id,
                    "an authorization code was used twice: its session ends"
                );
                self.end_session(grant.sid).await?;
                return Ok(None);
            }
            Redeemed::Refused => return Ok(None),
        };
        let Some(person) = self.person(grant.subject, grant.signed_in_at).await? else {
            return Ok(None);
        };
        self.begin_chain(
            &person,
            &grant.client_id,
            grant.sid,
            grant.signed_in_at,
            &grant.scopes,
            grant.nonce,
        )
        .await
    }

    /// Tokens for a refresh token; `None` for one that is not good. One that was used before, and
    /// not just now, ends its session (RFC 9700, 4.14.2).
    pub(crate) async fn for_refresh(
        &self,
        token: &str,
        client_id: &str,
        scopes: Option<&BTreeSet<String>>,
    ) -> ApiResult<Option<TokenSet>> {
        let Some(presented) = Presented::parse(token) else {
            return Ok(None);
        };
        for _ in 0..ATTEMPTS {
            let Some(stored) = self.sessions.get(presented.name.sid).await? else {
                return Ok(None);
            };
            let Some((judged, salt)) = self.judge(&stored.row, &presented, client_id) else {
                return Ok(None);
            };
            let signed_in_at = stored.row.session.signed_in_at;
            let number = match judged {
                Refresh::Refused => return Ok(None),
                Refresh::Replayed => {
                    tracing::warn!(
                        client = client_id,
                        "a refresh token was used again: its session ends"
                    );
                    self.end_session(presented.name.sid).await?;
                    return Ok(None);
                }
                Refresh::Repeat => presented.name.number + 1,
                Refresh::Rotate => match self.rotate(&stored, presented.name.chain).await? {
                    Some(number) => number,
                    None => continue,
                },
            };
            let Some(person) = self.person(stored.row.subject, signed_in_at).await? else {
                return Ok(None);
            };
            let granted = &stored.row.session.chains[&presented.name.chain].scopes;
            let scopes = scopes.unwrap_or(granted);
            if !scopes.is_subset(granted) {
                return Ok(None);
            }
            let made_for = For {
                person: &person,
                client_id,
                sid: presented.name.sid,
                signed_in_at,
                scopes,
                nonce: None,
            };
            let next = TokenName {
                number,
                ..presented.name
            }
            .token(&self.refresh_key, &salt);
            return self.make(made_for, Some(next)).await.map(Some);
        }
        Err(Problem::unavailable(
            "the session is changed by too many at once",
        ))
    }

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

    /// Ends the session of a genuine refresh token of this client, whichever in its chain it is.
    pub(crate) async fn revoke_refresh_token(&self, token: &str, client_id: &str) -> ApiResult<()> {
        let Some(presented) = Presented::parse(token) else {
            return Ok(());
        };
        let Some(stored) = self.sessions.get(presented.name.sid).await? else {
            return Ok(());
        };
        if self
            .judge(&stored.row, &presented, client_id)
            .is_none_or(|(judged, _)| judged == Refresh::Refused)
        {
            return Ok(());
        }
        self.end_session(presented.name.sid).await
    }

    /// Ends a session: its refresh tokens at once, its access tokens everywhere within seconds.
    pub(crate) async fn end_session(&self, sid: Uuid) -> ApiResult<()> {
        self.sessions.end(sid).await?;
        self.revocations.revoke_session(sid).await
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

    async fn begin_chain(
        &self,
        person: &Person,
        client_id: &str,
        sid: Uuid,
        signed_in_at: DateTime<Utc>,
        scopes: &BTreeSet<String>,
        nonce: Option<String>,
    ) -> ApiResult<Option<TokenSet>> {
        let salt = URL_SAFE_NO_PAD.encode(random::<16>()?);
        let chain = Chain {
            client_id: client_id.to_owned(),
            scopes: scopes.clone(),
            salt: salt.clone(),
            current: 0,
            rotated_at: self.clock.now(),
        };
        let Some(chain) = self.sessions.begin_chain(sid, chain).await? else {
            return Ok(None);
        };
        let first = TokenName {
            sid,
            chain,
            number: 0,
        }
        .token(&self.refresh_key, &salt);
        let made_for = For {
            person,
            client_id,
            sid,
            signed_in_at,
            scopes,
            nonce,
        };
        self.make(made_for, Some(first)).await.map(Some)
    }

    /// What the token is, and its chain's salt; `None` for one that we did not make.
    fn judge(
        &self,
        row: &SessionRow,
        presented: &Presented,
        client_id: &str,
    ) -> Option<(Refresh, String)> {
        let chain = row.session.chains.get(&presented.name.chain)?;
        if !presented.is_genuine(&self.refresh_key, &chain.salt) {
            return None;
        }
        let limits = RefreshLimits {
            grace: seconds(self.config.lifetimes.refresh_grace_seconds),
            idle: seconds(self.config.lifetimes.refresh_idle_seconds),
        };
        let (name, now) = (presented.name, self.clock.now());
        Some((
            row.session
                .judge(name.chain, name.number, client_id, now, limits),
            chain.salt.clone(),
        ))
    }

    async fn rotate(&self, stored: &Stored<SessionRow>, chain: u64) -> ApiResult<Option<u32>> {
        let mut row = stored.row.clone();
        let Some(number) = row.session.rotate(chain, self.clock.now()) else {
            return Ok(None);
        };
        Ok(self.sessions.replace(stored, &row).await?.then_some(number))
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
