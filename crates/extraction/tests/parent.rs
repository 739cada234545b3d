//! The parent: programs that are not the child, time, places, and being dropped.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use riwaq_clock::{ManualClock, SystemClock};
use riwaq_extraction::{Config, ExtractError, Extractor, Format, Limits, Reason};
use support::{config, try_read};

fn with_program(program: &str, args: &[&str]) -> Extractor {
    let config = Config {
        program: program.into(),
        args: args.iter().map(|&arg| arg.into()).collect(),
        ..Config::default()
    };
    Extractor::new(config, SystemClock::shared()).expect("is configured")
}

/// A program that says these lines and then does this.
fn saying(folder: &tempfile::TempDir, lines: &str, then: &str) -> Extractor {
    let path = folder.path().join("child.sh");
    std::fs::write(&path, format!("cat <<'END'\n{lines}\nEND\n{then}\n")).expect("writes");
    // Read by the shell, not executed: a file that was just written cannot be executed (ETXTBSY)
    // while a child that another test forked in that moment still holds it open for writing.
    with_program("/bin/sh", &[path.to_str().expect("UTF-8")])
}

const CONFINED: &str = r#"{"confined":{"landlock":true,"seccomp":true}}"#;

#[tokio::test]
async fn a_program_that_is_not_the_child_is_told_apart_from_a_broken_document() {
    for program in [
        "/nonexistent/program",
        "/bin/false",
        "/bin/true",
        "/bin/echo",
    ] {
        let error = try_read(&with_program(program, &[]), Format::Text, b"x")
            .await
            .expect_err(program);
        assert!(
            matches!(error, ExtractError::Program(_)),
            "{program}: {error}"
        );
    }
    let none = Extractor::new(Config::default(), SystemClock::shared());
    assert!(matches!(none, Err(ExtractError::Program(_))));
}

#[tokio::test]
async fn a_child_that_crashes_leaves_its_pages_and_a_reason() {
    let page = r#"{"page":{"number":1,"blocks":[{"text":"un"}]}}"#;
    for (then, reason) in [
        ("kill -KILL $$", Reason::OutOfMemory),
        ("kill -XCPU $$", Reason::TimedOut),
        ("kill -ALRM $$", Reason::TimedOut),
        ("kill -SEGV $$", Reason::Broken),
        (
            "echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$",
            Reason::OutOfMemory,
        ),
        ("exit 101", Reason::Broken),
        ("exit 0", Reason::Broken),
    ] {
        let folder = tempfile::TempDir::new().expect("a folder");
        let extractor = saying(&folder, &format!("{CONFINED}\n{page}"), then);
        let read = try_read(&extractor, Format::Text, b"x").await.expect(then);
        assert_eq!(
            (read.reason(), read.pages.len()),
            (Some(reason), 1),
            "{then}"
        );
    }
}

#[tokio::test]
async fn a_child_that_was_taken_over_cannot_flood_the_parent() {
    let pages: Vec<String> = (1..=1_200)
        .map(|number| format!(r#"{{"page":{{"number":{number},"blocks":[]}}}}"#))
        .collect();
    let folder = tempfile::TempDir::new().expect("a folder");
    let extractor = saying(
        &folder,
        &format!("{CONFINED}\n{}", pages.join("\n")),
        "sleep 60",
    );
    let read = try_read(&extractor, Format::Text, b"x")
        .await
        .expect("is stopped");
    assert_eq!(
        (read.reason(), read.pages.len()),
        (Some(Reason::TooManyPages), 1_000)
    );
    let folder = tempfile::TempDir::new().expect("a folder");
    let extractor = saying(
        &folder,
        CONFINED,
        "head -c 50000000 /dev/zero | tr '\\0' a; sleep 60",
    );
    let read = try_read(&extractor, Format::Text, b"x")
        .await
        .expect("is stopped");
    assert_eq!(read.reason(), Some(Reason::Broken));
}

#[tokio::test]
async fn a_kernel_that_cannot_confine_is_an_error_of_the_machine() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let extractor = saying(
        &folder,
        r#"{"unconfined":"this kernel refuses Landlock"}"#,
        "",
    );
    let error = try_read(&extractor, Format::Text, b"x")
        .await
        .expect_err("refuses");
    assert!(matches!(error, ExtractError::Unconfined(_)), "{error}");
}

#[tokio::test]
async fn content_that_fails_or_never_comes_is_not_the_documents_fault() {
    let extractor = support::extractor(Limits::default());
    let failing = stream::iter([Ok(Bytes::from_static(b"abc")), Err("the disk is gone")]);
    let error = extractor
        .extract(Format::Text, failing, |_| ())
        .await
        .expect_err("fails");
    assert!(matches!(error, ExtractError::Content(_)), "{error}");
    let clock = ManualClock::at(Default::default());
    let extractor =
        Arc::new(Extractor::new(config(Limits::default()), clock.clone()).expect("is configured"));
    let waiting = extractor.extract(
        Format::Text,
        stream::pending::<Result<Bytes, Infallible>>(),
        |_| (),
    );
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "the clock has not moved");
    clock.advance(Duration::from_secs(Limits::default().wall_seconds));
    let error = waiting.await.expect_err("gives up");
    assert!(matches!(error, ExtractError::Content(_)), "{error}");
}

/// Processes that this one started and that still run.
fn children() -> usize {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").expect("lists").flatten();
    let stats =
        processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    // After the name in brackets: state, then the parent (proc_pid_stat(5)).
    stats
        .filter(|stat| stat.contains("(riwaq-extract)"))
        .filter_map(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.trim().to_owned())
        })
        .filter(|rest| rest.split(' ').nth(1) == Some(own.as_str()) && !rest.starts_with('Z'))
        .count()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_extraction_kills_its_child_and_frees_its_place() {
    let limited = Config {
        concurrency: 1,
        ..config(Limits::default())
    };
    let extractor =
        Arc::new(Extractor::new(limited, SystemClock::shared()).expect("is configured"));
    let endless = stream::pending::<Result<Bytes, Infallible>>().boxed();
    let mut first = Box::pin(extractor.extract(Format::Text, endless, |_| ()));
    tokio::select! {
        _ = &mut first => panic!("it has no end"),
        () = until("the child runs", || children() == 1) => {}
    }
    let second = try_read(&extractor, Format::Text, b"un texte");
    tokio::pin!(second);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "there is one place only");
    drop(first);
    assert_eq!(second.await.expect("is read").text(), "un texte");
    until("the child is gone", || children() == 0).await;
}

#[tokio::test]
async fn the_child_says_what_confines_it() {
    let read = support::read(Format::Text, b"un texte").await;
    let confinement = read.summary.confinement.expect("is told");
    assert!(confinement.seccomp);
    assert!(confinement.is_full(), "on a kernel with Landlock");
}
