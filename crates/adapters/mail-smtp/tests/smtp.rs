//! SMTP against a real conversation: the port's suite, refusals, encryption, sign-in, timeouts.
#![expect(clippy::unwrap_used, reason = "a test")]

mod server;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mail_parser::MessageParser;
use metrics_exporter_prometheus::PrometheusBuilder;
use riwaq_clock::SystemClock;
use riwaq_mail::conformance::{self, Factory, Fixture, Received, message};
use riwaq_mail::{Mail, MailError};
use riwaq_mail_smtp::{Encryption, SmtpConfig, SmtpMail};
use server::{Instead, Options, Server, Stage, Taken};

fn config(server: &Server) -> SmtpConfig {
    SmtpConfig {
        host: "localhost".to_owned(),
        port: server.port,
        encryption: Encryption::None,
        timeout_seconds: 10,
        hello_name: "riwaq.example".to_owned(),
        ..SmtpConfig::default()
    }
}

fn connect(config: &SmtpConfig, password: Option<&str>) -> SmtpMail {
    SmtpMail::new(config, password, SystemClock::shared()).unwrap()
}

/// A server that takes everything, and a client for it.
fn plain() -> (Server, SmtpMail) {
    let server = Server::start(Options::default());
    let mail = connect(&config(&server), None);
    (server, mail)
}

struct Smtp {
    server: Server,
    mail: SmtpMail,
}

#[async_trait]
impl Fixture for Smtp {
    fn mail(&self) -> Arc<dyn Mail> {
        Arc::new(self.mail.clone())
    }

    async fn received(&self) -> Vec<Received> {
        self.server.taken().iter().map(received).collect()
    }
}

fn received(taken: &Taken) -> Received {
    let message = MessageParser::default().parse(&taken.data).unwrap();
    let first = |address: Option<&mail_parser::Address<'_>>| {
        let address = address.unwrap().first().unwrap().clone();
        (
            address.name.map(|name| name.into_owned()),
            address.address.unwrap().into_owned(),
        )
    };
    let (from_name, from) = first(message.from());
    let (to_name, _) = first(message.to());
    assert_eq!(taken.from, from, "envelope and header");
    Received {
        message_id: message.message_id().unwrap().to_owned(),
        from_name,
        from,
        to_name,
        to: taken.to.clone(),
        subject: message.subject().unwrap().to_owned(),
        text: message
            .text_part(0)
            .unwrap()
            .text_contents()
            .unwrap()
            .to_owned(),
        html: (message.parts.len() > 1).then(|| {
            message
                .html_part(0)
                .unwrap()
                .text_contents()
                .unwrap()
                .to_owned()
        }),
    }
}

struct Fresh;

#[async_trait]
impl Factory for Fresh {
    async fn fresh(&self) -> Box<dyn Fixture> {
        let (server, mail) = plain();
        Box::new(Smtp { server, mail })
    }
}

#[tokio::test]
async fn smtp_passes_the_suite() {
    conformance::run("smtp", &Fresh).await;
}

#[test]
fn an_operator_sees_how_many_messages_went_and_how_many_were_refused() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (server, mail) = plain();
            mail.ping().await.unwrap();
            mail.send(&message("x")).await.unwrap();
            server.next(Stage::RcptTo, Instead::Say("550 5.1.1 nobody here"));
            mail.send(&message("y")).await.unwrap_err();
        });
    });
    let text = shown.render();
    for (operation, outcome, times) in [
        ("ping", "ok", 1),
        ("send", "ok", 1),
        ("send", "permanent", 1),
        ("send", "temporary", 0),
    ] {
        let labels = format!(r#"backend="smtp",operation="{operation}",outcome="{outcome}""#);
        let line = format!("riwaq_backend_calls_total{{{labels}}} {times}");
        assert!(
            text.lines().any(|shown| shown == line),
            "no {line} in\n{text}"
        );
    }
}

#[tokio::test]
async fn a_4xx_is_temporary_wherever_it_comes_and_the_next_try_works() {
    for stage in [
        Stage::Greeting,
        Stage::MailFrom,
        Stage::RcptTo,
        Stage::Data,
        Stage::EndOfData,
    ] {
        let (server, mail) = plain();
        server.next(stage, Instead::Say("451 4.3.0 greylisted, come back"));
        let error = mail.send(&message("x")).await.unwrap_err();
        assert!(
            matches!(
                error,
                MailError::Temporary {
                    code: Some(451),
                    ..
                }
            ),
            "{stage:?}: {error:?}"
        );
        assert!(error.is_retryable());
        assert!(server.taken().is_empty());
        mail.send(&message("x")).await.unwrap();
        assert_eq!(server.taken().len(), 1);
    }
}

#[tokio::test]
async fn a_5xx_is_permanent_and_tells_why() {
    for stage in [
        Stage::MailFrom,
        Stage::RcptTo,
        Stage::Data,
        Stage::EndOfData,
    ] {
        let (server, mail) = plain();
        server.next(stage, Instead::Say("550 5.1.1 no such user here"));
        let error = mail.send(&message("x")).await.unwrap_err();
        assert!(
            matches!(
                error,
                MailError::Permanent {
                    code: Some(550),
                    ..
                }
            ),
            "{stage:?}: {error:?}"
        );
        assert!(error.to_string().contains("no such user"), "{error}");
        assert!(server.taken().is_empty());
        mail.send(&message("y")).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_goes_away_is_temporary() {
    for stage in [Stage::Greeting, Stage::RcptTo, Stage::EndOfData] {
        for instead in [Instead::Hang, Instead::Close] {
            let server = Server::start(Options::default());
            let mail = connect(
                &SmtpConfig {
                    timeout_seconds: 1,
                    ..config(&server)
                },
                None,
            );
            server.next(stage, instead.clone());
            let error = mail.send(&message("x")).await.unwrap_err();
            assert!(
                matches!(error, MailError::Temporary { code: None, .. }),
                "{stage:?} {instead:?}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_lost_answer_means_a_second_copy_with_the_same_message_id() {
    let (server, mail) = plain();
    server.next(Stage::EndOfData, Instead::Close);
    assert!(mail.send(&message("x")).await.unwrap_err().is_retryable());
    mail.send(&message("x")).await.unwrap();
    let ids: Vec<_> = server
        .taken()
        .iter()
        .map(|taken| received(taken).message_id)
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn nobody_at_the_port_is_temporary() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = SmtpConfig {
        port,
        encryption: Encryption::None,
        ..SmtpConfig::default()
    };
    let mail = connect(&config, None);
    assert!(mail.send(&message("x")).await.unwrap_err().is_retryable());
    assert!(mail.ping().await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn connections_are_used_again_and_replaced_when_the_server_closed_them() {
    let (server, mail) = plain();
    for n in 0..5 {
        mail.send(&message(&n.to_string())).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    server.close_connections();
    mail.send(&message("after")).await.unwrap();
    assert_eq!(server.connections(), 2);
    assert_eq!(server.taken().len(), 6);
    assert!(server.said().contains(&"EHLO riwaq.example".to_owned()));
}

#[tokio::test]
async fn a_cancelled_exchange_does_not_confuse_the_next_message() {
    let (server, mail) = plain();
    mail.send(&message("first")).await.unwrap();
    server.next(
        Stage::MailFrom,
        Instead::Late("250 ok", Duration::from_millis(300)),
    );
    let (cancelled_message, next_message) = (message("cancelled"), message("next"));
    let cancelled =
        tokio::time::timeout(Duration::from_millis(50), mail.send(&cancelled_message)).await;
    assert!(cancelled.is_err());
    // Whatever the server still says to the first connection, this one has its own answers.
    server.next(Stage::RcptTo, Instead::Say("550 5.1.1 no such user here"));
    let error = mail.send(&next_message).await.unwrap_err();
    assert!(
        matches!(
            error,
            MailError::Permanent {
                code: Some(550),
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let server = Server::start(Options::default());
    let mail = connect(
        &SmtpConfig {
            max_connections: 2,
            ..config(&server)
        },
        None,
    );
    let messages: Vec<_> = (0..20).map(|n| message(&n.to_string())).collect();
    let sent = futures::future::join_all(messages.iter().map(|message| mail.send(message))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!((server.taken().len(), server.connections()), (20, 2));
}

#[tokio::test]
async fn without_starttls_nothing_is_said_in_clear() {
    let server = Server::start(Options {
        password: Some(("u", "p")),
        ..Options::default()
    });
    let config = SmtpConfig {
        encryption: Encryption::Starttls,
        username: "u".into(),
        ..config(&server)
    };
    let mail = connect(&config, Some("p"));
    mail.send(&message("x")).await.unwrap_err();
    assert!(server.taken().is_empty());
    let said = server.said();
    assert!(
        said.iter()
            .all(|line| line.starts_with("EHLO") || line == "QUIT"),
        "{said:?}"
    );
}

/// A server certificate for `localhost`, and itself in PEM to be trusted.
fn certificate() -> (Arc<rustls::ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (Arc::new(config), made.cert.pem())
}

#[tokio::test]
async fn tls_and_starttls_protect_the_password_and_the_message() {
    let (tls, pem) = certificate();
    for (encryption, implicit_tls) in [(Encryption::Tls, true), (Encryption::Starttls, false)] {
        let options = Options {
            tls: Some(Arc::clone(&tls)),
            implicit_tls,
            password: Some(("riwaq", "s3cret")),
        };
        let server = Server::start(options);
        let config = SmtpConfig {
            encryption,
            username: "riwaq".to_owned(),
            ca_certificate_pem: pem.clone(),
            ..config(&server)
        };
        let mail = connect(&config, Some("s3cret"));
        mail.ping().await.unwrap();
        mail.send(&message("x")).await.unwrap();
        let taken = server.taken();
        assert!(
            taken[0].encrypted && taken[0].signed_in,
            "{encryption:?}: {taken:?}"
        );

        let wrong = connect(&config, Some("guess"));
        let error = wrong.send(&message("y")).await.unwrap_err();
        assert!(
            matches!(
                error,
                MailError::Permanent {
                    code: Some(535),
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (tls, _) = certificate();
    let (_, another) = certificate();
    for ca_certificate_pem in [String::new(), another] {
        let server = Server::start(Options {
            tls: Some(Arc::clone(&tls)),
            implicit_tls: true,
            password: None,
        });
        let config = SmtpConfig {
            encryption: Encryption::Tls,
            ca_certificate_pem,
            ..config(&server)
        };
        let error = connect(&config, None)
            .send(&message("x"))
            .await
            .unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(server.taken().is_empty());
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let good = SmtpConfig {
        encryption: Encryption::None,
        ..SmtpConfig::default()
    };
    let refused = |config: SmtpConfig, password: Option<&str>| {
        SmtpMail::new(&config, password, SystemClock::shared())
            .unwrap_err()
            .field
    };
    assert_eq!(
        refused(
            SmtpConfig {
                host: " ".into(),
                ..good.clone()
            },
            None
        ),
        "host"
    );
    assert_eq!(
        refused(
            SmtpConfig {
                port: 0,
                ..good.clone()
            },
            None
        ),
        "port"
    );
    assert_eq!(
        refused(
            SmtpConfig {
                timeout_seconds: 0,
                ..good.clone()
            },
            None
        ),
        "timeout_seconds"
    );
    assert_eq!(
        refused(
            SmtpConfig {
                max_connections: 0,
                ..good.clone()
            },
            None
        ),
        "max_connections"
    );
    assert_eq!(
        refused(
            SmtpConfig {
                username: "u".into(),
                ..good.clone()
            },
            None
        ),
        "username"
    );
    assert_eq!(refused(good.clone(), Some("p")), "username");
    let far = SmtpConfig {
        host: "mail.example".into(),
        username: "u".into(),
        ..good.clone()
    };
    assert_eq!(refused(far, Some("p")), "encryption");
    let bad_pem = SmtpConfig {
        encryption: Encryption::Tls,
        ca_certificate_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into(),
        ..good
    };
    assert_eq!(refused(bad_pem, None), "ca_certificate_pem");
    assert!(serde_json::from_str::<SmtpConfig>(r#"{"hots": "x"}"#).is_err());
}
