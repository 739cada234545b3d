//! Lists of users by name: the buckets, merged.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use riwaq_kit::ApiResult;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ManagedUser, Users};
use crate::domain::ProfileDraft;
use crate::records::{BUCKETS, UserByName};

/// The key of the last user of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListPosition {
    sort_name: String,
    user_id: Uuid,
}

impl Users {
    /// Up to `limit` users by name, after `position`, and the position of the last one where more follow.
    pub(crate) async fn page(
        &self,
        position: Option<&ListPosition>,
        limit: usize,
    ) -> ApiResult<(Vec<ManagedUser>, Option<ListPosition>)> {
        let scans = (0..BUCKETS).map(|bucket| {
            let mut scan = self.store.scan::<UserByName>((bucket,)).limit(limit + 1);
            if let Some(position) = position {
                scan = scan.after((position.sort_name.clone(), position.user_id));
            }
            async move { scan.page().await }
        });
        let pages: Vec<_> = stream::iter(scans).buffered(8).try_collect().await?;
        let mut rows: Vec<UserByName> = pages.into_iter().flat_map(|page| page.rows).collect();
        rows.sort_by(|a, b| (&a.sort_name, a.user_id).cmp(&(&b.sort_name, b.user_id)));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more);
        let next = next.map(|last| ListPosition {
            sort_name: last.sort_name.clone(),
            user_id: last.user_id,
        });
        Ok((self.with_accounts(rows).await?, next))
    }

    /// The user with this e-mail address or user name, if there is one.
    pub(crate) async fn find(
        &self,
        email: Option<&str>,
        username: Option<&str>,
    ) -> ApiResult<Vec<ManagedUser>> {
        let wanted = ProfileDraft {
            email: email.unwrap_or_default().to_owned(),
            username: username.map(str::to_owned),
            ..ProfileDraft::default()
        };
        // Only for its canonical forms: what is no address or name is nobody's.
        let claims = wanted
            .check(&mut riwaq_kit::validate::FieldErrors::new())
            .claims();
        if claims.len() != usize::from(email.is_some()) + usize::from(username.is_some()) {
            return Ok(Vec::new());
        }
        let mut holders = Vec::new();
        for (scope, value) in claims {
            let Some(holder) = self.claims.holder(scope, &value).await? else {
                return Ok(Vec::new());
            };
            holders.extend(Uuid::parse_str(&holder));
        }
        holders.dedup();
        let [holder] = holders.as_slice() else {
            return Ok(Vec::new());
        };
        match self.journal.load(holder).await? {
            Some(user) if !user.state.deleted => {
                let account = self.accounts.get_one(*holder).await?;
                Ok(vec![ManagedUser::new(user, account)])
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn with_accounts(&self, rows: Vec<UserByName>) -> ApiResult<Vec<ManagedUser>> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.user_id).collect();
        let mut accounts = self.accounts.get(&ids).await?;
        let managed = rows.into_iter().map(|row| ManagedUser {
            id: row.user_id,
            account: accounts.remove(&row.user_id),
            profile: row.profile,
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        });
        Ok(managed.collect())
    }
}
