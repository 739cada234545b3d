//! What every adapter of the mail port must pass.
//!
//! An adapter's test gives a [`Fixture`] that can read what arrived, and runs [`run`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;

use crate::{Mail, MailError, Mailbox, Message, limits};

/// A message as it arrived, decoded by something other than [`crate::mime`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Without angle brackets.
    pub message_id: String,
    /// The sender's name.
    pub from_name: Option<String>,
    /// The sender's address, in the header.
    pub from: String,
    /// The reader's name.
    pub to_name: Option<String>,
    /// The addresses that it was delivered to.
    pub to: Vec<String>,
    /// Decoded.
    pub subject: String,
    /// Decoded.
    pub text: String,
    /// Decoded.
    pub html: Option<String>,
}

/// An adapter and the other end of it.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The adapter.
    fn mail(&self) -> Arc<dyn Mail>;
    /// What has arrived so far, in any order.
    async fn received(&self) -> Vec<Received>;
}

/// Makes an adapter with nothing in it.
#[async_trait]
pub trait Factory: Send + Sync {
    /// A fresh one.
    async fn fresh(&self) -> Box<dyn Fixture>;
}

type Test = for<'f> fn(&'f dyn Fixture) -> Pin<Box<dyn Future<Output = ()> + Send + 'f>>;

/// Every test, by name.
pub const TESTS: &[(&str, Test)] = &[
    ("a message arrives whole", |f| Box::pin(arrives_whole(f))),
    ("names and subjects of every script arrive", |f| {
        Box::pin(scripts(f))
    }),
    ("bodies of every shape arrive", |f| Box::pin(bodies(f))),
    ("the largest message arrives", |f| Box::pin(largest(f))),
    ("the same message again bears the same Message-ID", |f| {
        Box::pin(same_id(f))
    }),
    ("header injection is refused and nothing arrives", |f| {
        Box::pin(injection(f))
    }),
    ("many at once arrive, each to its reader", |f| {
        Box::pin(many(f))
    }),
    ("ping answers", |f| Box::pin(ping(f))),
];

/// Runs every test on a fresh fixture.
///
/// # Panics
/// When a test fails; the names of those before it are printed.
#[expect(
    clippy::print_stdout,
    reason = "the list of tests that passed is part of the output"
)]
pub async fn run(adapter: &str, factory: &dyn Factory) {
    for (name, test) in TESTS {
        test(&*factory.fresh().await).await;
        println!("conformance: mail/{adapter}/{name} ok");
    }
}

/// A message that is valid in every field.
#[must_use]
#[expect(clippy::expect_used, reason = "constants of the suite")]
pub fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        from: Mailbox::named(
            "Riwaq",
            "no-reply@riwaq.example".parse().expect("an address"),
        ),
        to: Mailbox::named(
            "Amina Alaoui",
            "amina@example.org".parse().expect("an address"),
        ),
        subject: "Validez votre compte".to_owned(),
        text: "Bonjour,\n\nhttps://riwaq.example/activate?token=a.b-c\n".to_owned(),
        html: Some("<p>Bonjour</p>".to_owned()),
        locale: "fr".to_owned(),
    }
}

#[expect(clippy::expect_used, reason = "the suite runs in tests")]
async fn sent(fixture: &dyn Fixture, message: &Message) -> Received {
    fixture.mail().send(message).await.expect("sent");
    let received = fixture.received().await;
    let found = received
        .into_iter()
        .rev()
        .find(|received| received.message_id == message.message_id());
    found.unwrap_or_else(|| panic!("{} did not arrive", message.id))
}

/// Line ends and a last line end are the transport's business.
fn lines(text: &str) -> Vec<&str> {
    text.trim_end_matches(['\r', '\n'])
        .split('\n')
        .map(|line| line.trim_end_matches('\r'))
        .collect()
}

async fn arrives_whole(fixture: &dyn Fixture) {
    let message = message("whole");
    let received = sent(fixture, &message).await;
    assert_eq!(received.from, "no-reply@riwaq.example");
    assert_eq!(received.from_name.as_deref(), Some("Riwaq"));
    assert_eq!(received.to, ["amina@example.org"]);
    assert_eq!(received.to_name.as_deref(), Some("Amina Alaoui"));
    assert_eq!(received.subject, message.subject);
    assert_eq!(lines(&received.text), lines(&message.text));
    assert_eq!(
        received.html.as_deref().map(lines),
        message.html.as_deref().map(lines)
    );
}

async fn scripts(fixture: &dyn Fixture) {
    let texts = [
        "تفعيل حسابك في رواق",
        "Ève, \"Zoé\" <z@example.org>; (x)",
        "=?utf-8?B?eA==?= looks encoded",
        "emoji 🎓 and a combining e\u{301}",
        "\u{202e}right to left override",
        "a, b: c; d",
        &"é".repeat(100),
    ];
    for (n, text) in texts.iter().enumerate() {
        let mut message = message(&format!("scripts/{n}"));
        message.subject = (*text).to_owned();
        message.to.name = Some((*text).to_owned());
        let received = sent(fixture, &message).await;
        assert_eq!(received.subject, *text);
        assert_eq!(received.to_name.as_deref(), Some(*text));
        assert_eq!(
            received.to,
            ["amina@example.org"],
            "the name {text:?} changed who gets it"
        );
    }
}

async fn bodies(fixture: &dyn Fixture) {
    let long = "x".repeat(5000);
    let texts = [
        ".\n..\n.end of data\n",
        "\r\n.\r\nQUIT\r\n",
        "From the start of a line\nFrom again",
        &long,
        "مرحبا\n\tindented\n\n\nlast",
        "--_riwaq_\n--\nContent-Type: text/html\n",
    ];
    for (n, text) in texts.iter().enumerate() {
        let mut message = message(&format!("bodies/{n}"));
        message.text = (*text).to_owned();
        message.html = (n % 2 == 0).then(|| format!("<pre>{text}</pre>"));
        let received = sent(fixture, &message).await;
        assert_eq!(lines(&received.text), lines(text));
        assert_eq!(
            received.html.as_deref().map(lines),
            message.html.as_deref().map(lines)
        );
    }
}

async fn largest(fixture: &dyn Fixture) {
    let mut message = message(&"i".repeat(limits::MAX_ID_BYTES));
    message.text = "é".repeat(limits::MAX_BODY_BYTES / 2);
    message.html = Some("h".repeat(limits::MAX_BODY_BYTES));
    message.subject = "s".repeat(limits::MAX_SUBJECT_BYTES);
    let received = sent(fixture, &message).await;
    assert_eq!(received.subject.len(), limits::MAX_SUBJECT_BYTES);
    assert_eq!(received.text.trim_end().len(), limits::MAX_BODY_BYTES);
    assert_eq!(
        received.html.map(|html| html.trim_end().len()),
        Some(limits::MAX_BODY_BYTES)
    );
}

async fn same_id(fixture: &dyn Fixture) {
    let first = sent(fixture, &message("same")).await;
    let again = sent(fixture, &message("same")).await;
    assert_eq!(first.message_id, again.message_id);
    let other = sent(fixture, &message("other")).await;
    assert_ne!(first.message_id, other.message_id);
}

type Change = fn(&mut Message, &str);

async fn injection(fixture: &dyn Fixture) {
    let attack = "x\r\nBcc: everyone@example.org\r\n\r\nbody";
    let changes: [(&str, Change); 5] = [
        ("id", |m, attack| m.id = attack.to_owned()),
        ("subject", |m, attack| m.subject = attack.to_owned()),
        ("to", |m, attack| m.to.name = Some(attack.to_owned())),
        ("from", |m, attack| m.from.name = Some(attack.to_owned())),
        ("locale", |m, attack| m.locale = attack.to_owned()),
    ];
    for (expected, change) in changes {
        for attack in [attack, "x\nBcc: y", "x\rBcc: y", "x\0y"] {
            let mut message = message("injection");
            change(&mut message, attack);
            match fixture.mail().send(&message).await {
                Err(MailError::Invalid { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected} {attack:?}: {other:?}"),
            }
        }
    }
    assert_eq!(fixture.received().await, []);
}

#[expect(clippy::expect_used, reason = "the suite runs in tests")]
async fn many(fixture: &dyn Fixture) {
    let messages: Vec<Message> = (0..50)
        .map(|n| {
            let mut message = message(&format!("many/{n}"));
            message.to = Mailbox::from(
                format!("reader{n}@example.org")
                    .parse::<crate::Address>()
                    .expect("an address"),
            );
            message
        })
        .collect();
    let mail = fixture.mail();
    for outcome in join_all(messages.iter().map(|message| mail.send(message))).await {
        outcome.expect("sent");
    }
    let received = fixture.received().await;
    assert_eq!(received.len(), messages.len());
    for message in &messages {
        let found = received
            .iter()
            .find(|received| received.message_id == message.message_id())
            .expect("arrived");
        assert_eq!(found.to, [message.to.address.as_str()]);
    }
}

#[expect(clippy::expect_used, reason = "the suite runs in tests")]
async fn ping(fixture: &dyn Fixture) {
    fixture.mail().ping().await.expect("answers");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryMail;

    struct Memory(MemoryMail);

    #[async_trait]
    impl Fixture for Memory {
        fn mail(&self) -> Arc<dyn Mail> {
            Arc::new(self.0.clone())
        }

        async fn received(&self) -> Vec<Received> {
            let decoded = |message: Message| Received {
                message_id: message.message_id(),
                from_name: message.from.name,
                from: message.from.address.to_string(),
                to_name: message.to.name,
                to: vec![message.to.address.to_string()],
                subject: message.subject,
                text: message.text,
                html: message.html,
            };
            self.0.sent().into_iter().map(decoded).collect()
        }
    }

    struct Fresh;

    #[async_trait]
    impl Factory for Fresh {
        async fn fresh(&self) -> Box<dyn Fixture> {
            Box::new(Memory(MemoryMail::default()))
        }
    }

    #[tokio::test]
    async fn the_memory_version_passes_the_suite() {
        run("memory", &Fresh).await;
    }
}
