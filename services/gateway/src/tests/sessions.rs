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

/// A browser that was sent to the issuer.
pub(super) struct AtIssuer {
    pub(super) url: Url,
    pub(super) cookies: String,
}

pub(super) async fn begin(world: &World) -> AtIssuer {
    let login = "/api/auth/session/login?return_to=/courses";
    let answer = world.ask(Request::get(login)).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    AtIssuer {
        url: Url::parse(answer.header("location")).unwrap(),
        cookies: answer.cookies().join("; "),
    }
}

impl AtIssuer {
    /// What the issuer sends the browser back to, with its own state.
    fn callback(&self, what: &str) -> String {
        let mut pairs = self.url.query_pairs();
        let (_, state) = pairs.find(|(name, _)| name == "state").unwrap();
        format!("/api/auth/session/callback?{what}&state={state}")
    }

    /// The same browser comes back with that.
    pub(super) fn back(&self, what: &str) -> http::request::Builder {
        Request::get(self.callback(what)).header("cookie", &self.cookies)
    }

    /// Somebody has signed in, and the browser comes back.
    pub(super) fn signed_in(&self, world: &World, user: u128) -> http::request::Builder {
        let code = world.issuer.sign_in(&self.url, Uuid::from_u128(user));
        self.back(&format!("code={code}&session_state=x"))
    }
}

pub(super) async fn sign_in(world: &World) -> Browser {
    let back = begin(world).await.signed_in(world, 7);
    let back = world.ask(back).await;
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
    let (mine, other) = (begin(&world).await, begin(&world).await);
    let code = world.issuer.sign_in(&mine.url, Uuid::from_u128(7));
    let path = mine.callback(&format!("code={code}"));
    for cookie in ["", &other.cookies, "__Host-riwaq_sign_in=forged"] {
        let answer = world
            .ask(Request::get(&path).header("cookie", cookie))
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.cookies().is_empty());
    }
    world.clock.advance(SECOND * 3600);
    let late = world.ask(mine.back(&format!("code={code}"))).await;
    assert_eq!(late.status, 400);
}

#[tokio::test]
async fn a_code_or_nonce_of_another_sign_in_signs_nobody_in() {
    let world = World::new();
    let (mine, theirs) = (begin(&world).await, begin(&world).await);
    let injected = world.issuer.sign_in(&theirs.url, Uuid::from_u128(666));
    let answer = world.ask(mine.back(&format!("code={injected}"))).await;
    assert_eq!(
        (answer.status, answer.code()),
        (401, "unauthenticated".into())
    );
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn whoever_did_not_sign_in_comes_back_without_a_session() {
    let world = World::new();
    let back = begin(&world).await.back("error=access_denied");
    let answer = world.ask(back).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/courses")
    );
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
    begin(&world).await;
    // Nobody is sent to an issuer that was there a moment ago and is not now.
    world.issuer.set_down(true);
    world.clock.advance(SECOND * 5);
    assert_eq!(world.ask(login()).await.status, 503);
    world.issuer.set_down(false);
    world.clock.advance(SECOND);
    let begun = begin(&world).await;

    // It goes away while somebody is at its page.
    let back = begun.signed_in(&world, 7);
    world.issuer.set_down(true);
    let answer = world.ask(back.header("accept", "text/html")).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.cookies().is_empty());
    let expired = Request::get(begun.callback("code=x")).header("accept", "text/html");
    let expired = world.ask(expired).await;
    assert_eq!(expired.status, 400);
    assert!(expired.text().contains("Recommencez"), "{}", expired.text());
}
