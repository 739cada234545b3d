use http::Request;
use riwaq_kit::HttpService;
use url::Url;
use uuid::Uuid;

use super::world::{Answer, SECOND, World, send};

/// A browser that is signed in.
pub(super) struct Browser {
    cookie: String,
    csrf: String,
}

pub(super) async fn location(answer: &Answer) -> Url {
    assert_eq!(answer.status, 303, "{}", answer.text());
    Url::parse(answer.header("location")).unwrap()
}

pub(super) async fn sign_in(world: &World) -> Browser {
    let begun = world
        .ask(Request::get("/api/auth/session/login?return_to=/courses"))
        .await;
    let url = location(&begun).await;
    let code = world.issuer.sign_in(&url, Uuid::from_u128(7));
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let callback = format!("/api/auth/session/callback?code={code}&state={state}&session_state=x");
    let back = world
        .ask(Request::get(callback).header("cookie", begun.cookies().join("; ")))
        .await;
    assert_eq!(
        (back.status, back.header("location")),
        (303, "/courses"),
        "{}",
        back.text()
    );
    let cookie = back.cookies().join("; ");
    assert!(cookie.starts_with("__Host-riwaq_session="), "{cookie}");
    let session = world
        .ask(Request::get("/api/auth/session").header("cookie", &cookie))
        .await;
    assert_eq!(session.status, 200, "{}", session.text());
    assert_eq!(session.json()["user"]["id"], "me");
    let csrf = session.json()["csrf_token"].as_str().unwrap().to_owned();
    Browser { cookie, csrf }
}

impl Browser {
    pub(super) async fn get(&self, gateway: &HttpService, path: &str) -> Answer {
        send(
            gateway,
            Request::get(path).header("cookie", &self.cookie),
            "",
        )
        .await
    }

    fn change(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header("cookie", &self.cookie)
    }
}

#[tokio::test]
async fn a_browser_signs_in_at_the_issuer_and_its_tokens_stay_here() {
    let world = World::new();
    let browser = sign_in(&world).await;
    let came = browser.get(&world.gateway, "/api/courses").await.json();
    let token = came["headers"]["authorization"]
        .as_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap()
        .to_owned();
    let identity = world.tokens.identity();
    assert_eq!(
        identity.actor(&token).await.unwrap().id(),
        Uuid::from_u128(7)
    );
    assert!(came["headers"]["cookie"].is_null());
    assert!(!browser.cookie.contains(&token));
}

#[tokio::test]
async fn a_change_by_cookie_needs_its_csrf_token() {
    let world = World::new();
    let (browser, other) = (sign_in(&world).await, sign_in(&world).await);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = world.ask(browser.change(method, "/api/courses")).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "csrf".into()),
            "{method}"
        );
        let answer = world
            .ask(
                browser
                    .change(method, "/api/courses")
                    .header("x-csrf-token", &other.csrf),
            )
            .await;
        assert_eq!(answer.status, 403, "the token of another session");
        let answer = world
            .ask(
                browser
                    .change(method, "/api/courses")
                    .header("x-csrf-token", &browser.csrf),
            )
            .await;
        assert_eq!(answer.status, 200, "{method}");
    }
    let program = browser
        .change("POST", "/api/courses")
        .header("authorization", world.token(&["teacher"]));
    assert_eq!(
        world.ask(program).await.status,
        200,
        "a token wins over a cookie"
    );
}

#[tokio::test]
async fn a_page_of_another_site_cannot_open_a_connection_with_the_session() {
    let world = World::new();
    let browser = sign_in(&world).await;
    let upgrade = |origin: &str| {
        browser
            .change("GET", "/api/courses")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("origin", origin)
    };
    assert_eq!(
        world.ask(upgrade("https://evil.example")).await.code(),
        "csrf"
    );
    assert_eq!(world.ask(upgrade("null")).await.code(), "csrf");
    assert_eq!(world.ask(upgrade("https://riwaq.test")).await.status, 200);
}

#[tokio::test]
async fn a_sign_in_ends_only_in_the_browser_in_which_it_began() {
    let world = World::new();
    let begun = world.ask(Request::get("/api/auth/session/login")).await;
    let url = location(&begun).await;
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let code = world.issuer.sign_in(&url, Uuid::from_u128(7));
    let other = world.ask(Request::get("/api/auth/session/login")).await;
    let path = format!("/api/auth/session/callback?code={code}&state={state}");
    for cookie in [
        String::new(),
        other.cookies().join(";"),
        "__Host-riwaq_sign_in=forged".to_owned(),
    ] {
        let answer = world
            .ask(Request::get(&path).header("cookie", cookie))
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.cookies().is_empty());
    }
    world.clock.advance(SECOND * 3600);
    let late = world
        .ask(Request::get(&path).header("cookie", begun.cookies().join(";")))
        .await;
    assert_eq!(late.status, 400);
}

#[tokio::test]
async fn a_code_or_nonce_of_another_sign_in_signs_nobody_in() {
    let world = World::new();
    let (mine, theirs) = (
        world.ask(Request::get("/api/auth/session/login")).await,
        world.ask(Request::get("/api/auth/session/login")).await,
    );
    let injected = world
        .issuer
        .sign_in(&location(&theirs).await, Uuid::from_u128(666));
    let url = location(&mine).await;
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let path = format!("/api/auth/session/callback?code={injected}&state={state}");
    let answer = world
        .ask(Request::get(path).header("cookie", mine.cookies().join(";")))
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (401, "unauthenticated".into())
    );
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn whoever_did_not_sign_in_comes_back_without_a_session() {
    let world = World::new();
    let begun = world
        .ask(Request::get("/api/auth/session/login?return_to=/x"))
        .await;
    let url = location(&begun).await;
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let path = format!("/api/auth/session/callback?error=access_denied&state={state}");
    let answer = world
        .ask(Request::get(path).header("cookie", begun.cookies().join(";")))
        .await;
    assert_eq!((answer.status, answer.header("location")), (303, "/x"));
    assert!(answer.cookies().is_empty());
    let refused = world
        .ask(Request::get(
            "/api/auth/session/login?return_to=//evil.example",
        ))
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "validation_failed".into())
    );
}

#[tokio::test]
async fn a_session_that_the_issuer_ended_is_over() {
    let world = World::new();
    let browser = sign_in(&world).await;
    world.issuer.forget_everybody();
    world.clock.advance(SECOND * 280);
    let answer = browser.get(&world.gateway, "/api/auth/session").await;
    assert_eq!(
        (answer.status, answer.code()),
        (401, "unauthenticated".into())
    );
    assert!(
        browser.get(&world.gateway, "/api/courses").await.json()["headers"]["authorization"]
            .is_null()
    );
}

#[tokio::test]
async fn a_session_ends_unused_and_it_ends_anyway() {
    let world = World::new();
    let browser = sign_in(&world).await;
    world.clock.advance(SECOND * 12 * 3600);
    assert_eq!(
        browser
            .get(&world.gateway, "/api/auth/session")
            .await
            .status,
        401
    );

    let browser = sign_in(&world).await;
    for hour in 1..=(7 * 24) {
        world.clock.advance(SECOND * 3600);
        let status = browser
            .get(&world.gateway, "/api/auth/session")
            .await
            .status;
        assert_eq!(status, if hour < 7 * 24 { 200 } else { 401 }, "{hour}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_on_every_replica_and_at_the_issuer() {
    let world = World::new();
    let browser = sign_in(&world).await;
    let replica = world.replica();
    assert_eq!(browser.get(&replica, "/api/auth/session").await.status, 200);
    assert_eq!(
        world
            .ask(browser.change("DELETE", "/api/auth/session"))
            .await
            .code(),
        "csrf"
    );
    let request = browser
        .change("DELETE", "/api/auth/session")
        .header("x-csrf-token", &browser.csrf);
    let came = browser.get(&world.gateway, "/api/courses").await.json();
    let bearer = came["headers"]["authorization"].as_str().unwrap();
    let answer = world.ask(request).await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(world.issuer.revoked(), 1);
    assert_eq!(world.issuer.who_signed_out(), [bearer]);
    let ended = world.issuer.ended();
    assert_eq!(ended.len(), 1);
    for said in ["id_token_hint", "refresh_token", "client_id"] {
        assert!(ended[0].contains_key(said), "{said}");
    }
    assert_eq!(
        browser
            .get(&world.gateway, "/api/auth/session")
            .await
            .status,
        401
    );
    world.clock.advance(SECOND * 5);
    assert_eq!(browser.get(&replica, "/api/auth/session").await.status, 401);
}

#[tokio::test]
async fn the_store_holds_neither_cookie_nor_token() {
    let world = World::new();
    let browser = sign_in(&world).await;
    let cookie = browser.cookie.split_once('=').unwrap().1.to_owned();
    let came = browser.get(&world.gateway, "/api/courses").await.json();
    let token = came["headers"]["authorization"]
        .as_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap()
        .to_owned();
    let rows = world
        .store
        .scan_table::<crate::records::SessionRow>(None, 10)
        .await
        .unwrap()
        .rows;
    assert_eq!(rows.len(), 1);
    let dump = format!("{rows:?}");
    assert!(!dump.contains(&cookie) && !dump.contains(&token[..40]));
}

#[tokio::test]
async fn a_forged_or_foreign_cookie_is_nobody() {
    let world = World::new();
    for value in [
        "",
        "x",
        &"A".repeat(43),
        &"A".repeat(4000),
        "../../etc",
        "%00",
    ] {
        let request = Request::get("/api/auth/session")
            .header("cookie", format!("__Host-riwaq_session={value}"));
        assert_eq!(world.ask(request).await.status, 401, "{value}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_is_named_as_the_reason() {
    let world = World::new();
    world.issuer.set_down(true);
    let login = || Request::get("/api/auth/session/login?return_to=/courses?a=b");
    let answer = world.ask(login()).await;
    assert_eq!((answer.status, answer.code()), (503, "unavailable".into()));
    assert_eq!(answer.header("retry-after"), "5");
    assert!(answer.json()["detail"].as_str().unwrap().contains("issuer"));
    for (language, word) in [
        ("fr", "ne répond pas"),
        ("ar-MA,fr;q=0.5", "لا تستجيب"),
        ("en", "does not answer"),
    ] {
        let request = login().header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let page = world.ask(request.header("accept-language", language)).await;
        assert_eq!(page.status, 503, "{language}");
        assert_eq!(page.header("retry-after"), "5");
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.text().contains(word), "{}", page.text());
        assert!(
            page.text().contains("login?return_to=%2Fcourses%3Fa%3Db"),
            "{}",
            page.text()
        );
        assert!(
            !page
                .header("content-security-policy")
                .contains("unsafe-inline")
        );
    }
    world.issuer.set_down(false);
    world.clock.advance(SECOND);
    let begun = world.ask(login()).await;
    assert_eq!(begun.status, 303);
    // Nobody is sent to an issuer that was there a moment ago and is not now.
    world.issuer.set_down(true);
    world.clock.advance(SECOND * 5);
    assert_eq!(world.ask(login()).await.status, 503);
    world.issuer.set_down(false);
    world.clock.advance(SECOND);
    let begun = world.ask(login()).await;
    assert_eq!(begun.status, 303);

    // It goes away while somebody is at its page.
    let url = location(&begun).await;
    let code = world.issuer.sign_in(&url, Uuid::from_u128(7));
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    world.issuer.set_down(true);
    let callback = format!("/api/auth/session/callback?code={code}&state={state}");
    let request = Request::get(&callback).header("cookie", begun.cookies().join("; "));
    let answer = world.ask(request.header("accept", "text/html")).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.cookies().is_empty());
    let expired = world
        .ask(Request::get(&callback).header("accept", "text/html"))
        .await;
    assert_eq!(expired.status, 400);
    assert!(expired.text().contains("Recommencez"), "{}", expired.text());
}
