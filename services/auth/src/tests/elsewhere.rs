//! With an issuer elsewhere: what is not answered here, what still is, and what that issuer tells.

use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use riwaq_directory::{AccountChange, AccountStatus};
use riwaq_identity::testing::TestKey;
use riwaq_identity::{EVENT_REVOKED, Refused, Revocation, RevocationKind};
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{Answer, World, new_password};
use crate::paths;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

impl World {
    fn issuer(&self) -> &riwaq_identity::testing::TestIssuer {
        self.elsewhere.as_deref().unwrap()
    }

    /// What the issuer sends when a session has ended.
    fn logout_claims(&self, sid: &str) -> Value {
        use riwaq_clock::Clock as _;
        let now = self.clock.now().timestamp();
        json!({
            "iss": self.issuer().name(), "aud": "riwaq-gateway", "iat": now, "exp": now + 120,
            "jti": Uuid::new_v4(), "sub": Uuid::from_u128(7), "sid": sid, "typ": "Logout", "events": {EVENT: {}},
        })
    }

    /// A token as Keycloak makes it: its time is in whole seconds, by a clock that is so many milliseconds ahead.
    fn token_to_the_second(&self, person: Uuid, ahead_ms: i64) -> String {
        use riwaq_clock::Clock as _;
        let now = self.clock.now() + chrono::TimeDelta::milliseconds(ahead_ms);
        let mut claims = self.issuer().user_claims(person, &[]);
        claims.as_object_mut().unwrap().remove("iat_ms");
        claims["iat"] = json!(now.timestamp());
        self.issuer().sign(&claims)
    }

    async fn tell(&self, claims: &Value) -> Answer {
        self.tell_raw(&self.issuer().sign(claims)).await
    }

    async fn given_roles(&self, person: Uuid, roles: &[&str]) {
        let accounts = self.auth.accounts.clone();
        let changing = accounts.update(person, with_roles(roles));
        self.meanwhile(changing).await.unwrap();
    }

    /// Carries `work` out while the clock goes on.
    pub(super) async fn meanwhile<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => self.clock.advance(Duration::from_millis(10)),
            }
        }
    }

    async fn tell_raw(&self, token: &str) -> Answer {
        self.form(paths::BACKCHANNEL_LOGOUT, &[("logout_token", token)])
            .await
    }
}

fn with_roles(roles: &[&str]) -> AccountChange {
    AccountChange {
        roles: Some(roles.iter().map(|role| (*role).to_owned()).collect()),
        ..AccountChange::default()
    }
}

#[tokio::test]
async fn what_an_issuer_answers_is_answered_by_naming_it() {
    let world = World::with_issuer_elsewhere().await;
    for path in [
        "/.well-known/openid-configuration",
        "/auth/authorize?client_id=x",
        "/auth/jwks",
        "/auth/token",
        "/auth/userinfo",
        "/auth/revoke",
        "/auth/logout",
        "/auth/sign-in",
        "/auth/sign-out",
    ] {
        for method in [Method::GET, Method::POST] {
            let request = Request::builder().method(method).uri(path);
            let answer = world
                .send(request.body(axum::body::Body::empty()).unwrap())
                .await;
            let problem = answer.expect(StatusCode::NOT_FOUND).json();
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(world.issuer().name()), "{path}: {detail}");
        }
    }
    for page in [
        "/auth/activate",
        "/auth/reset",
        "/auth/forgot",
        "/auth/assets/pages.css",
    ] {
        world.get(page).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn passwords_and_refresh_tokens_are_not_taken_here() {
    let world = World::with_issuer_elsewhere().await;
    let login = json!({"email": "zoe@example.org", "password": super::world::PASSWORD});
    let answer = world.post_json("/api/auth/login", &login).await;
    let problem = answer.expect(StatusCode::NOT_FOUND).json();
    assert!(problem["detail"].as_str().unwrap().contains("issuer.test"));
    assert_eq!(world.directory.verifications(), 0);
    let refresh = json!({"refresh_token": "x"});
    let answer = world.post_json("/api/auth/refresh", &refresh).await;
    answer.expect(StatusCode::NOT_FOUND);
    let answer = world.post_json("/api/auth/logout", &refresh).await;
    answer.expect(StatusCode::NOT_FOUND);
    // What is wrong with a request is said first.
    let answer = world
        .post_json("/api/auth/login", &json!({"email": 7}))
        .await;
    answer.expect(StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn its_tokens_open_what_is_ours_and_signing_out_refuses_them_everywhere() {
    let world = World::with_issuer_elsewhere().await;
    let replica = world.replica();
    let zoe = world.zoe().await.id;
    let token = world.issuer().user_token(zoe, &["student"]);
    let me = world.get_as("/api/auth/me", &token).await;
    assert_eq!(me.expect(StatusCode::OK).json()["first_name"], "Zoé");

    let mut told = world.listen(&[EVENT_REVOKED]).await;
    let out = world
        .post_json_as("/api/auth/logout", &token, &json!({}))
        .await;
    out.expect(StatusCode::NO_CONTENT);
    let refused = world.identity.verify(&token).await.unwrap_err();
    assert_eq!(refused, Refused::Revoked);
    let event = told.next().await.unwrap().event.clone();
    replica.identity.revoke(event.data_as().unwrap());
    let refused = replica.identity.verify(&token).await.unwrap_err();
    assert_eq!(refused, Refused::Revoked);
    // Again, or too late: it is refused already.
    let out = world
        .post_json_as("/api/auth/logout", &token, &json!({}))
        .await;
    out.expect(StatusCode::NO_CONTENT);
    let forged = TestKey::ed25519("test-1").sign(&world.issuer().user_claims(zoe, &[]));
    let out = world
        .post_json_as("/api/auth/logout", &forged, &json!({}))
        .await;
    out.expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_that_ends_there_ends_here() {
    let world = World::with_issuer_elsewhere().await;
    let replica = world.replica();
    let claims = world.issuer().user_claims(Uuid::from_u128(7), &["student"]);
    let (token, sid) = (
        world.issuer().sign(&claims),
        claims["sid"].as_str().unwrap(),
    );
    let other = world.issuer().user_token(Uuid::from_u128(7), &["student"]);
    world.identity.verify(&token).await.unwrap();

    let mut told = world.listen(&[EVENT_REVOKED]).await;
    let answer = world.tell(&world.logout_claims(sid)).await;
    let answer = answer.expect(StatusCode::OK);
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    let refused = world.identity.verify(&token).await.unwrap_err();
    assert_eq!(refused, Refused::Revoked);
    world.identity.verify(&other).await.unwrap();

    let event = told.next().await.unwrap().event.clone();
    let revocation: Revocation = event.data_as().unwrap();
    assert_eq!(
        (revocation.kind, revocation.value.as_str()),
        (RevocationKind::Sid, sid)
    );
    replica.identity.revoke(revocation);
    let refused = replica.identity.verify(&token).await.unwrap_err();
    assert_eq!(refused, Refused::Revoked);
    // A replica that starts later reads it.
    let late = world.replica();
    late.identity.load_revocations().await.unwrap();
    let refused = late.identity.verify(&token).await.unwrap_err();
    assert_eq!(refused, Refused::Revoked);
}

#[tokio::test]
async fn a_token_that_names_only_a_person_ends_all_of_their_sessions_until_then() {
    let world = World::with_issuer_elsewhere().await;
    let person = Uuid::from_u128(7);
    let before = world.issuer().user_token(person, &[]);
    let stranger = world.issuer().user_token(Uuid::from_u128(8), &[]);
    let mut claims = world.logout_claims("");
    claims.as_object_mut().unwrap().remove("sid");
    world.tell(&claims).await.expect(StatusCode::OK);
    let refused = world.identity.verify(&before).await.unwrap_err();
    assert_eq!(refused, Refused::Revoked);
    world.identity.verify(&stranger).await.unwrap();
    world.advance(1);
    let after = world.issuer().user_token(person, &[]);
    world.identity.verify(&after).await.unwrap();
}

#[tokio::test]
async fn a_logout_token_counts_once_on_all_replicas() {
    let world = World::with_issuer_elsewhere().await;
    let replica = world.replica();
    let mut claims = world.logout_claims("");
    claims.as_object_mut().unwrap().remove("sid");
    let token = world.issuer().sign(&claims);
    world.tell_raw(&token).await.expect(StatusCode::OK);
    let again = world.tell_raw(&token).await.expect(StatusCode::BAD_REQUEST);
    assert_eq!(again.json()["error"], "invalid_request");
    assert_eq!(again.header(header::CACHE_CONTROL), "no-store");
    replica.identity.load_revocations().await.unwrap();
    replica
        .tell_raw(&token)
        .await
        .expect(StatusCode::BAD_REQUEST);
    // Even before a replica has heard of it, a repeated one refuses nothing that was made since.
    world.advance(2);
    let deaf = world.replica();
    let since = world.issuer().user_token(Uuid::from_u128(7), &[]);
    deaf.tell_raw(&token).await.expect(StatusCode::OK);
    deaf.identity.verify(&since).await.unwrap();
}

#[tokio::test]
async fn what_is_no_logout_token_of_the_issuer_for_us_ends_nothing() {
    let world = World::with_issuer_elsewhere().await;
    let claims = world.issuer().user_claims(Uuid::from_u128(7), &[]);
    let (token, sid) = (
        world.issuer().sign(&claims),
        claims["sid"].as_str().unwrap(),
    );
    let forged = TestKey::ed25519("test-1").sign(&world.logout_claims(sid));
    let unsigned = {
        use base64::Engine as _;
        let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let header = encode(json!({"alg": "none", "kid": "test-1"}).to_string());
        format!("{header}.{}.", encode(world.logout_claims(sid).to_string()))
    };
    let mut for_another = world.logout_claims(sid);
    for_another["aud"] = json!("riwaq");
    let mut an_id_token = world.logout_claims(sid);
    an_id_token["nonce"] = json!("n");
    for bad in [
        forged,
        unsigned,
        token.clone(),
        world.issuer().sign(&for_another),
        world.issuer().sign(&an_id_token),
        "x".to_owned(),
        "x".repeat(60_000),
    ] {
        let answer = world.tell_raw(&bad).await.expect(StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    let path = paths::BACKCHANNEL_LOGOUT;
    world.form(path, &[]).await.expect(StatusCode::BAD_REQUEST);
    let good = world.issuer().sign(&world.logout_claims(sid));
    let twice = [("logout_token", good.as_str()), ("logout_token", &good)];
    world
        .form(path, &twice)
        .await
        .expect(StatusCode::BAD_REQUEST);
    let as_json = world.post_json(path, &json!({"logout_token": good})).await;
    as_json.expect(StatusCode::BAD_REQUEST);
    world.identity.verify(&token).await.unwrap();
}

#[tokio::test]
async fn an_issuer_of_our_own_has_no_back_channel() {
    let world = World::new().await;
    world
        .form(paths::BACKCHANNEL_LOGOUT, &[("logout_token", "x")])
        .await
        .expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn whoever_signs_in_after_a_change_is_let_in_and_no_token_from_before_it_is() {
    // At which moment of the second the change is made, and how far the issuer's clock is from ours.
    for (moment, ahead) in [
        (0, 0),
        (1, 0),
        (499, 500),
        (500, 500),
        (501, -500),
        (999, 499),
        (999, -499),
    ] {
        let world = World::with_issuer_elsewhere().await;
        let zoe = world.zoe().await.id;
        world.clock.advance(Duration::from_millis(moment));
        let before = world.token_to_the_second(zoe, ahead);
        world.identity.verify(&before).await.unwrap();
        world.given_roles(zoe, &["teacher"]).await;
        let refused = world.identity.verify(&before).await;
        assert_eq!(refused.unwrap_err(), Refused::Revoked, "{moment} {ahead}");
        let after = world.token_to_the_second(zoe, ahead);
        let accepted = world.identity.verify(&after).await;
        assert!(accepted.is_ok(), "{moment} {ahead}: {accepted:?}");
        // A replica that starts later says the same.
        let late = world.replica();
        late.identity.load_revocations().await.unwrap();
        let refused = late.identity.verify(&before).await;
        assert_eq!(refused.unwrap_err(), Refused::Revoked, "{moment} {ahead}");
        late.identity.verify(&after).await.unwrap();
    }
}

#[tokio::test]
async fn until_a_change_is_acknowledged_the_second_that_it_is_made_in_is_refused_whole() {
    let world = World::with_issuer_elsewhere().await;
    let zoe = world.zoe().await.id;
    let changed = {
        let accounts = world.auth.accounts.clone();
        let change = with_roles(&["teacher"]);
        let mut changing = std::pin::pin!(accounts.update(zoe, change));
        for _ in 0..100 {
            assert!(futures::poll!(&mut changing).is_pending(), "too early");
            tokio::task::yield_now().await;
        }
        // It is made by now, and nothing tells what was made before it from what is made after it.
        let now = world.token_to_the_second(zoe, 0);
        let refused = world.identity.verify(&now).await;
        assert_eq!(refused.unwrap_err(), Refused::Revoked);
        world.meanwhile(changing).await.unwrap()
    };
    assert_eq!(changed.roles, ["teacher".to_owned()].into());
    let waited = {
        use riwaq_clock::Clock as _;
        world.clock.monotonic()
    };
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    assert!(waited <= Duration::from_millis(2100), "{waited:?}");
    // Repeating it finds it made, and the wait over.
    let again = world.auth.accounts.update(zoe, with_roles(&["teacher"]));
    assert_eq!(again.await.unwrap(), changed);
}

#[tokio::test]
async fn a_repeated_change_waits_for_what_the_first_one_did_not() {
    let world = World::with_issuer_elsewhere().await;
    let zoe = world.zoe().await.id;
    let accounts = world.auth.accounts.clone();
    {
        let mut cut_off = std::pin::pin!(accounts.update(zoe, with_roles(&["teacher"])));
        for _ in 0..100 {
            assert!(futures::poll!(&mut cut_off).is_pending(), "too early");
            tokio::task::yield_now().await;
        }
    }
    world.given_roles(zoe, &["teacher"]).await;
    let after = world.token_to_the_second(zoe, 0);
    world.identity.verify(&after).await.unwrap();
}

#[tokio::test]
async fn changes_one_after_the_other_do_not_make_each_other_wait_longer() {
    use riwaq_clock::Clock as _;
    let world = World::with_issuer_elsewhere().await;
    let zoe = world.zoe().await.id;
    let all = (0..8).map(|n| {
        let accounts = world.auth.accounts.clone();
        async move {
            accounts
                .update(zoe, with_roles(&[&format!("role_{n}")]))
                .await
        }
    });
    let all = futures::future::join_all(all);
    for changed in world.meanwhile(all).await {
        changed.unwrap();
    }
    let waited = world.clock.monotonic();
    assert!(waited <= Duration::from_millis(2100), "{waited:?}");
}

#[tokio::test]
async fn sessions_that_the_directory_keeps_end_with_a_new_password_or_a_closed_account() {
    let world = World::with_issuer_elsewhere().await;
    let zoe = world.zoe().await.id;
    let ended = || world.directory.ended.lock().unwrap().len();
    let accounts = world.auth.accounts.clone();
    let change = async |change| world.meanwhile(accounts.update(zoe, change)).await.unwrap();
    change(with_roles(&["teacher"])).await;
    assert_eq!(ended(), 0, "new roles come with the next token");
    change(new_password("another long password")).await;
    assert_eq!(ended(), 1);
    let closed = AccountChange {
        status: Some(AccountStatus::Disabled),
        ..AccountChange::default()
    };
    change(closed).await;
    assert_eq!(*world.directory.ended.lock().unwrap(), [zoe, zoe]);
}

#[tokio::test]
async fn what_a_crash_cut_off_is_settled_before_it_is_completed() {
    let world = World::with_issuer_elsewhere().await;
    let zoe = world.zoe().await.id;
    let before = world.issuer().user_token(zoe, &["student"]);
    world
        .directory
        .lose_answers
        .store(1, std::sync::atomic::Ordering::SeqCst);
    let change = new_password("another long password");
    world.auth.accounts.update(zoe, change).await.unwrap_err();
    assert!(world.directory.settled.lock().unwrap().is_empty());
    world.advance(120);
    assert_eq!(world.auth.complete_unfinished().await.unwrap(), 1);
    assert_eq!(*world.directory.settled.lock().unwrap(), [zoe]);
    assert_eq!(*world.directory.ended.lock().unwrap(), [zoe]);
    let refused = world.identity.verify(&before).await.unwrap_err();
    assert_eq!(refused, Refused::Revoked);
}
