use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Method, Request};
use proptest::prelude::*;

use super::world::{SECOND, World};
use crate::{Config, Limits};

#[tokio::test]
async fn a_request_reaches_its_service_without_what_only_we_may_say() {
    let world = World::new();
    let request = Request::get("/api/courses?scope=mine")
        .header("authorization", world.token(&["teacher"]))
        .header("x-riwaq-actor-token", "forged")
        .header("x-forwarded-for", "192.0.2.1")
        .header("cookie", "riwaq_session=x; other=y")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
    let answer = world.ask(request).await;
    assert_eq!(answer.status, 200);
    let came = answer.json();
    assert_eq!(came["path"], "/api/courses?scope=mine");
    let headers = &came["headers"];
    assert_eq!(headers["x-forwarded-for"], "198.51.100.7");
    assert!(
        headers["authorization"]
            .as_str()
            .unwrap()
            .starts_with("Bearer ")
    );
    assert!(
        headers["traceparent"]
            .as_str()
            .unwrap()
            .contains("0af7651916cd43dd8448eb211c80319c")
    );
    for gone in [
        "x-riwaq-actor-token",
        "cookie",
        "connection",
        "x-hop",
        "x-forwarded-host",
    ] {
        assert!(headers[gone].is_null(), "{gone}");
    }
}

#[tokio::test]
async fn answers_show_nothing_internal() {
    let answer = World::new()
        .ask(Request::get("/api/courses/internal"))
        .await;
    assert!(
        !answer.headers.contains_key("x-riwaq-secret") && !answer.headers.contains_key("server")
    );
}

#[tokio::test]
async fn a_token_that_is_not_valid_ends_here_and_none_goes_on() {
    let world = World::new();
    for bad in ["Bearer x.y.z", "Bearer ", "Basic dXNlcjpwYXNz", "nonsense"] {
        let answer = world
            .ask(Request::get("/api/courses").header("authorization", bad))
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "unauthenticated".into()),
            "{bad}"
        );
    }
    let two = Request::get("/api/courses")
        .header("authorization", world.token(&[]))
        .header("authorization", "Bearer x");
    assert_eq!(world.ask(two).await.status, 400);
    assert_eq!(world.ask(Request::get("/api/courses")).await.status, 200);
    // An old token must not keep anybody from signing in, and clients authenticate by Basic.
    for path in ["/api/auth/register", "/auth/token"] {
        let answer = world
            .ask(Request::get(path).header("authorization", "Basic dXNlcjpwYXNz"))
            .await;
        assert_ne!(answer.status, 401, "{path}");
    }
}

#[tokio::test]
async fn addresses_that_are_nowhere_or_in_disguise_are_problems() {
    let world = World::new();
    for (path, status) in [
        ("/api/nothing", 404),
        ("/api/courses/%2e%2e/admin/users", 404),
        ("/api/courses/..%2fadmin", 404),
        ("/api/courses//x", 404),
        ("/api/courses/%00", 404),
        ("/api/courses/%zz", 400),
        ("/api/search", 501),
    ] {
        let answer = world.ask(Request::get(path)).await;
        assert_eq!(answer.status, status, "{path}");
        answer.code();
    }
    let answer = world
        .ask(
            Request::builder()
                .method(Method::TRACE)
                .uri("/api/openapi.json"),
        )
        .await;
    assert_eq!(
        (answer.code(), answer.header("allow")),
        ("method_not_allowed".into(), "GET,HEAD")
    );
    let answer = world.ask(Request::post("/api/auth/session")).await;
    assert_eq!(
        (answer.code(), answer.status),
        ("method_not_allowed".into(), 405)
    );
    assert!(
        answer.header("allow").contains("DELETE"),
        "{}",
        answer.header("allow")
    );
}

fn chunked(size: usize) -> Body {
    let chunks =
        (0..size.div_ceil(1000)).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1000])));
    Body::from_stream(futures::stream::iter(chunks.collect::<Vec<_>>()))
}

#[tokio::test]
async fn bodies_over_the_limit_of_their_route_are_413_however_they_come() {
    let config = Config {
        json_body_bytes: 10_000,
        upload_body_bytes: 50_000,
        ..Config::default()
    };
    let world = World::with(config);
    let json = world
        .send(Request::post("/api/courses"), vec![b'x'; 10_001])
        .await;
    assert_eq!((json.status, json.code()), (413, "too_large".into()));
    let json = world
        .send(Request::post("/api/courses"), chunked(20_000))
        .await;
    assert_eq!((json.status, json.code()), (413, "too_large".into()));
    let file = world
        .send(Request::post("/api/courses/7/files"), chunked(50_000))
        .await;
    assert_eq!(file.json()["bytes"], 50_000);
    let file = world
        .send(Request::post("/api/courses/7/files"), chunked(51_000))
        .await;
    assert_eq!(file.code(), "too_large");
}

#[tokio::test]
async fn slow_clients_and_slow_services_are_not_waited_for() {
    let world = World::with(Config {
        body_idle_seconds: 1,
        head_seconds: 2,
        ..Config::default()
    });
    let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = world.send(Request::post("/api/courses"), silent).await;
    assert_eq!(
        (answer.status, answer.code()),
        (408, "request_timeout".into())
    );
    let answer = world.ask(Request::get("/api/courses/stuck")).await;
    assert_eq!((answer.status, answer.code()), (504, "timeout".into()));
}

#[tokio::test]
async fn the_sixth_attempt_on_an_account_is_429_and_others_are_not_locked_out() {
    let world = World::new();
    let login = |account: &str, password: &str| {
        let body = format!(r#"{{"email":"{account}","password":"{password}"}}"#);
        world.send(
            Request::post("/api/auth/login").header("content-type", "application/json"),
            body,
        )
    };
    for _ in 0..5 {
        assert_eq!(login("amina@example.edu", "wrong").await.status, 401);
    }
    let refused = login("AMINA@example.edu", "right").await;
    assert_eq!(
        (refused.status, refused.code()),
        (429, "rate_limited".into())
    );
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!(login("yassine@example.edu", "right").await.status, 200);
    world.clock.advance(SECOND * u32::try_from(wait).unwrap());
    assert_eq!(login("amina@example.edu", "right").await.status, 200);
}

#[tokio::test]
async fn an_address_that_guesses_over_many_accounts_waits() {
    let config = Config {
        limits: Limits {
            failed_logins_per_minute: 10,
            ..Limits::default()
        },
        ..Config::default()
    };
    let world = World::with(config);
    let login = async |account: usize, password: &str| {
        let body = format!(r#"{{"email":"s{account}@example.edu","password":"{password}"}}"#);
        world
            .send(Request::post("/api/auth/login"), body)
            .await
            .status
    };
    for account in 0..500 {
        assert_eq!(
            login(account, "right").await,
            200,
            "a rush of those who know their password"
        );
    }
    for account in 0..10 {
        assert_eq!(login(1000 + account, "wrong").await, 401);
    }
    assert_eq!(login(2000, "right").await, 429);
    world.clock.advance(SECOND * 60);
    assert_eq!(login(2000, "right").await, 200);
}

#[tokio::test]
async fn people_are_counted_one_by_one_and_strangers_by_address() {
    let config = Config {
        limits: Limits {
            user_per_minute: 3,
            address_per_minute: 3,
            ..Limits::default()
        },
        trusted_proxies: vec!["198.51.100.0/24".parse().unwrap()],
        ..Config::default()
    };
    let world = World::with(config);
    let (amina, yassine) = (world.token(&["student"]), world.token(&["student"]));
    let by = async |token: &str| {
        world
            .ask(Request::get("/api/courses").header("authorization", token))
            .await
            .status
    };
    for _ in 0..3 {
        assert_eq!(by(&amina).await, 200);
        assert_eq!(by(&yassine).await, 200);
    }
    assert_eq!(by(&amina).await, 429);
    let from = async |address: &str| {
        world
            .ask(Request::get("/api/courses").header("x-forwarded-for", address))
            .await
            .status
    };
    for _ in 0..3 {
        assert_eq!(from("192.0.2.1").await, 200);
    }
    assert_eq!(from("192.0.2.1").await, 429);
    assert_eq!(from("192.0.2.2").await, 200);
    // Pages and documents are not counted.
    for _ in 0..10 {
        assert_eq!(
            world
                .ask(Request::get("/").header("x-forwarded-for", "192.0.2.1"))
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn whoever_tries_tokens_is_counted() {
    let config = Config {
        limits: Limits {
            address_per_minute: 3,
            ..Limits::default()
        },
        ..Config::default()
    };
    let world = World::with(config);
    let mut statuses = Vec::new();
    for number in 0..5 {
        let request =
            Request::get("/api/courses").header("authorization", format!("Bearer {number}.x.y"));
        statuses.push(world.ask(request).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(
        world
            .ask(Request::get("/api/courses").header("authorization", world.token(&[])))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_switch_lets_everything_through() {
    let config = Config {
        rate_limit: false,
        limits: Limits {
            user_per_minute: 1,
            address_per_minute: 1,
            ..Limits::default()
        },
        ..Config::default()
    };
    let world = World::with(config);
    for _ in 0..10 {
        assert_eq!(world.ask(Request::get("/api/courses")).await.status, 200);
    }
}

#[tokio::test]
async fn a_stranger_cannot_choose_the_address_that_it_is_counted_by() {
    let config = Config {
        limits: Limits {
            address_per_minute: 3,
            ..Limits::default()
        },
        ..Config::default()
    };
    let world = World::with(config);
    let mut statuses = Vec::new();
    for number in 0..5 {
        let mut request =
            Request::get("/api/courses").header("x-forwarded-for", format!("192.0.2.{number}"));
        let peer: SocketAddr = format!("203.0.113.9:{number}").parse().unwrap();
        request.extensions_mut().unwrap().insert(ConnectInfo(peer));
        statuses.push(world.ask(request).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

#[tokio::test]
async fn text_is_compressed_and_streams_are_not() {
    let world = World::new();
    let gzip = |path: &str| Request::get(path.to_owned()).header("accept-encoding", "gzip");
    let answer = world.ask(gzip("/api/courses/large")).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert!(answer.bytes.len() < 1000);
    assert!(answer.header("vary").contains("accept-encoding"));
    let answer = world.ask(gzip("/api/chatbot/stream")).await;
    assert_eq!(answer.header("content-encoding"), "");
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(
        world
            .ask(Request::get("/api/courses/large"))
            .await
            .header("content-encoding"),
        ""
    );
}

#[tokio::test]
async fn other_sites_are_answered_only_where_they_are_listed() {
    let world = World::with(Config {
        cors_origins: vec!["https://apps.example.edu".into()],
        ..Config::default()
    });
    let preflight = |origin: &str| {
        Request::options("/api/courses")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    let answer = world.ask(preflight("https://apps.example.edu")).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (204, "https://apps.example.edu")
    );
    let answer = world.ask(preflight("https://evil.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let answer = world
        .ask(Request::get("/api/nothing").header("origin", "https://apps.example.edu"))
        .await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (404, "https://apps.example.edu")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_address_and_header_is_answered_without_a_server_error(
        path in "/[!-~]{0,60}", name in "[a-z-]{1,20}", value in "[ -~]{0,60}"
    ) {
        let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            World::new().ask(Request::get(uri).header(name.as_str(), value.as_str())).await
        });
        prop_assert!(answer.status < 500 || answer.status == 501, "{path} {name}: {value}: {}", answer.status);
    }
}
