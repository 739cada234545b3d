//! The code flow, as stock clients do it and as attackers try it.

use http::{StatusCode, header};
use openidconnect::core::{
    CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreProviderMetadata,
};
use openidconnect::{AccessToken, AccessTokenHash, ClientId, IssuerUrl, Nonce};
use serde_json::Value;

use super::tab::{Tab, VERIFIER, authorize, authorize_as, challenge, returned};
use super::world::{Answer, ISSUER, PASSWORD, PORTAL_CALLBACK, PORTAL_SECRET, World};

pub(super) const PORTAL: (&str, &str) = ("riwaq-gateway", PORTAL_SECRET);

pub(super) async fn exchange(world: &World, code: &str, verifier: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", PORTAL_CALLBACK),
        ("code_verifier", verifier),
    ];
    world.form_basic("/auth/token", PORTAL, &fields).await
}

/// A code for Zoé.
pub(super) async fn code(tab: &Tab<'_>) -> String {
    let answer = tab
        .sign_in(&authorize(&[]), "zoe", PASSWORD)
        .await
        .expect(StatusCode::SEE_OTHER);
    returned(&answer, "code").expect("a code")
}

async fn tokens(world: &World) -> Value {
    let code = code(&Tab::new(world)).await;
    exchange(world, &code, VERIFIER)
        .await
        .expect(StatusCode::OK)
        .json()
}

pub(super) fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}: {body}"))
}

#[tokio::test]
async fn a_stock_client_signs_somebody_in() {
    let world = World::new().await;
    let discovered = world
        .get("/.well-known/openid-configuration")
        .await
        .expect(StatusCode::OK);
    let metadata: CoreProviderMetadata = serde_json::from_str(&discovered.body).unwrap();
    assert_eq!(metadata.issuer().as_str(), ISSUER);
    let tab = Tab::new(&world);
    let back = tab
        .sign_in(&authorize(&[]), "zoe@example.org", PASSWORD)
        .await
        .expect(StatusCode::SEE_OTHER);
    assert!(back.header(header::LOCATION).starts_with(PORTAL_CALLBACK));
    assert_eq!(returned(&back, "state").as_deref(), Some("a state"));
    assert_eq!(returned(&back, "iss").as_deref(), Some(ISSUER));
    let answer = exchange(&world, &returned(&back, "code").unwrap(), VERIFIER)
        .await
        .expect(StatusCode::OK);
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    let set = answer.json();
    assert_eq!(
        (text(&set, "token_type"), &set["expires_in"]),
        ("Bearer", &Value::from(300))
    );

    let keys: CoreJsonWebKeySet =
        serde_json::from_str(&world.get("/auth/jwks").await.body).unwrap();
    let now = riwaq_clock::Clock::now(&*world.clock);
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new("riwaq-gateway".into()),
        IssuerUrl::new(ISSUER.into()).unwrap(),
        keys,
    )
    .set_time_fn(move || now);
    let id_token: CoreIdToken = serde_json::from_value(set["id_token"].clone()).unwrap();
    let claims = id_token
        .claims(&verifier, &Nonce::new("a nonce".into()))
        .unwrap();
    assert_eq!(claims.subject().as_str(), world.zoe().await.id.to_string());
    let algorithm = id_token.signing_alg().unwrap();
    let access = AccessToken::new(text(&set, "access_token").into());
    let key = id_token.signing_key(&verifier).unwrap();
    let expected = AccessTokenHash::from_token(&access, algorithm, key).unwrap();
    assert_eq!(claims.access_token_hash(), Some(&expected));
    assert!(
        id_token
            .claims(&verifier, &Nonce::new("another".into()))
            .is_err()
    );

    let person = world
        .get_as("/auth/userinfo", text(&set, "access_token"))
        .await
        .expect(StatusCode::OK)
        .json();
    assert_eq!(
        (text(&person, "given_name"), text(&person, "email")),
        ("Zoé", "zoe@example.org")
    );
}

#[tokio::test]
async fn access_tokens_keep_the_contract_of_identity() {
    let world = World::new().await;
    let set = tokens(&world).await;
    let token = world
        .identity
        .verify(text(&set, "access_token"))
        .await
        .unwrap();
    assert_eq!(token.subject, world.zoe().await.id);
    assert_eq!(token.roles, vec![Box::from("student")]);
    assert_eq!(token.client.as_deref(), Some("riwaq-gateway"));
    assert!(token.sid.is_some() && token.jti.is_some());
    assert!(
        world.identity.verify(text(&set, "id_token")).await.is_err(),
        "an ID token is not for access"
    );
}

#[tokio::test]
async fn the_code_is_bound_to_verifier_client_and_address() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    let code = code(&tab).await;
    let other = VERIFIER.replace("0123456789", "9876543210");
    for wrong in [other.as_str(), challenge(VERIFIER).as_str()] {
        let answer = exchange(&world, &code, wrong)
            .await
            .expect(StatusCode::BAD_REQUEST);
        assert_eq!(text(&answer.json(), "error"), "invalid_grant");
    }
    for wrong in ["", "short"] {
        let answer = exchange(&world, &code, wrong)
            .await
            .expect(StatusCode::BAD_REQUEST);
        assert_eq!(text(&answer.json(), "error"), "invalid_request", "{wrong}");
    }
    let as_other_client = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", PORTAL_CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", "riwaq-cli"),
    ];
    let answer = world
        .form("/auth/token", &as_other_client)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(text(&answer.json(), "error"), "invalid_grant");
    let other_address = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://riwaq.example/other"),
        ("code_verifier", VERIFIER),
    ];
    let answer = world
        .form_basic("/auth/token", PORTAL, &other_address)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(text(&answer.json(), "error"), "invalid_grant");
    // None of that used it up.
    exchange(&world, &code, VERIFIER)
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn a_code_that_is_used_twice_ends_its_session() {
    let world = World::new().await;
    let code = code(&Tab::new(&world)).await;
    let set = exchange(&world, &code, VERIFIER)
        .await
        .expect(StatusCode::OK)
        .json();
    assert!(world.accepts(text(&set, "access_token")).await);
    let again = exchange(&world, &code, VERIFIER)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(text(&again.json(), "error"), "invalid_grant");
    assert!(!world.accepts(text(&set, "access_token")).await);
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&set, "refresh_token")),
    ];
    world
        .form_basic("/auth/token", PORTAL, &refresh)
        .await
        .expect(StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn of_two_exchanges_at_once_at_most_one_gives_tokens_that_last() {
    let world = World::new().await;
    let code = code(&Tab::new(&world)).await;
    let (one, two) = futures::join!(
        exchange(&world, &code, VERIFIER),
        exchange(&world, &code, VERIFIER)
    );
    for answer in [one, two] {
        if answer.status == StatusCode::OK {
            assert!(!world.accepts(text(&answer.json(), "access_token")).await);
        }
    }
}

#[tokio::test]
async fn a_code_is_over_after_a_minute() {
    let world = World::new().await;
    let code = code(&Tab::new(&world)).await;
    world.advance(60);
    exchange(&world, &code, VERIFIER)
        .await
        .expect(StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn nobody_is_redirected_to_an_address_that_is_not_registered() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    for evil in [
        "https://evil.example/",
        "https://riwaq.example/api/auth/session/callback#x",
        "https://riwaq.example/api/auth/session/callback/..",
        "https://riwaq.example@evil.example/api/auth/session/callback",
        "https://riwaq.example.evil.example/api/auth/session/callback",
        "//evil.example",
        "javascript:alert(1)",
    ] {
        let answer = tab
            .get(&authorize(&[("redirect_uri", evil)]))
            .await
            .expect(StatusCode::BAD_REQUEST);
        assert!(answer.headers.get(header::LOCATION).is_none(), "{evil}");
        assert!(!answer.body.contains("evil.example"), "{evil}");
    }
    let unknown = authorize_as("nobody", PORTAL_CALLBACK, &[]);
    let answer = tab.get(&unknown).await.expect(StatusCode::BAD_REQUEST);
    assert!(answer.headers.get(header::LOCATION).is_none());
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example", authorize(&[]));
    tab.get(&twice).await.expect(StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_native_program_may_use_any_port_of_the_loopback_address_only() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    for good in [
        "http://127.0.0.1:43219/callback",
        "http://[::1]:8765/callback",
    ] {
        tab.get(&authorize_as("riwaq-cli", good, &[]))
            .await
            .expect(StatusCode::OK);
    }
    for bad in [
        "http://localhost:43219/callback",
        "http://127.0.0.1:43219/",
        "http://127.0.0.2:43219/callback",
        "http://192.0.2.1:80/callback",
    ] {
        tab.get(&authorize_as("riwaq-cli", bad, &[]))
            .await
            .expect(StatusCode::BAD_REQUEST);
    }
    let address = authorize_as("riwaq-cli", "http://127.0.0.1:43219/callback", &[]);
    let back = tab
        .sign_in(&address, "zoe", PASSWORD)
        .await
        .expect(StatusCode::SEE_OTHER);
    let code = returned(&back, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "http://127.0.0.1:43219/callback"),
        ("code_verifier", VERIFIER),
        ("client_id", "riwaq-cli"),
    ];
    world
        .form("/auth/token", &fields)
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn errors_of_the_request_go_back_to_the_client() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "openid admin"), "invalid_scope"),
        (
            ("request_uri", "https://evil.example"),
            "request_uri_not_supported",
        ),
        (("prompt", "none"), "login_required"),
    ] {
        let answer = tab
            .get(&authorize(&[change]))
            .await
            .expect(StatusCode::SEE_OTHER);
        assert!(answer.header(header::LOCATION).starts_with(PORTAL_CALLBACK));
        assert_eq!(
            returned(&answer, "error").as_deref(),
            Some(error),
            "{change:?}"
        );
        assert_eq!(returned(&answer, "state").as_deref(), Some("a state"));
        assert_eq!(returned(&answer, "code"), None);
    }
}

#[tokio::test]
async fn somebody_who_is_signed_in_is_not_asked_again_unless_the_client_wants_it() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    code(&tab).await;
    let silent = tab
        .get(&authorize(&[("prompt", "none")]))
        .await
        .expect(StatusCode::SEE_OTHER);
    assert!(returned(&silent, "code").is_some());
    tab.get(&authorize(&[])).await.expect(StatusCode::SEE_OTHER);
    tab.get(&authorize(&[("prompt", "login")]))
        .await
        .expect(StatusCode::OK);
    world.advance(100);
    tab.get(&authorize(&[("max_age", "100")]))
        .await
        .expect(StatusCode::SEE_OTHER);
    tab.get(&authorize(&[("max_age", "99")]))
        .await
        .expect(StatusCode::OK);
    world.advance(12 * 3600);
    tab.get(&authorize(&[])).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_session_cookie_is_worth_nothing_when_altered() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    code(&tab).await;
    let good = tab.cookies.borrow()["__Host-riwaq_sso"].clone();
    let (sid, secret) = good.split_once('.').unwrap();
    for bad in [
        format!("{sid}."),
        format!("{sid}.{}", "A".repeat(43)),
        format!("{}.{secret}", uuid::Uuid::new_v4()),
        sid.to_owned(),
    ] {
        tab.cookies
            .borrow_mut()
            .insert("__Host-riwaq_sso".into(), bad.clone());
        tab.get(&authorize(&[])).await.expect(StatusCode::OK);
    }
    tab.cookies
        .borrow_mut()
        .insert("__Host-riwaq_sso".into(), good);
    tab.get(&authorize(&[])).await.expect(StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn userinfo_tells_only_what_was_granted() {
    let world = World::new().await;
    let login = world.login("zoe", PASSWORD).await.json();
    let answer = world
        .get_as("/auth/userinfo", text(&login, "access_token"))
        .await
        .expect(StatusCode::FORBIDDEN);
    assert!(
        answer
            .header(header::WWW_AUTHENTICATE)
            .contains("insufficient_scope")
    );
    let tab = Tab::new(&world);
    let back = tab
        .sign_in(&authorize(&[("scope", "openid")]), "zoe", PASSWORD)
        .await;
    let set = exchange(&world, &returned(&back, "code").unwrap(), VERIFIER)
        .await
        .json();
    let person = world
        .get_as("/auth/userinfo", text(&set, "access_token"))
        .await
        .expect(StatusCode::OK)
        .json();
    assert_eq!(person, serde_json::json!({ "sub": world.zoe().await.id }));
    world
        .get("/auth/userinfo")
        .await
        .expect(StatusCode::UNAUTHORIZED);
}
