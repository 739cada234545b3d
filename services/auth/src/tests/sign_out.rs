//! Signing out at the issuer.

use http::{StatusCode, header};

use super::oidc::{PORTAL, code, exchange, text};
use super::tab::{Form, Tab, VERIFIER, authorize};
use super::world::{SIGNED_OUT, World};

#[tokio::test]
async fn signing_out_with_the_id_token_ends_the_session_everywhere() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    let code = code(&tab).await;
    let set = exchange(&world, &code, VERIFIER).await.json();
    world.advance(3600);
    let request = super::world::query(&[
        ("id_token_hint", text(&set, "id_token")),
        ("post_logout_redirect_uri", SIGNED_OUT),
        ("state", "s"),
    ]);
    let answer = tab
        .get(&format!("/auth/logout?{request}"))
        .await
        .expect(StatusCode::SEE_OTHER);
    assert_eq!(
        answer.header(header::LOCATION),
        format!("{SIGNED_OUT}?state=s")
    );
    assert!(!tab.cookies.borrow().contains_key("__Host-riwaq_sso"));
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&set, "refresh_token")),
    ];
    world
        .form_basic("/auth/token", PORTAL, &refresh)
        .await
        .expect(StatusCode::BAD_REQUEST);
    tab.get(&authorize(&[])).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn signing_out_without_a_token_asks_first_and_never_redirects_elsewhere() {
    let world = World::new().await;
    let tab = Tab::new(&world);
    code(&tab).await;
    let evil = super::world::query(&[
        ("post_logout_redirect_uri", "https://evil.example"),
        ("client_id", "riwaq-gateway"),
    ]);
    let page = tab
        .get(&format!("/auth/logout?{evil}"))
        .await
        .expect(StatusCode::OK);
    assert!(
        tab.cookies.borrow().contains_key("__Host-riwaq_sso"),
        "nothing happened yet"
    );
    let form = Form::on(&page.body);
    let forged = Form {
        fields: [("csrf".into(), "x".into())].into(),
        ..form.clone()
    };
    tab.submit(&forged).await.expect(StatusCode::BAD_REQUEST);
    let done = tab.submit(&form).await.expect(StatusCode::OK);
    assert!(done.headers.get(header::LOCATION).is_none());
    tab.get(&authorize(&[])).await.expect(StatusCode::OK);
    let hint = super::world::query(&[
        ("id_token_hint", "e30.e30."),
        ("post_logout_redirect_uri", SIGNED_OUT),
    ]);
    let answer = tab
        .get(&format!("/auth/logout?{hint}"))
        .await
        .expect(StatusCode::OK);
    assert!(
        answer.headers.get(header::LOCATION).is_none(),
        "a forged hint names no client"
    );
}
