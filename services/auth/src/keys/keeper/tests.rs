use riwaq_clock::ManualClock;
use riwaq_records::{Memory, Table as _};

use super::*;
use crate::secrets::MasterSecret;

fn policy() -> RotationPolicy {
    RotationPolicy {
        rotate_every_seconds: 1000,
        publish_ahead_seconds: 100,
        keep_after_seconds: 50,
    }
}

fn keeper(
    store: &Store,
    clock: &Arc<ManualClock>,
    secret: u8,
    preferred: SigningAlgorithm,
) -> KeyKeeper {
    let sealing = MasterSecret::new(&[secret; 32])
        .unwrap()
        .sealing("signing keys")
        .unwrap();
    KeyKeeper::new(store.clone(), clock.clone(), sealing, policy(), preferred)
}

fn setting() -> (Store, Arc<ManualClock>) {
    let store = Store::new(Arc::new(
        Memory::with_tables([KeyRingRow::schema()]).unwrap(),
    ));
    (
        store,
        ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap()),
    )
}

fn kids(jwks: &Value) -> Vec<String> {
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn replicas_that_start_together_agree_on_one_key() {
    let (store, clock) = setting();
    let (one, two) = (
        keeper(&store, &clock, 1, SigningAlgorithm::RS256),
        keeper(&store, &clock, 1, SigningAlgorithm::RS256),
    );
    let (a, b) = futures::join!(one.refresh(), two.refresh());
    a.unwrap();
    b.unwrap();
    assert_eq!(one.jwks().await.unwrap(), two.jwks().await.unwrap());
    assert_eq!(kids(&one.jwks().await.unwrap()).len(), 1);
}

#[tokio::test]
async fn over_a_rotation_old_tokens_stay_verifiable_and_new_keys_are_known_before_they_sign() {
    let (store, clock) = setting();
    let keeper = keeper(&store, &clock, 1, SigningAlgorithm::EdDsa);
    let sign = async || {
        let key = keeper.signer(SigningAlgorithm::EdDsa).await.unwrap();
        (
            key.kid.clone(),
            key.sign("JWT", &json!({ "n": 1 })).unwrap(),
        )
    };
    keeper.refresh().await.unwrap();
    let (first, old) = sign().await;
    clock.advance(Duration::from_secs(900));
    keeper.refresh().await.unwrap();
    assert_eq!(sign().await.0, first, "the next key does not sign yet");
    let published = kids(&keeper.jwks().await.unwrap());
    assert_eq!(published.len(), 4, "two of each algorithm");
    clock.advance(Duration::from_secs(100));
    let (second, new) = sign().await;
    assert_ne!(second, first);
    assert!(published.contains(&second), "it was published before");
    for token in [&old, &new] {
        assert!(keeper.claims_of_our_token(token).await.unwrap().is_some());
    }
    clock.advance(Duration::from_secs(51));
    assert!(
        keeper.claims_of_our_token(&old).await.unwrap().is_none(),
        "its key is over"
    );
    assert!(keeper.claims_of_our_token(&new).await.unwrap().is_some());
}

#[tokio::test]
async fn a_replaced_ring_disowns_every_old_token() {
    let (store, clock) = setting();
    let keeper = keeper(&store, &clock, 1, SigningAlgorithm::EdDsa);
    let old = keeper
        .signer(SigningAlgorithm::EdDsa)
        .await
        .unwrap()
        .sign("JWT", &json!({}))
        .unwrap();
    keeper.replace_all().await.unwrap();
    assert!(keeper.claims_of_our_token(&old).await.unwrap().is_none());
    let new = keeper
        .signer(SigningAlgorithm::EdDsa)
        .await
        .unwrap()
        .sign("JWT", &json!({}))
        .unwrap();
    assert!(keeper.claims_of_our_token(&new).await.unwrap().is_some());
}

#[tokio::test]
async fn private_keys_are_stored_encrypted() {
    let (store, clock) = setting();
    keeper(&store, &clock, 1, SigningAlgorithm::EdDsa)
        .refresh()
        .await
        .unwrap();
    let other = keeper(&store, &clock, 2, SigningAlgorithm::EdDsa)
        .refresh()
        .await;
    assert!(other.is_err(), "another secret cannot read them");
}

#[tokio::test]
async fn tampered_tokens_are_not_ours() {
    let (store, clock) = setting();
    let keeper = keeper(&store, &clock, 1, SigningAlgorithm::EdDsa);
    let key = keeper.signer(SigningAlgorithm::EdDsa).await.unwrap();
    let token = key.sign("JWT", &json!({ "sub": "x" })).unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    for header in [
        json!({ "alg": "none", "kid": key.kid }),
        json!({ "alg": "HS256", "kid": key.kid }),
        json!({ "alg": "EdDSA", "kid": "../../keys" }),
        json!({ "alg": "EdDSA" }),
    ] {
        let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert_eq!(
            keeper.claims_of_our_token(&forged).await.unwrap(),
            None,
            "{header}"
        );
    }
    for garbage in ["", ".", "..", "a.b.c", "💥", &token[..token.len() - 2]] {
        assert_eq!(
            keeper.claims_of_our_token(garbage).await.unwrap(),
            None,
            "{garbage}"
        );
    }
}
