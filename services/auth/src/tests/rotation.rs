//! Keys change while people are signed in.

use http::StatusCode;
use riwaq_identity::EVENT_KEYS_CHANGED;
use serde_json::Value;

use super::world::{PASSWORD, World, next};

async fn access(world: &World) -> String {
    world
        .login("zoe", PASSWORD)
        .await
        .expect(StatusCode::OK)
        .json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn kid(token: &str) -> String {
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap())
        .unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn tokens_verify_over_a_rotation_on_every_replica() {
    let world = World::new().await;
    let replica = world.replica();
    let policy = world.auth.config.keys.clone();
    let before_publication = policy.rotate_every_seconds - policy.publish_ahead_seconds;
    world.advance(u64::from(before_publication));
    world.auth.prepare().await.unwrap();
    replica.auth.prepare().await.unwrap();
    let old = access(&world).await;
    world.advance(u64::from(policy.publish_ahead_seconds) - 60);
    let last = access(&replica).await;
    assert_eq!(kid(&last), kid(&old));
    world.advance(60);
    let new = access(&world).await;
    assert_ne!(kid(&new), kid(&old));
    for verifier in [&world, &replica] {
        assert!(verifier.accepts(&new).await && verifier.accepts(&last).await);
    }
    assert_eq!(
        kid(&access(&replica).await),
        kid(&new),
        "replicas change at the same moment"
    );
    let listed = world.get("/auth/jwks").await.json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
    world.advance(u64::from(policy.keep_after_seconds));
    let listed = world.get("/auth/jwks").await.json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn replaced_keys_disown_what_was_signed_before() {
    let world = World::new().await;
    let mut told = world.listen(&[EVENT_KEYS_CHANGED]).await;
    let old = access(&world).await;
    assert!(world.accepts(&old).await);
    world.auth.replace_signing_keys().await.unwrap();
    next(&mut told).await;
    let new = access(&world).await;
    assert_ne!(kid(&new), kid(&old));
    let fresh = world.replica();
    assert!(fresh.accepts(&new).await);
    assert!(!fresh.accepts(&old).await);
}

#[tokio::test]
async fn access_tokens_can_be_signed_with_eddsa_while_id_tokens_stay_rs256() {
    let world = World::with(|config| {
        config.access_token_algorithm = crate::SigningAlgorithm::EdDsa;
    })
    .await;
    let token = access(&world).await;
    assert!(world.accepts(&token).await);
    let listed = world.get("/auth/jwks").await.json();
    let algorithm = |kid: &str| {
        let keys = listed["keys"].as_array().unwrap().clone();
        keys.into_iter().find(|key| key["kid"] == kid).unwrap()["alg"].clone()
    };
    assert_eq!(algorithm(&kid(&token)), "EdDSA");
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
}
