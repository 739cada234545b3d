//! TLS, signing in, and a server or network that fails in the middle.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::proxy::{Act, Identity, Proxy, Seen};
use common::{config, prefix, remove};
use riwaq_clock::SystemClock;
use riwaq_index::{
    Change, Content, Document, Index, IndexError, Kind, Language, Outcome, Query, Readable, Source,
};
use riwaq_index_opensearch::{Config, OpenSearchIndex};
use uuid::Uuid;

/// A file with one passage.
fn file(number: u128, version: u64, text: &str) -> Change {
    let id = Uuid::from_u128(number);
    let document = Document {
        id: Uuid::from_u128(number << 64),
        kind: Kind::Passage,
        course_id: Uuid::from_u128(1),
        file_id: Some(id),
        file_version: version,
        title: String::new(),
        page: 1,
        heading: String::new(),
        text: text.to_owned(),
        language: Language::French,
    };
    Change {
        source: Source::file(id),
        version,
        content: Content::Documents(vec![document]),
        note: String::new(),
    }
}

async fn texts(index: &OpenSearchIndex, words: &str) -> Vec<String> {
    let query = Query::new(words, Readable::All);
    let hits = index.search(&query).await.expect("searches").hits;
    hits.into_iter().map(|hit| hit.document.text).collect()
}

async fn connect(config: Config) -> Result<OpenSearchIndex, IndexError> {
    OpenSearchIndex::connect(config, SystemClock::shared()).await
}

/// Passes the first matching request to a rule, and everything else on.
fn first(part: &'static str, act: Act) -> impl Fn(&Seen) -> Act {
    times(part, 1, act)
}

fn times(part: &'static str, times: usize, act: Act) -> impl Fn(&Seen) -> Act {
    let met = AtomicUsize::new(0);
    move |seen| {
        let matches = seen.path.contains(part);
        if matches && met.fetch_add(1, Ordering::SeqCst) < times {
            act.clone()
        } else {
            Act::Pass
        }
    }
}

#[tokio::test]
async fn tls_and_a_password_are_used_and_checked() {
    let Some(url) = common::server() else { return };
    let identity = Identity::new("localhost");
    // "riwaq:s3cret" in Base64.
    let rule = |seen: &Seen| match seen.authorization.as_deref() {
        Some("Basic cml3YXE6czNjcmV0" | "Bearer a.b.c") => Act::Pass,
        _ => Act::Answer(401, "Unauthorized".into()),
    };
    let proxy = Proxy::start(&url, Some(&identity), rule).await;
    let address = format!("https://localhost:{}", proxy.address.port());
    let prefix = prefix();
    let with_user = Config {
        user: "riwaq".into(),
        password: "s3cret".into(),
        ca_file: Some(identity.authority.clone()),
        connect_timeout_seconds: 0,
        ..config(&address, &prefix)
    };
    let index = connect(with_user.clone()).await.expect("connects");
    index
        .write(vec![file(10, 1, "graphe")])
        .await
        .expect("writes");
    assert_eq!(texts(&index, "graphe").await, ["graphe"]);
    index.ping().await.expect("is well");

    let with_token = Config {
        user: String::new(),
        bearer_token: "a.b.c".into(),
        ..with_user.clone()
    };
    let index = connect(with_token).await.expect("connects");
    assert_eq!(texts(&index, "graphe").await, ["graphe"]);

    let wrong = Config {
        password: "wrong-s3cret".into(),
        ..with_user.clone()
    };
    let error = connect(wrong).await.expect_err("refused").to_string();
    assert!(error.contains("401"), "{error}");
    assert!(
        !error.contains("s3cret") && !error.contains("cml3"),
        "{error}"
    );

    let another = Identity::new("localhost");
    for ca_file in [None, Some(another.authority.clone())] {
        let untrusted = Config {
            ca_file,
            ..with_user.clone()
        };
        let error = connect(untrusted).await.expect_err("not trusted");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let no_file = Config {
        ca_file: Some("/nonexistent/ca.pem".into()),
        ..with_user
    };
    let error = connect(no_file).await.expect_err("no such file");
    assert!(error.to_string().starts_with("ca_file: "), "{error}");
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn a_busy_cluster_is_asked_again() {
    let Some(url) = common::server() else { return };
    let busy = r#"{"error":{"type":"rejected_execution_exception","reason":"full"},"status":429}"#;
    let proxy = Proxy::start(&url, None, times("_bulk", 2, Act::Answer(429, busy.into()))).await;
    let prefix = prefix();
    let index = connect(config(&proxy.url(), &prefix))
        .await
        .expect("connects");
    let outcomes = index.write(vec![file(10, 1, "graphe")]).await;
    assert_eq!(outcomes, Ok(vec![Outcome::Applied]));
    // Two refusals, the passages, the entry.
    assert_eq!(proxy.seen("_bulk").len(), 4);
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn a_busy_shard_is_asked_again_for_what_it_refused_only() {
    let Some(url) = common::server() else { return };
    let answer = r#"{"took":1,"errors":true,"items":[
        {"index":{"_id":"a","status":201}},
        {"index":{"_id":"b","status":429,"error":{"type":"rejected_execution_exception","reason":"full"}}}]}"#;
    let proxy = Proxy::start(&url, None, first("_bulk", Act::Answer(200, answer.into()))).await;
    let prefix = prefix();
    let index = connect(config(&proxy.url(), &prefix))
        .await
        .expect("connects");
    let changes = vec![file(10, 1, "graphe un"), file(11, 1, "graphe deux")];
    index.write(changes).await.expect("writes");
    let sent = proxy.seen("_bulk");
    let lines = |seen: &Seen| seen.body.iter().filter(|byte| **byte == b'\n').count();
    // Two passages; the refused one again; two entries. Two lines each.
    assert_eq!(sent.iter().map(lines).collect::<Vec<_>>(), [4, 2, 4]);
    // What the proxy said was written was not: the source is told as it is, not repaired.
    assert_eq!(texts(&index, "graphe").await, ["graphe deux"]);
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn a_lost_answer_neither_loses_nor_doubles_a_write() {
    let Some(url) = common::server() else { return };
    for number in 0..2 {
        let met = AtomicUsize::new(0);
        let rule = move |seen: &Seen| {
            let bulk = seen.path.contains("_bulk");
            if bulk && met.fetch_add(1, Ordering::SeqCst) == number {
                Act::Lose
            } else {
                Act::Pass
            }
        };
        let proxy = Proxy::start(&url, None, rule).await;
        let prefix = prefix();
        let index = connect(config(&proxy.url(), &prefix))
            .await
            .expect("connects");
        let outcomes = index.write(vec![file(10, 1, "graphe")]).await;
        assert_eq!(outcomes, Ok(vec![Outcome::Applied]), "bulk {number}");
        assert_eq!(texts(&index, "graphe").await, ["graphe"]);
        let stats = index.stats().await.expect("counts");
        assert_eq!((stats.passages, stats.sources), (1, 1));
        remove(&url, &prefix).await;
    }
}

#[tokio::test]
async fn a_bulk_that_is_too_large_for_the_server_is_cut() {
    let Some(url) = common::server() else { return };
    const MOST: usize = 40_000;
    let rule = |seen: &Seen| {
        if seen.path.contains("_bulk") && seen.body.len() > MOST {
            Act::Answer(413, String::new())
        } else {
            Act::Pass
        }
    };
    let proxy = Proxy::start(&url, None, rule).await;
    let prefix = prefix();
    let index = connect(config(&proxy.url(), &prefix))
        .await
        .expect("connects");
    let changes = (0..40)
        .map(|number| file(number, 1, &format!("graphe {}", "mot ".repeat(600))))
        .collect();
    index.write(changes).await.expect("writes");
    assert_eq!(index.stats().await.expect("counts").passages, 40);
    let query = Query {
        limit: 200,
        ..Query::new("graphe", Readable::All)
    };
    let found = index.search(&query).await.expect("searches").hits.len();
    assert_eq!(found, 40);
    // A document that is too large even alone is an error, not a loop.
    let large = vec![file(99, 1, &"mot ".repeat(15_000))];
    let error = index.write(large).await.expect_err("too large");
    assert!(error.to_string().contains("413"), "{error}");
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_unavailable_in_time() {
    let Some(url) = common::server() else { return };
    let proxy = Proxy::start(&url, None, first("_search", Act::Hang)).await;
    let prefix = prefix();
    let setup = config(&url, &prefix);
    connect(setup.clone()).await.expect("connects");
    let index = connect(Config {
        urls: vec![proxy.url()],
        request_timeout_ms: 2_000,
        ..setup
    })
    .await
    .expect("connects");
    let query = Query::new("graphe", Readable::All);
    let error = index.search(&query).await.expect_err("nothing comes");
    assert!(
        error.is_retryable() && error.to_string().contains("2000 ms"),
        "{error}"
    );
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn another_node_is_asked_when_one_is_away() {
    let Some(url) = common::server() else { return };
    let away = riwaq_test_kit::ReservedPort::new().expect("a port");
    let prefix = prefix();
    let setup = Config {
        urls: vec![format!("http://{}", away.address()), url.clone()],
        attempts: 1,
        connect_timeout_seconds: 0,
        ..config(&url, &prefix)
    };
    let index = connect(setup.clone()).await.expect("connects");
    index
        .write(vec![file(10, 1, "graphe")])
        .await
        .expect("writes");
    assert_eq!(texts(&index, "graphe").await, ["graphe"]);
    remove(&url, &prefix).await;

    let alone = Config {
        urls: vec![format!("http://{}", away.address())],
        ..setup
    };
    let error = connect(alone).await.expect_err("nobody is there");
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_ready_at_start_is_waited_for() {
    let Some(url) = common::server() else { return };
    let starting = Act::Answer(503, "starting".into());
    let proxy = Proxy::start(&url, None, times("/", 3, starting)).await;
    let prefix = prefix();
    let setup = Config {
        attempts: 1,
        ..config(&proxy.url(), &prefix)
    };
    let impatient = Config {
        connect_timeout_seconds: 0,
        ..setup.clone()
    };
    let error = connect(impatient).await.expect_err("gives up");
    assert!(error.is_retryable(), "{error}");
    let index = connect(setup).await.expect("connects");
    index.ping().await.expect("is well");
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn another_kind_of_server_is_refused_by_name() {
    let Some(url) = common::server() else { return };
    for (answer, word) in [
        (
            r#"{"version":{"number":"8.15.0","build_flavor":"default"}}"#,
            "8.15.0",
        ),
        (
            r#"{"version":{"distribution":"opensearch","number":"1.3.0"}}"#,
            "1.3.0",
        ),
        ("<html>", "not OpenSearch"),
    ] {
        let proxy = Proxy::start(&url, None, move |_| Act::Answer(200, answer.into())).await;
        let error = connect(config(&proxy.url(), "x"))
            .await
            .expect_err("refused");
        assert!(
            matches!(&error, IndexError::InvalidInput { field: "urls", message } if message.contains(word)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_slow_writer_whose_passages_were_swept_begins_anew() {
    let Some(url) = common::server() else { return };
    let (reached, go) = (Arc::default(), Arc::default());
    // The writer's second bulk request is the entry.
    let hold = Act::Hold(Arc::clone(&reached), Arc::clone(&go));
    let met = AtomicUsize::new(0);
    let rule = move |seen: &Seen| {
        let bulk = seen.path.contains("_bulk");
        if bulk && met.fetch_add(1, Ordering::SeqCst) == 1 {
            hold.clone()
        } else {
            Act::Pass
        }
    };
    let proxy = Proxy::start(&url, None, rule).await;
    let prefix = prefix();
    let slow = connect(config(&proxy.url(), &prefix))
        .await
        .expect("connects");
    let start = riwaq_clock::Clock::now(&*SystemClock::shared());
    let clock = riwaq_clock::ManualClock::at(start);
    let impatient = OpenSearchIndex::connect(config(&url, &prefix), clock.clone())
        .await
        .expect("connects");
    let writing = slow.write(vec![file(10, 1, "graphe")]);
    let sweeping = async {
        reached.notified().await;
        assert!(texts(&impatient, "graphe").await.is_empty());
        assert_eq!(count(&url, &prefix).await, 1, "they are young");
        clock.advance(std::time::Duration::from_secs(2 * 3_600));
        assert!(texts(&impatient, "graphe").await.is_empty());
        assert_eq!(count(&url, &prefix).await, 0, "they are swept");
        go.notify_one();
    };
    let (outcomes, ()) = tokio::join!(writing, sweeping);
    assert_eq!(outcomes, Ok(vec![Outcome::Applied]));
    assert_eq!(texts(&impatient, "graphe").await, ["graphe"]);
    let stats = impatient.stats().await.expect("counts");
    assert_eq!((stats.passages, stats.sources, stats.tombstones), (1, 1, 0));
    remove(&url, &prefix).await;
}

/// How many passages lie in the indexes, whether or not they count.
async fn count(url: &str, prefix: &str) -> u64 {
    let path = format!("{url}/{prefix}-f1-passages/_count");
    let answer = common::http().get(path).send().await.expect("asks");
    let text = answer.text().await.expect("is text");
    let answer: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    answer["count"].as_u64().expect("a count")
}
