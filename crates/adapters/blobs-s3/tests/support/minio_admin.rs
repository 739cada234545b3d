//! Users and policies of a MinIO server, by its administration protocol: signed requests (Signature Version 4), whose secret bodies
//! are encrypted with the administrator's secret.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use chrono::Utc;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use riwaq_blobs_s3::Config;

const PBKDF2_ROUNDS: u32 = 8_192;
const PBKDF2_AES_GCM: u8 = 2;

/// Makes a user who may do what a policy says, and nothing else.
pub(crate) async fn add_user(admin: &Config, user: &str, secret: &str, policy: &str) {
    let policy_name = format!("policy-of-{user}");
    let new = serde_json::json!({"secretKey": secret, "status": "enabled"}).to_string();
    let encrypted = encrypt(&admin.secret_key, new.as_bytes());
    put(
        admin,
        "add-canned-policy",
        &[("name", &policy_name)],
        policy.as_bytes(),
    )
    .await;
    put(admin, "add-user", &[("accessKey", user)], &encrypted).await;
    let attach = [
        ("isGroup", "false"),
        ("policyName", &policy_name),
        ("userOrGroup", user),
    ];
    put(admin, "set-user-or-group-policy", &attach, b"").await;
}

/// `query` in the order of its names.
async fn put(admin: &Config, path: &str, query: &[(&str, &str)], body: &[u8]) {
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let (path, query) = (format!("/minio/admin/v3/{path}"), pairs.join("&"));
    let host = admin.endpoint.strip_prefix("http://").expect("plain HTTP");
    let now = Utc::now();
    let (date, time) = (
        now.format("%Y%m%d").to_string(),
        now.format("%Y%m%dT%H%M%SZ").to_string(),
    );
    let body_digest = hex::encode(digest::digest(&digest::SHA256, body));
    let request = format!(
        "PUT\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{body_digest}\nx-amz-date:{time}\n\n\
         host;x-amz-content-sha256;x-amz-date\n{body_digest}"
    );
    let scope = format!("{date}/{}/s3/aws4_request", admin.region);
    let request = hex::encode(digest::digest(&digest::SHA256, request.as_bytes()));
    let mut key = format!("AWS4{}", admin.secret_key).into_bytes();
    for part in [date.as_str(), &admin.region, "s3", "aws4_request"] {
        key = signed(&key, part);
    }
    let signature = hex::encode(signed(
        &key,
        &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}"),
    ));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}",
        admin.access_key
    );
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::Client::new()
        .put(format!("{}{path}?{query}", admin.endpoint))
        .header("x-amz-content-sha256", body_digest)
        .header("x-amz-date", time)
        .header("authorization", authorization)
        .body(body.to_vec())
        .send()
        .await
        .expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("text");
    assert!(status.is_success(), "{path}: {status}: {text}");
}

fn signed(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// Salt, algorithm, nonce, and one fragment of the stream: the last one, which says so in what is authenticated with it.
fn encrypt(password: &str, text: &[u8]) -> Vec<u8> {
    let (mut salt, mut nonce) = ([0; 32], [0; 8]);
    SystemRandom::new().fill(&mut salt).expect("random");
    SystemRandom::new().fill(&mut nonce).expect("random");
    let mut key = [0; 32];
    let rounds = std::num::NonZeroU32::new(PBKDF2_ROUNDS).expect("some");
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        &salt,
        password.as_bytes(),
        &mut key,
    );
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("a key"));
    let numbered = |number: u32| {
        let mut whole = [0; 12];
        whole[..8].copy_from_slice(&nonce);
        whole[8..].copy_from_slice(&number.to_le_bytes());
        Nonce::assume_unique_for_key(whole)
    };
    let first = key.seal_in_place_separate_tag(numbered(0), Aad::empty(), &mut []);
    let mut said = vec![0x80];
    said.extend_from_slice(first.expect("sealed").as_ref());
    let mut sealed = text.to_vec();
    key.seal_in_place_append_tag(numbered(1), Aad::from(said), &mut sealed)
        .expect("sealed");
    [&salt[..], &[PBKDF2_AES_GCM], &nonce, &sealed].concat()
}
