//! Proving who one is by a password, slowed down by account and address together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use riwaq_directory::{Account, LoginName, SharedDirectory};
use riwaq_kit::ApiResult;

use crate::stores::attempts::AttemptLog;

/// Passwords for one account from one address that are checked at the same time. More at once is
/// nobody typing: without this limit they would all pass before the first failure is counted.
const AT_ONCE: u32 = 3;

/// Checks passwords.
#[derive(Clone)]
pub(crate) struct SignIn {
    directory: SharedDirectory,
    attempts: AttemptLog,
    under_way: Arc<Mutex<HashMap<Bytes, u32>>>,
}

impl SignIn {
    pub(crate) fn new(directory: SharedDirectory, attempts: AttemptLog) -> Self {
        Self {
            directory,
            attempts,
            under_way: Arc::default(),
        }
    }

    /// The account, or `None`: wrong, unknown, not activated, closed or slowed down look alike, and
    /// cost alike: one password hash.
    pub(crate) async fn verify(
        &self,
        login: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> ApiResult<Option<Account>> {
        let key = self
            .attempts
            .key(&[&login_part(login), &address_part(address)]);
        let turn = Turn::take(&self.under_way, &key);
        let blocked = self.attempts.is_blocked(&key).await? || turn.is_none();
        let verified = self.directory.verify_password(login, password).await?;
        if blocked {
            // Not counted: who keeps trying while blocked must not keep a neighbour out for ever.
            metrics::counter!("riwaq_auth_sign_ins_total", "outcome" => "slowed_down").increment(1);
            return Ok(None);
        }
        match &verified {
            Some(_) => self.attempts.forget(&key).await?,
            None => self.attempts.count(&key).await?,
        }
        let outcome = if verified.is_some() {
            "accepted"
        } else {
            "refused"
        };
        metrics::counter!("riwaq_auth_sign_ins_total", "outcome" => outcome).increment(1);
        Ok(verified)
    }
}

/// A place among those that are checked at the same time.
struct Turn {
    under_way: Arc<Mutex<HashMap<Bytes, u32>>>,
    key: Bytes,
}

impl Turn {
    fn take(under_way: &Arc<Mutex<HashMap<Bytes, u32>>>, key: &Bytes) -> Option<Self> {
        let mut counts = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_default();
        if *count >= AT_ONCE {
            return None;
        }
        *count += 1;
        Some(Self {
            under_way: Arc::clone(under_way),
            key: key.clone(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// One spelling for all that mean the same account.
pub(crate) fn login_part(login: &str) -> String {
    match LoginName::parse(login) {
        Ok(name) => format!("{}:{}", name.field().name(), name.folded()),
        Err(_) => "nobody".to_owned(),
    }
}

/// The address, or for version 6 the network that one subscriber has for themselves.
fn address_part(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscribers_network_counts_as_one_address() {
        let part = |text: &str| address_part(Some(text.parse().unwrap()));
        assert_eq!(part("2001:db8:1:2:3::1"), part("2001:db8:1:2:ffff::9"));
        assert_ne!(part("2001:db8:1:2::1"), part("2001:db8:1:3::1"));
        assert_eq!(part("::ffff:192.0.2.1"), part("192.0.2.1"));
        assert_ne!(part("192.0.2.1"), part("192.0.2.2"));
    }

    #[test]
    fn turns_are_given_back() {
        let counts = Arc::default();
        let key = Bytes::from_static(b"k");
        let turns: Vec<_> = (0..AT_ONCE)
            .map(|_| Turn::take(&counts, &key).unwrap())
            .collect();
        assert!(Turn::take(&counts, &key).is_none());
        assert!(Turn::take(&counts, &Bytes::from_static(b"other")).is_some());
        drop(turns);
        assert!(Turn::take(&counts, &key).is_some());
        assert!(counts.lock().unwrap().is_empty());
    }
}
