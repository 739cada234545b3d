//! A process that is killed while it writes: what it acknowledged is there, and every source is
//! whole.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use riwaq_index::{Change, Content, Document, Index, Kind, Language, Query, Readable, Source};
use riwaq_index_tantivy::{Config, TantivyIndex};
use tempfile::TempDir;
use uuid::Uuid;

const ROUNDS: u64 = 6;
const PASSAGES: u128 = 7;

fn change(number: u64) -> Change {
    let file = Uuid::from_u128(u128::from(number));
    let documents = (0..PASSAGES).map(|place| Document {
        id: Uuid::from_u128(u128::from(number) << 32 | place),
        kind: Kind::Passage,
        course_id: Uuid::from_u128(1),
        file_id: Some(file),
        file_version: 1,
        title: String::new(),
        page: 1,
        heading: String::new(),
        text: format!("passage fichier{number}"),
        language: Language::French,
    });
    Change {
        source: Source::file(file),
        version: 1,
        content: Content::Documents(documents.collect()),
        note: String::new(),
    }
}

/// Set for the child alone: in an ordinary run it has nothing to do.
const CHILD: &str = "RIWAQ_TEST_CHILD";

/// The child: writes sources one after the other and says so, until it is killed. Started by the
/// test below, which sends the folder and the first number.
#[tokio::test]
async fn child_writes_until_it_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    let (first, folder) = line
        .trim_end()
        .split_once(' ')
        .expect("a number and a folder");
    let mut number: u64 = first.parse().expect("a number");
    let index = TantivyIndex::open(&Config::in_folder(folder)).expect("opens");
    loop {
        index.write(vec![change(number)]).await.expect("writes");
        println!("\nacknowledged {number}");
        std::io::stdout().flush().expect("flushes");
        number += 1;
    }
}

fn start(folder: &TempDir, first: u64) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let line = format!("{first} {}\n", folder.path().display());
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(line.as_bytes())
        .expect("is told");
    child
}

/// Reads until so many were acknowledged, kills, and returns the last that was acknowledged.
fn kill_after(mut child: Child, count: usize) -> u64 {
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        let line = line.expect("a line");
        if let Some(number) = line.strip_prefix("acknowledged ") {
            acknowledged.push(number.parse::<u64>().expect("a number"));
        }
        if acknowledged.len() == count {
            child.kill().expect("kills");
        }
    }
    child.wait().expect("ends");
    assert!(acknowledged.len() >= count, "the child ended by itself");
    *acknowledged.last().expect("not empty")
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = TempDir::new().expect("a folder");
    let mut first = 1;
    for round in 0..ROUNDS {
        let last = kill_after(
            start(&folder, first),
            3 + usize::try_from(round).expect("small"),
        );
        let index = TantivyIndex::open(&Config::in_folder(folder.path())).expect("opens again");
        // The one after the last may have been written without being acknowledged.
        for number in 1..=last + 1 {
            let state = index
                .source(Source::file(Uuid::from_u128(number.into())))
                .await;
            let known = state.expect("asks").is_some();
            assert!(
                known || number > last,
                "{number} was acknowledged and is lost"
            );
            let query = Query {
                limit: 50,
                ..Query::new(format!("fichier{number}"), Readable::All)
            };
            let found = index.search(&query).await.expect("searches").hits.len();
            let whole = usize::try_from(PASSAGES).expect("small");
            assert_eq!(
                found,
                if known { whole } else { 0 },
                "{number} is not whole"
            );
        }
        first = last + 2;
        // The gap that a write without acknowledgement may have left is filled, as a consumer does.
        index.write(vec![change(last + 1)]).await.expect("repeats");
    }
}
