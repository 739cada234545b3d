//! Sessions begin, with their first tokens.

use super::*;

impl Tokens {
    /// Begins a session for somebody who has just proved who they are; `None` when their account
    /// was changed since.
    pub(crate) async fn begin_session(
        &self,
        verified: &Account,
        cookie_fingerprint: Option<String>,
    ) -> ApiResult<Option<SessionRow>> {
        let dates = self.subjects.get(verified.id).await?;
        let session = Session::new(self.signed_in_at(&dates), cookie_fingerprint);
        let opened = self.open(verified, session).await?;
        Ok(opened.map(|(row, _)| row))
    }

    /// Tokens of a new session, for the password endpoint.
    pub(crate) async fn for_password(&self, verified: &Account) -> ApiResult<Option<TokenSet>> {
        let dates = self.subjects.get(verified.id).await?;
        let scopes = BTreeSet::new();
        let mut session = Session::new(self.signed_in_at(&dates), None);
        let (chain, salt) = self.new_chain(PASSWORD_CLIENT, &scopes)?;
        let chain = session.begin_chain(chain);
        let Some((row, person)) = self.open(verified, session).await? else {
            return Ok(None);
        };
        let name = TokenName {
            sid: row.sid,
            chain,
            number: 0,
        };
        let made_for = For {
            person: &person,
            client_id: PASSWORD_CLIENT,
            sid: row.sid,
            signed_in_at: row.session.signed_in_at,
            scopes: &scopes,
            nonce: None,
        };
        let first = name.token(&self.refresh_key, &salt);
        self.make(made_for, Some(first)).await.map(Some)
    }

    /// Now, but not before the date from which on sessions count, though that may be a moment ahead.
    fn signed_in_at(&self, dates: &SubjectRow) -> DateTime<Utc> {
        whole_milliseconds(self.clock.now()).max(dates.sessions_not_before)
    }

    async fn open(
        &self,
        verified: &Account,
        session: Session,
    ) -> ApiResult<Option<(SessionRow, Person)>> {
        let signed_in_at = session.signed_in_at;
        let expires_at = self.clock.now() + seconds(self.config.lifetimes.session_seconds);
        let row = self
            .sessions
            .begin(verified.id, session, expires_at)
            .await?;
        // A password that was changed between its check and the reading of the dates would
        // otherwise still have signed somebody in.
        let person = self.person(verified.id, signed_in_at).await?;
        let unchanged = person.filter(|person| person.account.version == verified.version);
        if unchanged.is_none() {
            self.sessions.end(row.sid).await?;
        }
        Ok(unchanged.map(|person| (row, person)))
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

    async fn begin_chain(
        &self,
        person: &Person,
        client_id: &str,
        sid: Uuid,
        signed_in_at: DateTime<Utc>,
        scopes: &BTreeSet<String>,
        nonce: Option<String>,
    ) -> ApiResult<Option<TokenSet>> {
        let (chain, salt) = self.new_chain(client_id, scopes)?;
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

    /// A chain whose first token is good, and its salt.
    fn new_chain(&self, client_id: &str, scopes: &BTreeSet<String>) -> ApiResult<(Chain, String)> {
        let salt = URL_SAFE_NO_PAD.encode(random::<16>()?);
        let chain = Chain {
            client_id: client_id.to_owned(),
            scopes: scopes.clone(),
            salt: salt.clone(),
            current: 0,
            rotated_at: self.clock.now(),
        };
        Ok((chain, salt))
    }
}
