//! Tokens that must not be believed, and those that must.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use riwaq_clock::ManualClock;
use riwaq_identity::testing::{TOKEN_SECONDS, TestIssuer, TestKey};
use riwaq_identity::{Identity, Permission, Refused, TokenOwner};
use serde_json::{Value, json};
use uuid::Uuid;

struct World {
    clock: Arc<ManualClock>,
    issuer: Arc<TestIssuer>,
    identity: Identity,
    user: Uuid,
}

fn world() -> World {
    let clock = ManualClock::at("2026-11-21T10:00:00Z".parse().unwrap());
    let issuer = TestIssuer::new(clock.clone());
    let identity = issuer.identity();
    World {
        clock,
        issuer,
        identity,
        user: Uuid::now_v7(),
    }
}

impl World {
    fn claims(&self) -> Value {
        self.issuer.user_claims(self.user, &["teacher"])
    }

    /// A token whose claims were changed, properly signed.
    fn with(&self, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
        let mut claims = self.claims();
        change(claims.as_object_mut().unwrap());
        self.issuer.sign(&claims)
    }

    async fn refused(&self, token: &str) -> Refused {
        self.identity
            .verify(token)
            .await
            .map(|token| panic!("it was believed: {token:?}"))
            .unwrap_err()
    }
}

fn forge(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.{}",
        encode(header),
        encode(claims),
        URL_SAFE_NO_PAD.encode(signature)
    )
}

#[tokio::test]
async fn a_good_token_is_believed_with_either_algorithm() {
    let world = world();
    for key in [TestKey::rsa("test-1"), TestKey::ed25519("test-2")] {
        world.issuer.rotate_to(key);
        world.clock.advance(Duration::from_secs(3));
        let actor = world
            .identity
            .actor(&world.issuer.sign(&world.claims()))
            .await
            .unwrap();
        assert_eq!(actor.id(), world.user);
        assert!(actor.may(Permission::CoursesCreate) && !actor.may(Permission::UsersRead));
        assert!(actor.require(Permission::UsersRead).is_err());
        assert!(actor.has_role("teacher"));
    }
}

#[tokio::test]
async fn without_a_signature_nothing_is_believed() {
    let world = world();
    for alg in ["none", "None", "NONE", "nOnE"] {
        for header in [
            json!({"alg": alg}),
            json!({"alg": alg, "kid": "test-1", "typ": "JWT"}),
        ] {
            let token = forge(&header, &world.claims(), b"");
            assert_eq!(world.refused(&token).await, Refused::Algorithm, "{header}");
            assert_eq!(
                world.refused(&forge(&header, &world.claims(), b"x")).await,
                Refused::Algorithm
            );
        }
    }
    let good = world.issuer.sign(&world.claims());
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    assert_eq!(
        world.refused(&format!("{unsigned}.")).await,
        Refused::Malformed
    );
    assert_eq!(world.refused(unsigned).await, Refused::Malformed);
}

#[tokio::test]
async fn the_public_key_is_not_an_hmac_secret() {
    let world = world();
    let jwk = TestKey::rsa("test-1").jwk;
    let header = json!({"alg": "HS256", "kid": "test-1", "typ": "JWT"});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&world.claims()));
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [
        modulus,
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        jwk.to_string().into_bytes(),
    ] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let signature = ring::hmac::sign(&key, message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        assert_eq!(world.refused(&token).await, Refused::Algorithm);
    }
    for alg in [
        "HS384", "HS512", "RS384", "RS512", "PS256", "ES256", "rs256", "",
    ] {
        let token = forge(&json!({"alg": alg, "kid": "test-1"}), &world.claims(), b"x");
        assert_eq!(world.refused(&token).await, Refused::Algorithm, "{alg}");
    }
}

#[tokio::test]
async fn the_key_decides_the_algorithm() {
    let world = world();
    let key = TestKey::ed25519("test-1"); // another key under a known id
    assert_eq!(
        world.refused(&key.sign(&world.claims())).await,
        Refused::Algorithm
    );
}

#[tokio::test]
async fn key_ids_are_looked_up_and_nothing_else() {
    let world = world();
    let mine = TestKey::ed25519("mine");
    for kid in [
        "mine",
        "../../../../dev/null",
        "test-1' OR '1'='1",
        "http://evil.test/jwks",
        "test-1\0",
        "",
        "TEST-1",
        " test-1",
    ] {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid});
        let token = mine.sign_under(&header, &world.claims());
        assert_eq!(world.refused(&token).await, Refused::UnknownKey, "{kid:?}");
    }
    let token = mine.sign_under(&json!({"alg": "EdDSA", "typ": "JWT"}), &world.claims());
    assert_eq!(
        world.refused(&token).await,
        Refused::UnknownKey,
        "no key id at all"
    );
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_used() {
    let world = world();
    let mine = TestKey::ed25519("test-9");
    world.issuer.rotate_to(TestKey::ed25519("test-2"));
    let extras = [
        json!({"jwk": mine.jwk}),
        json!({"jku": "https://evil.test/jwks"}),
        json!({"x5u": "https://evil.test/cert"}),
        json!({"x5c": ["MIIB"]}),
    ];
    let headers = extras.map(|extra| {
        let mut header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "test-2"});
        let more = extra.as_object().unwrap().clone();
        header.as_object_mut().unwrap().extend(more);
        header
    });
    for header in headers {
        let token = mine.sign_under(&header, &world.claims());
        assert_eq!(world.refused(&token).await, Refused::Signature, "{header}");
    }
}

#[tokio::test]
async fn a_changed_token_is_not_believed() {
    let world = world();
    let good = world.issuer.sign(&world.claims());
    world.identity.verify(&good).await.unwrap();
    let parts: Vec<_> = good.split('.').collect();
    let mut richer = world.claims();
    richer["realm_access"]["roles"] = json!(["admin"]);
    let payload = URL_SAFE_NO_PAD.encode(richer.to_string());
    assert_eq!(
        world
            .refused(&format!("{}.{payload}.{}", parts[0], parts[2]))
            .await,
        Refused::Signature
    );
    let mut signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    signature[17] ^= 1;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    assert_eq!(
        world
            .refused(&format!("{}.{}.{signature}", parts[0], parts[1]))
            .await,
        Refused::Signature
    );
}

#[tokio::test]
async fn tokens_of_another_issuer_or_for_somebody_else_are_refused() {
    let world = world();
    for issuer in [
        "https://issuer.test/",
        "https://ISSUER.test",
        "https://evil.test",
        "",
    ] {
        assert_eq!(
            world
                .refused(&world.with(|c| c["iss"] = json!(issuer)))
                .await,
            Refused::Issuer,
            "{issuer}"
        );
    }
    for audience in [
        json!("riwaq-cli"),
        json!(["other"]),
        json!([]),
        json!("RIWAQ"),
        json!("riwaq "),
    ] {
        let token = world.with(|c| c["aud"] = audience.clone());
        assert_eq!(world.refused(&token).await, Refused::Audience, "{audience}");
    }
    world
        .identity
        .verify(&world.with(|c| c["aud"] = json!(["other", "riwaq"])))
        .await
        .unwrap();
    assert_eq!(
        world.refused(&world.with(|c| c["typ"] = json!("ID"))).await,
        Refused::Kind
    );
    assert_eq!(
        world
            .refused(&world.with(|c| c["typ"] = json!("Refresh")))
            .await,
        Refused::Kind
    );
    for claim in ["iss", "aud"] {
        let token = world.with(|claims| drop(claims.remove(claim)));
        assert_eq!(
            world.refused(&token).await,
            Refused::Malformed,
            "without {claim}"
        );
    }
}

#[tokio::test]
async fn a_token_is_valid_from_its_begin_to_its_end() {
    let world = world();
    let now = 1_795_255_200_i64;
    let early = world.with(|c| drop(c.insert("nbf".to_owned(), json!(now + 60))));
    assert_eq!(world.refused(&early).await, Refused::NotYet);
    assert_eq!(
        world
            .refused(&world.with(|c| c["iat"] = json!(now + 3600)))
            .await,
        Refused::NotYet
    );
    world
        .identity
        .verify(&world.with(|c| drop(c.insert("nbf".to_owned(), json!(now + 5)))))
        .await
        .unwrap();
    assert_eq!(
        world
            .refused(&world.with(|c| c["exp"] = json!(now - 5)))
            .await,
        Refused::Expired
    );
    for bad in [
        json!("tomorrow"),
        json!(null),
        json!(-1),
        json!(1e300),
        json!([]),
    ] {
        let token = world.with(|c| c["exp"] = bad.clone());
        assert_eq!(world.refused(&token).await, Refused::Malformed, "{bad}");
    }
    assert_eq!(
        world.refused(&world.with(|c| drop(c.remove("exp")))).await,
        Refused::Malformed
    );

    // Remembered tokens expire too.
    let good = world.issuer.sign(&world.claims());
    world.identity.verify(&good).await.unwrap();
    world.clock.advance(Duration::from_secs(
        u64::try_from(TOKEN_SECONDS).unwrap() + 4,
    ));
    world.identity.verify(&good).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.refused(&good).await, Refused::Expired);
    assert_eq!(world.refused(&good).await, Refused::Expired);
}

#[tokio::test]
async fn the_subject_is_a_user_id() {
    let world = world();
    let id = world.user;
    for bad in [
        json!(""),
        json!("admin"),
        json!(format!("{{{id}}}")),
        json!(id.simple().to_string()),
        json!(format!("urn:uuid:{id}")),
        json!(Uuid::nil()),
        json!(format!("{id} ")),
    ] {
        let token = world.with(|c| c["sub"] = bad.clone());
        assert_eq!(world.refused(&token).await, Refused::Subject, "{bad}");
    }
    assert_eq!(
        world.refused(&world.with(|c| drop(c.remove("sub")))).await,
        Refused::Subject
    );
    assert_eq!(
        world.refused(&world.with(|c| c["sub"] = json!(7))).await,
        Refused::Malformed
    );
    for good in [Uuid::new_v4(), Uuid::now_v7(), Uuid::from_u128(7)] {
        let token = world.with(|c| c["sub"] = json!(good));
        assert_eq!(world.identity.actor(&token).await.unwrap().id(), good);
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused_quickly() {
    let world = world();
    let long = "a".repeat(1_000_000);
    assert_eq!(world.refused(&long).await, Refused::TooLong);
    let deep = format!(
        "{}.{}.x",
        URL_SAFE_NO_PAD.encode("[".repeat(4_000)),
        URL_SAFE_NO_PAD.encode("{}")
    );
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": "test-1"}).to_string());
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "é.é.é",
        "\0.\0.\0",
        deep.as_str(),
    ] {
        assert_eq!(world.refused(bad).await, Refused::Malformed, "{bad:?}");
    }
    for body in ["", "%%%", "W10", "e30"] {
        let refused = world.refused(&format!("{header}.{body}.AAAA")).await;
        assert!(
            matches!(refused, Refused::Malformed | Refused::Signature),
            "{body:?}: {refused:?}"
        );
    }
    let critical = json!({"alg": "RS256", "kid": "test-1", "crit": ["exp"]});
    assert_eq!(
        world
            .refused(&forge(&critical, &world.claims(), b"x"))
            .await,
        Refused::Malformed
    );
}

#[tokio::test]
async fn only_a_services_token_is_a_services() {
    let world = world();
    let token = world
        .identity
        .verify(&world.issuer.service_token("users"))
        .await
        .unwrap();
    assert_eq!(token.owner, TokenOwner::Service("users".into()));
    assert_eq!(token.subject, riwaq_identity::service_id("riwaq-users"));
    let refused = world
        .identity
        .actor(&world.issuer.service_token("users"))
        .await
        .unwrap_err();
    assert_eq!(refused, Refused::NotAUser);

    let service = json!({"roles": ["service"]});
    let disguised = [
        // A person who was given the role, signed in with the public client.
        world.with(|c| c["realm_access"] = service.clone()),
        // A client without our prefix.
        world.with(|c| {
            c["realm_access"] = service.clone();
            c["azp"] = json!("users");
            c.remove("sid");
        }),
        // Our prefix without a name.
        world.with(|c| {
            c["realm_access"] = service.clone();
            c["azp"] = json!("riwaq-");
            c.remove("sid");
        }),
        // A client of ours without the role.
        world.with(|c| {
            c["azp"] = json!("riwaq-users");
            c.remove("sid");
        }),
    ];
    for token in disguised {
        assert_eq!(
            world.identity.verify(&token).await.unwrap().owner,
            TokenOwner::User
        );
    }
    // Roles that mean nothing here, and none at all.
    let actor = world
        .identity
        .actor(&world.with(|c| drop(c.remove("realm_access"))))
        .await
        .unwrap();
    assert_eq!(actor.permissions(), riwaq_identity::PermissionSet::NONE);
}

#[tokio::test]
async fn a_signature_is_of_the_text_and_has_one_spelling() {
    let world = world();
    let good = world.issuer.sign(&world.claims());
    let parts: Vec<_> = good.split('.').collect();
    // 256 bytes leave four unused bits in the last character: each other value of them is another token with the
    // same bytes, which a list of revoked or used tokens would not know.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = parts[2].chars().last().unwrap();
    let place = alphabet.find(last).unwrap();
    for stray in 1..16 {
        let other = alphabet.chars().nth(place + stray).unwrap();
        let signature = format!("{}{other}", &parts[2][..parts[2].len() - 1]);
        let token = format!("{}.{}.{signature}", parts[0], parts[1]);
        assert_eq!(world.refused(&token).await, Refused::Malformed, "{other}");
    }
    for token in [
        format!("{good}="),
        format!("{good}=="),
        format!("{good} "),
        format!("{good}\n"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}=.{}", parts[0], parts[1], parts[2]),
        format!(
            "{}.{}.{}",
            parts[0],
            parts[1],
            parts[2].replace(['-', '_'], "+")
        ) + "+",
        format!("{good}.{}", parts[2]),
    ] {
        let refused = world.refused(&token).await;
        assert!(
            matches!(refused, Refused::Malformed | Refused::Signature),
            "{refused:?}: {token}"
        );
    }
    // Shorter and longer signatures, and those of other keys' lengths.
    for length in [0, 1, 64, 255, 257, 512, 1024, 1025] {
        let signature = URL_SAFE_NO_PAD.encode(vec![1; length]);
        let token = format!("{}.{}.{signature}", parts[0], parts[1]);
        let refused = world.refused(&token).await;
        assert!(
            matches!(refused, Refused::Malformed | Refused::Signature),
            "{length}: {refused:?}"
        );
    }
    world.identity.verify(&good).await.unwrap();
}

#[tokio::test]
async fn a_claim_counts_once() {
    let world = world();
    let claims = world.claims().to_string();
    let key = world.issuer.signing_key();
    let header = json!({"alg": key.algorithm, "kid": key.kid}).to_string();
    for twice in [
        r#""sub":"7f0a3c3e-1d5e-4d6f-9a52-0d6e2c6f7a10""#,
        r#""iss":"https://issuer.test""#,
        r#""aud":"riwaq""#,
        r#""exp":4102444800"#,
        r#""iat":1"#,
        r#""sid":"other""#,
        r#""jti":"other""#,
        r#""azp":"riwaq-users""#,
        r#""typ":"Bearer""#,
        r#""realm_access":{"roles":["admin"]}"#,
    ] {
        let spoilt = format!("{},{twice}}}", claims.strip_suffix('}').unwrap());
        let refused = world.refused(&key.sign_text(&header, &spoilt)).await;
        assert_eq!(refused, Refused::Malformed, "{twice}");
    }
    let roles = r#"{"roles":["student"],"roles":["admin"]}"#;
    let spoilt = claims.replacen(r#"{"roles":["teacher"]}"#, roles, 1);
    assert_ne!(spoilt, claims);
    assert_eq!(
        world.refused(&key.sign_text(&header, &spoilt)).await,
        Refused::Malformed
    );
    // And so does the algorithm, whichever of the two fits.
    for header in [
        r#"{"alg":"RS256","alg":"none","kid":"test-1"}"#,
        r#"{"alg":"none","alg":"RS256","kid":"test-1"}"#,
        r#"{"alg":"RS256","kid":"test-1","kid":"test-1"}"#,
    ] {
        assert_eq!(
            world.refused(&key.sign_text(header, &claims)).await,
            Refused::Malformed,
            "{header}"
        );
    }
}

#[tokio::test]
async fn what_must_be_understood_is_refused_however_well_it_is_signed() {
    let world = world();
    let key = world.issuer.signing_key();
    for critical in [
        json!(["exp"]),
        json!(["b64"]),
        json!([]),
        json!(null),
        json!("exp"),
    ] {
        let header = json!({"alg": key.algorithm, "kid": key.kid, "crit": critical, "b64": false});
        let token = key.sign_under(&header, &world.claims());
        assert_eq!(
            world.refused(&token).await,
            Refused::Malformed,
            "{critical}"
        );
    }
    let encrypted = format!("{}.AAAA", key.sign(&world.claims()));
    assert_eq!(world.refused(&encrypted).await, Refused::Malformed);
}

#[tokio::test]
async fn a_token_of_the_longest_length_is_read_and_a_byte_more_is_not() {
    let world = world();
    let longest = world.issuer.config().max_token_bytes;
    let with_filling = |length: usize| {
        world.with(|claims| drop(claims.insert("filling".to_owned(), json!("x".repeat(length)))))
    };
    let (mut filling, mut too_much) = (1, longest);
    while filling + 1 < too_much {
        let middle = filling.midpoint(too_much);
        match with_filling(middle).len() <= longest {
            true => filling = middle,
            false => too_much = middle,
        }
    }
    world.identity.verify(&with_filling(filling)).await.unwrap();
    let refused = world.refused(&with_filling(filling + 1)).await;
    assert_eq!(refused, Refused::TooLong);
}
