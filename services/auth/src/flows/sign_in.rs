//! Proving who one is by a password, slowed down by account and address together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use riwaq_directory::{Account, LoginName, SharedDirectory};
use riwaq_kit::{ApiResult, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::stores::attempts::AttemptLog;

/// Passwords for one account from one address that are checked at the same time; others wait. Else
/// any number of guesses would pass before the first failure is counted.
const AT_ONCE: usize = 3;

/// Those that are checked or wait, by account and address.
type UnderWay = Arc<Mutex<HashMap<Bytes, Arc<Semaphore>>>>;

/// Checks passwords.
#[derive(Clone)]
pub(crate) struct SignIn {
    directory: SharedDirectory,
    attempts: AttemptLog,
    under_way: UnderWay,
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
        let _turn = Turn::take(&self.under_way, key.clone()).await?;
        let blocked = self.attempts.is_blocked(&key).await?;
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
    permit: Option<OwnedSemaphorePermit>,
    gate: Option<Arc<Semaphore>>,
    under_way: UnderWay,
    key: Bytes,
}

impl Turn {
    async fn take(under_way: &UnderWay, key: Bytes) -> ApiResult<Self> {
        let gate = {
            let mut gates = under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(AT_ONCE));
            Arc::clone(gates.entry(key.clone()).or_insert_with(new))
        };
        // Made before the wait, so that one who goes away while waiting leaves nothing behind.
        let mut turn = Self {
            permit: None,
            gate: Some(Arc::clone(&gate)),
            under_way: Arc::clone(under_way),
            key,
        };
        turn.permit = Some(gate.acquire_owned().await.map_err(Problem::internal)?);
        Ok(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.permit = None;
        self.gate = None;
        let mut gates = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Whoever else waits or is being checked holds the gate, too; nobody gets it but under the lock.
        if gates
            .get(&self.key)
            .is_some_and(|gate| Arc::strong_count(gate) == 1)
        {
            gates.remove(&self.key);
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

    #[tokio::test]
    async fn turns_are_waited_for_and_given_back() {
        let gates = UnderWay::default();
        let key = Bytes::from_static(b"k");
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(Turn::take(&gates, key.clone()).await.unwrap());
        }
        let mut waiting = Box::pin(Turn::take(&gates, key.clone()));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(
            Turn::take(&gates, Bytes::from_static(b"other"))
                .await
                .unwrap(),
        );
        turns.pop();
        turns.push(waiting.await.unwrap());
        // One who goes away while waiting.
        let mut gone = Box::pin(Turn::take(&gates, key.clone()));
        assert!(futures::poll!(&mut gone).is_pending());
        drop(gone);
        drop(turns);
        assert!(gates.lock().unwrap().is_empty());
    }
}
