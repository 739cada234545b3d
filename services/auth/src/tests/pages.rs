//! The pages: languages, headers, forms, and what they do not say.

use http::{StatusCode, header};

use super::tab::{Form, Tab, authorize, returned};
use super::world::{PASSWORD, PORTAL_CALLBACK, World, query};
use serde_json::json;

#[tokio::test]
async fn the_sign_in_page_is_in_the_readers_language_and_direction() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    for (address, lang, dir) in [
        (authorize(&[]), "fr", "ltr"),
        (authorize(&[("ui_locales", "de ar-MA")]), "ar", "rtl"),
        (
            format!("{}&lang=en", authorize(&[("ui_locales", "ar")])),
            "en",
            "ltr",
        ),
        (authorize(&[]), "en", "ltr"),
    ] {
        let page = tab.get(&address).await.expect(StatusCode::OK);
        assert!(
            page.body
                .contains(&format!("<html lang=\"{lang}\" dir=\"{dir}\">")),
            "{address}: {}",
            page.body
        );
    }
    let fresh = Tab::new(&world);
    let request = http::Request::get(authorize(&[]))
        .header(header::ACCEPT_LANGUAGE, "de, ar;q=0.9, en;q=0.5");
    let page = world
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert!(page.body.contains("dir=\"rtl\""));
    // The links that switch the language keep the request.
    let page = fresh.get(&authorize(&[])).await;
    let link = page
        .body
        .split("href=\"")
        .find(|part| part.contains("lang=ar"))
        .unwrap();
    let link = link
        .split('"')
        .next()
        .unwrap()
        .replace("&#x2f;", "/")
        .replace("&amp;", "&");
    let arabic = fresh.get(&link).await.expect(StatusCode::OK);
    assert!(arabic.body.contains("lang=\"ar\" dir=\"rtl\""));
    let back = {
        let mut form = Form::on(&arabic.body);
        form.fields.insert("login".into(), "zoe".into());
        form.fields.insert("password".into(), PASSWORD.into());
        fresh.submit(&form).await.expect(StatusCode::SEE_OTHER)
    };
    assert_eq!(returned(&back, "state").as_deref(), Some("a state"));
}

#[tokio::test]
async fn every_page_has_a_strict_policy_and_nothing_inline() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    for (address, status) in [
        (authorize(&[]), StatusCode::OK),
        (
            authorize(&[("client_id", "nobody")]),
            StatusCode::BAD_REQUEST,
        ),
        ("/auth/activate?token=abc".into(), StatusCode::OK),
        ("/auth/reset".into(), StatusCode::OK),
        ("/auth/forgot".into(), StatusCode::OK),
        ("/auth/logout".into(), StatusCode::OK),
    ] {
        let page = tab.get(&address).await.expect(status);
        let policy = page.header(header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
        assert_eq!(page.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        for forbidden in [
            "<script",
            "<style",
            "style=",
            "onclick",
            "onload",
            "javascript:",
        ] {
            assert!(!page.body.contains(forbidden), "{address}: {forbidden}");
        }
        assert!(!page.body.contains("None"), "{address}: {}", page.body);
        assert!(
            page.body.contains("name=\"viewport\"") && page.body.contains("<h1>"),
            "{address}"
        );
    }
    let page = tab.get(&authorize(&[])).await;
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(
        policy.contains("form-action 'self' https://riwaq.example"),
        "{policy}"
    );
    let style = tab
        .get("/auth/assets/pages.css")
        .await
        .expect(StatusCode::OK);
    assert!(style.header(header::CONTENT_TYPE).starts_with("text/css"));
}

#[tokio::test]
async fn a_refused_sign_in_keeps_the_name_and_does_not_tell_why() {
    let world = World::new().await;
    let fresh = Tab::new(&world).get(&authorize(&[])).await;
    assert_eq!(Form::on(&fresh.body).fields["login"], "");
    let mut pages = Vec::new();
    for (login, password) in [("zoe", "wrong wrong wrong"), ("nob", PASSWORD)] {
        let tab = Tab::new(&world);
        let page = tab
            .sign_in(&authorize(&[]), login, password)
            .await
            .expect(StatusCode::UNAUTHORIZED);
        assert!(page.headers.get(header::LOCATION).is_none());
        assert!(page.body.contains("role=\"alert\""));
        let form = Form::on(&page.body);
        assert_eq!(form.fields["login"], login);
        assert_eq!(
            form.fields["password"], "",
            "a password is never shown again"
        );
        pages.push(
            page.body
                .replace(login, "NAME")
                .replace(&form.fields["csrf"], "CSRF"),
        );
    }
    assert_eq!(pages[0], pages[1]);
}

#[tokio::test]
async fn what_people_type_is_escaped() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    let hostile = "\"><script>alert(1)</script>";
    let page = tab
        .sign_in(&authorize(&[]), hostile, "x")
        .await
        .expect(StatusCode::UNAUTHORIZED);
    assert!(!page.body.contains("<script>"));
    assert_eq!(Form::on(&page.body).fields["login"], hostile);
    let hint = tab
        .get(&authorize(&[("login_hint", hostile), ("state", hostile)]))
        .await
        .expect(StatusCode::OK);
    assert!(!hint.body.contains("<script>"));
    let linked = tab
        .get(&format!("/auth/reset?{}", query(&[("token", hostile)])))
        .await
        .expect(StatusCode::OK);
    assert!(!linked.body.contains("<script>"));
    assert_eq!(Form::on(&linked.body).fields["token"], hostile);
}

#[tokio::test]
async fn a_form_from_elsewhere_signs_nobody_in() {
    let world = World::new().await;
    let victim = Tab::new(&world);
    let attacker = Tab::new(&world);
    let mut form = Form::on(&attacker.get(&authorize(&[])).await.body);
    form.fields.insert("login".into(), "zoe".into());
    form.fields.insert("password".into(), PASSWORD.into());
    let before = world.directory.verifications();
    let answer = victim.submit(&form).await.expect(StatusCode::BAD_REQUEST);
    assert!(answer.headers.get(header::LOCATION).is_none());
    assert!(!victim.cookies.borrow().contains_key("__Host-riwaq_sso"));
    assert_eq!(
        world.directory.verifications(),
        before,
        "not even looked at"
    );
    // The page that comes instead works.
    let mut again = Form::on(&answer.body);
    again.fields.insert("login".into(), "zoe".into());
    again.fields.insert("password".into(), PASSWORD.into());
    victim.submit(&again).await.expect(StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_request_in_a_form_is_checked_like_any_other() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    let mut form = Form::on(&tab.get(&authorize(&[])).await.body);
    form.fields.insert("login".into(), "zoe".into());
    form.fields.insert("password".into(), PASSWORD.into());
    let request = form.fields["request"].clone();
    let evil = request.replace(
        &query(&[("x", PORTAL_CALLBACK)])[2..],
        "https%3A%2F%2Fevil.example",
    );
    assert_ne!(evil, request);
    form.fields.insert("request".into(), evil);
    let answer = tab.submit(&form).await.expect(StatusCode::BAD_REQUEST);
    assert!(answer.headers.get(header::LOCATION).is_none());
}

#[tokio::test]
async fn cookies_are_locked_down() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    let answer = tab
        .sign_in(&authorize(&[]), "zoe", PASSWORD)
        .await
        .expect(StatusCode::SEE_OTHER);
    let set = answer.header(header::SET_COOKIE);
    for part in [
        "__Host-riwaq_sso=",
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
    ] {
        assert!(set.contains(part), "{set}");
    }
    let plain = World::with(|config| config.public_url = "http://127.0.0.1:8080".into()).await;
    let tab = Tab::new(&plain);
    let address = super::tab::authorize_as("riwaq-cli", "http://127.0.0.1:9/callback", &[]);
    let answer = tab
        .sign_in(&address, "zoe", PASSWORD)
        .await
        .expect(StatusCode::SEE_OTHER);
    let set = answer.header(header::SET_COOKIE);
    assert!(
        set.starts_with("riwaq_sso=") && !set.contains("Secure"),
        "{set}"
    );
}

#[tokio::test]
async fn a_mailed_link_activates_through_the_page() {
    let world = World::new().await;
    let ali = world.pending("ali@example.org").await;
    let code = world
        .auth
        .activation
        .start(ali, false)
        .await
        .unwrap()
        .code
        .unwrap();
    let tab = Tab::new(&world);
    let address = format!("/auth/activate?{}", query(&[("token", &code)]));
    let page = tab.get(&address).await.expect(StatusCode::OK);
    let page_again = tab.get(&address).await.expect(StatusCode::OK);
    assert!(
        page_again.body.contains("<form"),
        "looking at it uses nothing up"
    );
    let mut form = Form::on(&page.body);
    let refused = tab
        .submit(&form)
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("role=\"alert\""));
    form.fields.insert("password".into(), "short".into());
    tab.submit(&form)
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    form.fields
        .insert("password".into(), "another long password".into());
    let done = tab.submit(&form).await.expect(StatusCode::OK);
    assert!(done.body.contains("role=\"status\""));
    world
        .login("ali@example.org", "another long password")
        .await
        .expect(StatusCode::OK);
    tab.submit(&form)
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn the_forgotten_password_page_says_the_same_to_everybody() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    let form = Form::on(&tab.get("/auth/forgot").await.body);
    let ask = async |email: &str| {
        let mut form = form.clone();
        form.fields.insert("email".into(), email.into());
        tab.submit(&form).await.expect(StatusCode::OK).body
    };
    assert_eq!(
        ask("zoe@example.org").await,
        ask("nobody@example.org").await
    );
    tab.post("/auth/forgot", &[("email", "zoe@example.org")])
        .await
        .expect(StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems() {
    let world = World::new().await;
    world
        .get("/auth/nothing")
        .await
        .expect(StatusCode::NOT_FOUND);
    world
        .get("/auth/token")
        .await
        .expect(StatusCode::METHOD_NOT_ALLOWED);
    let answer = world
        .post_json("/auth/sign-in", &json!({}))
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert!(answer.header(header::CONTENT_TYPE).starts_with("text/html"));
}
