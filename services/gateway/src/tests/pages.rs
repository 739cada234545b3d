use http::Request;

use super::world::World;

#[tokio::test]
async fn the_page_speaks_three_languages() {
    let world = World::new();
    for (request, lang, dir) in [
        (Request::get("/"), "fr", "ltr"),
        (
            Request::get("/?lang=ar").header("accept-language", "en"),
            "ar",
            "rtl",
        ),
        (
            Request::get("/").header("accept-language", "en-GB, fr;q=0.3"),
            "en",
            "ltr",
        ),
        (
            Request::get("/").header("cookie", "riwaq_lang=ar"),
            "ar",
            "rtl",
        ),
        (
            Request::get("/?lang=xx").header("accept-language", "ar"),
            "ar",
            "rtl",
        ),
    ] {
        let answer = world.ask(request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-language"), lang);
        assert!(
            answer
                .text()
                .contains(&format!(r#"<html lang="{lang}" dir="{dir}">"#))
        );
        // The list begins where the page does.
        assert!(answer.text().contains(r#"<ul class="roles">"#));
        for role in ["courses", "files", "gateway"] {
            assert!(
                answer.text().contains(&format!("<li>{role}</li>")),
                "{role}"
            );
        }
    }
    // A choice holds from then on, on the sign-in page as well.
    let chosen = world.ask(Request::get("/?lang=en-GB")).await;
    assert!(chosen.header("set-cookie").starts_with("riwaq_lang=en;"));
    let not_chosen = world.ask(Request::get("/?lang=xx")).await;
    assert!(not_chosen.cookies().is_empty());
    for (asset, kind) in [
        ("/assets/pages.css", "text/css"),
        ("/favicon.ico", "image/svg+xml"),
        ("/robots.txt", "text/plain"),
    ] {
        let answer = world.ask(Request::get(asset)).await;
        assert_eq!(answer.status, 200, "{asset}");
        assert!(answer.header("content-type").starts_with(kind), "{asset}");
    }
}

#[tokio::test]
async fn the_openapi_document_is_served_and_revalidated() {
    let world = World::new();
    let answer = world.ask(Request::get("/api/openapi.json")).await;
    assert!(
        answer.json()["openapi"]
            .as_str()
            .unwrap()
            .starts_with("3.1")
    );
    let again = world
        .ask(Request::get("/api/openapi.json").header("if-none-match", answer.header("etag")))
        .await;
    assert_eq!((again.status, again.bytes.len()), (304, 0));
}

#[tokio::test]
async fn the_documentation_runs_under_a_policy_without_inline_scripts() {
    let world = World::new();
    assert_eq!(
        world
            .ask(Request::get("/api/docs"))
            .await
            .header("location"),
        "/api/docs/"
    );
    let index = world.ask(Request::get("/api/docs/")).await;
    let policy = index.header("content-security-policy");
    assert!(policy.contains("script-src 'self';"), "{policy}");
    let html = index.text();
    assert!(
        !html.contains("<script>") && !html.contains("onload="),
        "{html}"
    );
    let scripts: Vec<_> = html
        .split("src=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert!(!scripts.is_empty());
    for script in scripts {
        let path = format!("/api/docs/{}", script.trim_start_matches("./"));
        let answer = world.ask(Request::get(path)).await;
        assert_eq!(answer.status, 200, "{script}");
        assert!(
            answer.header("content-type").contains("javascript"),
            "{script}"
        );
    }
    let initializer = world
        .ask(Request::get("/api/docs/swagger-initializer.js"))
        .await;
    assert!(initializer.text().contains("/api/openapi.json"));
    assert_eq!(
        world.ask(Request::get("/api/docs/none.js")).await.code(),
        "not_found"
    );
}

#[tokio::test]
async fn metrics_are_for_operators_and_scrapers() {
    let world = World::new();
    for path in ["/api/metrics/", "/api/metrics/gateway"] {
        let status = async |authorization: &str| {
            let request = Request::get(path);
            let request = if authorization.is_empty() {
                request
            } else {
                request.header("authorization", authorization)
            };
            world.ask(request).await.status
        };
        assert_eq!(status("").await, 401, "{path}");
        assert_eq!(status(&world.token(&["student"])).await, 403, "{path}");
        assert_eq!(status(&world.token(&["teacher"])).await, 403, "{path}");
        assert_eq!(status(&world.token(&["admin"])).await, 200, "{path}");
        assert_eq!(status("Bearer scrape").await, 200, "{path}");
        assert_eq!(status("Bearer wrong").await, 401, "{path}");
    }
    let scraper =
        |path: &str| Request::get(path.to_owned()).header("authorization", "Bearer scrape");
    assert_eq!(
        world.ask(scraper("/api/metrics/nothing")).await.code(),
        "not_found"
    );
    assert_eq!(
        world.ask(scraper("/api/courses")).await.status,
        401,
        "the token is good for nothing else"
    );
    let metrics = world.ask(scraper("/api/metrics/")).await.text();
    assert!(metrics.contains(r#"route="/api/metrics""#), "{metrics}");
}

#[tokio::test]
async fn the_configuration_of_sign_in_names_the_issuer() {
    let world = World::new();
    let answer = world.ask(Request::get("/api/auth/config")).await;
    assert_eq!(answer.json()["issuer"], world.tokens.name());
}
