//! Registration, activation and forgotten passwords, with the mails in between.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use riwaq_directory::AccountStatus;
use riwaq_directory::Directory as _;
use riwaq_kit::ApiResult;
use riwaq_mail::{MailError, Message};
use serde_json::{Value, json};
use std::sync::Arc;

use super::world::{PASSWORD, World};
use crate::http::dev_mail::{DevMail, DevMailbox};

const OTHER: &str = "another long password";

async fn mail(world: &World, number: usize) -> Message {
    let waiting = async {
        loop {
            if let Some(message) = world.mail.sent().get(number) {
                return message.clone();
            }
            world
                .mail
                .wait_for(|message| {
                    world.mail.sent().iter().position(|sent| sent == message) >= Some(number)
                })
                .await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .expect("a mail")
}

fn token(message: &Message) -> String {
    let (_, rest) = message.text.split_once("token=").expect("a link");
    rest.split_whitespace().next().unwrap().to_owned()
}

fn registration(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password, "first_name": "Ali", "last_name": "Alaoui", "locale": "ar" })
}

async fn register(world: &World, email: &str, password: &str) -> super::world::Answer {
    world
        .post_json("/api/auth/register", &registration(email, password))
        .await
}

async fn activate(world: &World, body: Value) -> super::world::Answer {
    world.post_json("/api/auth/activate", &body).await
}

#[tokio::test]
async fn somebody_registers_activates_and_signs_in() {
    let world = World::new().await;
    world.deliver_mails();
    let answer = register(&world, "Ali@Example.org", OTHER)
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(answer.json(), json!({ "status": "pending" }));
    world
        .login("ali@example.org", OTHER)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let message = mail(&world, 0).await;
    assert_eq!(
        (message.to.address.as_str(), message.locale.as_str()),
        ("Ali@Example.org", "ar")
    );
    assert!(message.subject.contains("Riwaq"));
    let link = token(&message);
    assert!(message.html.unwrap().contains("dir=\"rtl\""));
    activate(&world, json!({ "token": link }))
        .await
        .expect(StatusCode::NO_CONTENT);
    world
        .login("ali@example.org", OTHER)
        .await
        .expect(StatusCode::OK);
    activate(&world, json!({ "token": link }))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_known_address_gets_the_same_answer_and_a_mail_that_says_so() {
    let world = World::new().await;
    world.deliver_mails();
    let fresh = register(&world, "new@example.org", OTHER)
        .await
        .expect(StatusCode::CREATED);
    let known = register(&world, "zoe@example.org", OTHER)
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(fresh.body, known.body);
    let messages = [mail(&world, 0).await, mail(&world, 1).await];
    let to_zoe = messages
        .iter()
        .find(|message| message.to.address.as_str() == "zoe@example.org")
        .unwrap();
    assert!(!to_zoe.text.contains("token="));
    world.login("zoe", PASSWORD).await.expect(StatusCode::OK);
    world
        .login("zoe", OTHER)
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

/// A stranger registers somebody else's address first, with a password of theirs, and hopes that
/// the owner of the mailbox opens the link.
#[tokio::test]
async fn a_contested_address_is_activated_only_with_a_password_chosen_then() {
    let world = World::new().await;
    world.deliver_mails();
    register(&world, "ali@example.org", "the stranger's password").await;
    let first = token(&mail(&world, 0).await);
    world.advance(1);
    register(&world, "ali@example.org", OTHER).await;
    let second = token(&mail(&world, 1).await);
    activate(&world, json!({ "token": first }))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    let answer = activate(&world, json!({ "token": second }))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["errors"][0]["field"], "password");
    activate(&world, json!({ "token": second, "password": OTHER }))
        .await
        .expect(StatusCode::NO_CONTENT);
    world
        .login("ali@example.org", "the stranger's password")
        .await
        .expect(StatusCode::UNAUTHORIZED);
    world
        .login("ali@example.org", OTHER)
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn registration_names_every_field_and_can_be_switched_off() {
    let world = World::new().await;
    let bad = json!({ "email": "é@x", "password": "short", "first_name": " ", "last_name": "a\u{0}b", "locale": "de" });
    let answer = world
        .post_json("/api/auth/register", &bad)
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    let errors = answer.json();
    let fields: Vec<&str> = errors["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["first_name", "last_name", "locale", "email", "password"]
    );
    let closed = World::with(|config| config.registration = false).await;
    register(&closed, "ali@example.org", OTHER)
        .await
        .expect(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_schools_accounts_are_activated_by_mail_or_by_a_printed_code() {
    let world = World::new().await;
    world.deliver_mails();
    let ali = world.pending("ali@example.org").await;
    let started = world.auth.activation.start(ali, false).await.unwrap();
    let code = started.code.unwrap().to_lowercase().replace('-', " ");
    let answer = activate(&world, json!({ "token": code }))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["errors"][0]["field"], "password");
    activate(&world, json!({ "token": code, "password": "short" }))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    activate(&world, json!({ "token": code, "password": OTHER }))
        .await
        .expect(StatusCode::NO_CONTENT);
    world
        .login("ali@example.org", OTHER)
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        world
            .auth
            .activation
            .start(ali, false)
            .await
            .unwrap_err()
            .code(),
        riwaq_kit::Code::Conflict
    );

    let mina = world.pending("mina@example.org").await;
    assert_eq!(
        world.auth.activation.start(mina, true).await.unwrap().code,
        None
    );
    let message = mail(&world, 0).await;
    assert!(
        message.text.contains("علي العلوي"),
        "by the name in Arabic: {}",
        message.text
    );
    activate(
        &world,
        json!({ "token": token(&message), "password": OTHER }),
    )
    .await
    .expect(StatusCode::NO_CONTENT);
    assert_eq!(
        world.directory.get(&[mina]).await.unwrap()[0].status,
        AccountStatus::Active
    );
}

#[tokio::test]
async fn of_two_activations_at_once_one_counts() {
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
    let (one, two) = futures::join!(
        activate(&world, json!({ "token": code, "password": OTHER })),
        activate(
            &world,
            json!({ "token": code, "password": "yet another password" })
        ),
    );
    let (won, password) = if one.status == StatusCode::NO_CONTENT {
        (two, OTHER)
    } else {
        (one, "yet another password")
    };
    won.expect(StatusCode::UNPROCESSABLE_ENTITY);
    world
        .login("ali@example.org", password)
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn tokens_that_are_old_or_for_something_else_do_not_work() {
    let world = World::new().await;
    world.deliver_mails();
    let ali = world.pending("ali@example.org").await;
    let code = world
        .auth
        .activation
        .start(ali, false)
        .await
        .unwrap()
        .code
        .unwrap();
    let reset = json!({ "token": code, "password": OTHER });
    world
        .post_json("/api/auth/password/reset", &reset)
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    world.advance(60 * 86_400);
    activate(&world, json!({ "token": code, "password": OTHER }))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    for garbage in ["", "x", "\u{0}", &"x".repeat(10_000)] {
        activate(&world, json!({ "token": garbage, "password": OTHER }))
            .await
            .expect(StatusCode::UNPROCESSABLE_ENTITY);
    }
}

async fn forgot(world: &World, email: &str) -> super::world::Answer {
    world
        .post_json("/api/auth/password/forgot", &json!({ "email": email }))
        .await
}

#[tokio::test]
async fn a_forgotten_password_is_reset_by_mail_and_every_session_ends() {
    let world = World::new().await;
    world.deliver_mails();
    let set = world.login("zoe", PASSWORD).await.json();
    forgot(&world, "ZOE@example.org")
        .await
        .expect(StatusCode::ACCEPTED);
    let message = mail(&world, 0).await;
    let link = token(&message);
    let reset = |password: &str| json!({ "token": link, "password": password });
    world
        .post_json("/api/auth/password/reset", &reset("short"))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    world
        .post_json("/api/auth/password/reset", &reset(OTHER))
        .await
        .expect(StatusCode::NO_CONTENT);
    assert!(!world.accepts(set["access_token"].as_str().unwrap()).await);
    world
        .login("zoe", PASSWORD)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    world.login("zoe", OTHER).await.expect(StatusCode::OK);
    world
        .post_json("/api/auth/password/reset", &reset("a third password"))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_reset_ends_the_other_links_too() {
    let world = World::new().await;
    world.deliver_mails();
    forgot(&world, "zoe").await;
    forgot(&world, "zoe@example.org").await;
    let (one, two) = (token(&mail(&world, 0).await), token(&mail(&world, 1).await));
    assert_ne!(one, two);
    let reset = |token: &str| json!({ "token": token, "password": OTHER });
    world
        .post_json("/api/auth/password/reset", &reset(&one))
        .await
        .expect(StatusCode::NO_CONTENT);
    world
        .post_json("/api/auth/password/reset", &reset(&two))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    // And one that is asked for at once works.
    world.advance(3600);
    forgot(&world, "zoe@example.org").await;
    let three = token(&mail(&world, 2).await);
    world
        .post_json("/api/auth/password/reset", &reset(&three))
        .await
        .expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_unknown_address_is_answered_alike_and_gets_no_mail() {
    let world = World::new().await;
    let known = forgot(&world, "zoe@example.org")
        .await
        .expect(StatusCode::ACCEPTED);
    let unknown = forgot(&world, "nobody@example.org")
        .await
        .expect(StatusCode::ACCEPTED);
    let nonsense = forgot(&world, "\u{0}").await.expect(StatusCode::ACCEPTED);
    assert_eq!((&known.body, &known.body), (&unknown.body, &nonsense.body));
    let depth = async || riwaq_events::Events::depths(&*world.events).await.unwrap()[0].ready;
    assert_eq!(depth().await, 3, "the same work is done for each");
    world.deliver_mails();
    mail(&world, 0).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while depth().await > 0 && std::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    assert_eq!(depth().await, 0);
    assert_eq!(world.mail.sent().len(), 1);
}

#[tokio::test]
async fn who_registers_while_another_makes_the_account_waits_for_it() {
    let world = World::new().await;
    register(&world, "ali@example.org", OTHER)
        .await
        .expect(StatusCode::CREATED);
    let second = async |looks| {
        let still_making = &world.directory.still_making;
        still_making.store(looks, Ordering::SeqCst);
        let registering = register(&world, "ali@example.org", OTHER);
        world.meanwhile(registering).await
    };
    second(3).await.expect(StatusCode::CREATED);
    // Not for ever: an account that is never made is a failure.
    second(usize::MAX)
        .await
        .expect(StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn nobody_is_buried_in_mails() {
    let world = World::new().await;
    for _ in 0..20 {
        forgot(&world, "zoe@example.org")
            .await
            .expect(StatusCode::ACCEPTED);
    }
    let ready = riwaq_events::Events::depths(&*world.events).await.unwrap()[0].ready;
    assert!((1..=4).contains(&ready), "{ready}");
}

#[tokio::test]
async fn a_mail_that_could_not_be_sent_is_sent_again_with_the_same_link() {
    let world = World::new().await;
    let request = crate::events::MailRequest {
        kind: crate::events::MailKind::Reset,
        subject: world.zoe().await.id,
    };
    let now = riwaq_clock::Clock::now(&*world.clock);
    world.mail.fail_next([MailError::Temporary {
        code: Some(451),
        message: "later".into(),
    }]);
    assert!(
        world
            .auth
            .mailer
            .send("event-1", now, &request)
            .await
            .is_err()
    );
    world
        .auth
        .mailer
        .send("event-1", now, &request)
        .await
        .unwrap();
    world
        .auth
        .mailer
        .send("event-1", now, &request)
        .await
        .unwrap();
    let sent = world.mail.sent();
    assert_eq!(sent.len(), 2, "at least once");
    assert_eq!(sent[0], sent[1]);
    assert_eq!(sent[0].message_id(), sent[1].message_id());
    let body = json!({ "token": token(&sent[0]), "password": OTHER });
    world
        .post_json("/api/auth/password/reset", &body)
        .await
        .expect(StatusCode::NO_CONTENT);
    // Told again after that, nothing makes the used link good once more.
    world
        .auth
        .mailer
        .send("event-1", now, &request)
        .await
        .unwrap();
    world
        .post_json("/api/auth/password/reset", &body)
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_closed_account_gets_no_mail_of_either_kind() {
    let world = World::new().await;
    let zoe = world.zoe().await.id;
    let close = riwaq_directory::AccountChange {
        status: Some(AccountStatus::Disabled),
        ..Default::default()
    };
    world.auth.accounts.update(zoe, close).await.unwrap();
    let now = riwaq_clock::Clock::now(&*world.clock);
    for kind in [
        crate::events::MailKind::Reset,
        crate::events::MailKind::Activation {
            keeps_password: true,
        },
        crate::events::MailKind::AlreadyRegistered,
    ] {
        let request = crate::events::MailRequest { kind, subject: zoe };
        world.auth.mailer.send("e", now, &request).await.unwrap();
    }
    assert!(world.mail.sent().is_empty());
}

struct OneMail;

#[async_trait]
impl DevMailbox for OneMail {
    async fn list(&self) -> ApiResult<Vec<DevMail>> {
        let at = chrono::DateTime::UNIX_EPOCH;
        Ok(vec![DevMail {
            id: "1".into(),
            to: "a@b".into(),
            subject: "s".into(),
            text: "t".into(),
            html: None,
            links: vec![],
            at,
        }])
    }
}

#[tokio::test]
async fn the_mailbox_of_development_is_for_the_machine_itself() {
    let world = World::new().await;
    world.get("/dev/mail").await.expect(StatusCode::NOT_FOUND);
    let world = world.with_mailbox(Arc::new(OneMail));
    let listed = world.get("/dev/mail").await.expect(StatusCode::OK).json();
    assert_eq!(listed["items"][0]["to"], "a@b");
    let from = |address: &str| {
        let request = http::Request::get("/dev/mail").header("x-forwarded-for", address);
        request.body(axum::body::Body::empty()).unwrap()
    };
    world.send(from("127.0.0.1")).await.expect(StatusCode::OK);
    world
        .send(from("192.0.2.1"))
        .await
        .expect(StatusCode::NOT_FOUND);
}
