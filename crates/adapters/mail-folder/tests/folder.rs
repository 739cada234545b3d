//! The folder passes the port's suite, and lists what was sent.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use mail_parser::MessageParser;
use riwaq_clock::{Clock, ManualClock};
use riwaq_mail::conformance::{self, Factory, Fixture, Received};
use riwaq_mail::{Mail, Message};
use riwaq_mail_folder::{FolderMail, FolderMailConfig};
use tempfile::TempDir;

struct Folder {
    folder: TempDir,
    mail: FolderMail,
}

fn clock() -> Arc<ManualClock> {
    ManualClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
}

fn open(folder: &TempDir, keep_messages: usize, clock: Arc<ManualClock>) -> FolderMail {
    FolderMail::open(folder.path(), FolderMailConfig { keep_messages }, clock).unwrap()
}

#[async_trait]
impl Fixture for Folder {
    fn mail(&self) -> Arc<dyn Mail> {
        Arc::new(self.mail.clone())
    }

    async fn received(&self) -> Vec<Received> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
            .iter()
            .map(|path| received(&std::fs::read(path).unwrap()))
            .collect()
    }
}

fn received(bytes: &[u8]) -> Received {
    let message = MessageParser::default().parse(bytes).unwrap();
    let first = |address: Option<&mail_parser::Address<'_>>| {
        let address = address.unwrap().first().unwrap().clone();
        (
            address.name.map(|name| name.into_owned()),
            address.address.unwrap().into_owned(),
        )
    };
    let (from_name, from) = first(message.from());
    let (to_name, to) = first(message.to());
    Received {
        message_id: message.message_id().unwrap().to_owned(),
        from_name,
        from,
        to_name,
        to: vec![to],
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
        let folder = TempDir::new().unwrap();
        let mail = open(&folder, 1000, clock());
        Box::new(Folder { folder, mail })
    }
}

#[tokio::test]
async fn the_folder_passes_the_suite() {
    conformance::run("folder", &Fresh).await;
}

#[tokio::test]
async fn the_list_shows_the_newest_first_with_their_links() {
    let (folder, clock) = (TempDir::new().unwrap(), clock());
    let mail = open(&folder, 1000, clock.clone());
    for n in 0..3 {
        mail.send(&conformance::message(&format!("activation/é{n}")))
            .await
            .unwrap();
        clock.advance(Duration::from_secs(1));
    }
    let listed = mail.list(2).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|mail| mail.id.as_str()).collect();
    assert_eq!(ids, ["activation/é2", "activation/é1"]);
    let newest = &listed[0];
    assert_eq!(newest.to, "amina@example.org");
    assert_eq!(newest.subject, "Validez votre compte");
    assert_eq!(
        newest.text,
        "Bonjour,\n\nhttps://riwaq.example/activate?token=a.b-c\n"
    );
    assert_eq!(newest.html.as_deref(), Some("<p>Bonjour</p>"));
    assert_eq!(newest.links, ["https://riwaq.example/activate?token=a.b-c"]);
    assert_eq!(newest.at, clock.now() - TimeDelta::seconds(1));
    let plain = Message {
        html: None,
        ..conformance::message("plain")
    };
    mail.send(&plain).await.unwrap();
    assert_eq!(mail.list(1).await.unwrap()[0].html, None);
}

#[tokio::test]
async fn old_mail_is_deleted_and_foreign_files_are_left_alone() {
    let (folder, clock) = (TempDir::new().unwrap(), clock());
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    std::fs::write(folder.path().join("not-mail.eml"), "").unwrap();
    let mail = open(&folder, 3, clock.clone());
    for n in 0..5 {
        mail.send(&conformance::message(&n.to_string()))
            .await
            .unwrap();
        clock.advance(Duration::from_secs(1));
    }
    let ids: Vec<_> = mail
        .list(100)
        .await
        .unwrap()
        .into_iter()
        .map(|mail| mail.id)
        .collect();
    assert_eq!(ids, ["4", "3", "2"]);
    assert!(folder.path().join("notes.txt").exists());
    assert!(folder.path().join("not-mail.eml").exists());
    // One that bears our kind of name and is no mail is passed over.
    std::fs::write(folder.path().join("99999999999999999999-x.eml"), "x").unwrap();
    assert_eq!(mail.list(1).await.unwrap()[0].id, "4");
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_neither_listed_nor_kept() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("00000000000000000001-x.part"),
        "half a ma",
    )
    .unwrap();
    let mail = open(&folder, 10, clock());
    assert!(mail.list(10).await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
