//! Refresh tokens: rotated, repeated, replayed, revoked.

use super::*;

/// Rotations that were overtaken before we give up.
const ATTEMPTS: usize = 16;

impl Tokens {
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
            let granted = &stored.row.session.chains[&presented.name.chain].scopes;
            let scopes = scopes.unwrap_or(granted);
            if !scopes.is_subset(granted) {
                return Ok(None);
            }
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
}
