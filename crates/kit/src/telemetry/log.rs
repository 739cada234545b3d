//! Log lines: one JSON object each, with the trace id and a keyed hash that stands for the user.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use ring::hmac;
use riwaq_clock::SharedClock;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use uuid::Uuid;

use super::config::{LogFormat, TelemetryConfig};
use super::writer::LogWriter;
use crate::context;

/// How many users' hashes a thread remembers: those of the requests that it is about.
const REMEMBERED: usize = 64;

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The last second that was written, and how.
    static SECOND: RefCell<(i64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
    static KNOWN: RefCell<[Known; REMEMBERED]> = const { RefCell::new([None; REMEMBERED]) };
}

pub(super) struct LogLayer {
    clock: SharedClock,
    writer: Arc<LogWriter>,
    format: LogFormat,
    users: UserHash,
}

impl LogLayer {
    pub(super) fn new(
        config: &TelemetryConfig,
        clock: SharedClock,
        writer: Arc<LogWriter>,
    ) -> Self {
        let users = match &config.user_hash_key {
            Some(key) => UserHash::new(key.expose().as_bytes()),
            None => UserHash::new(&rand::random::<[u8; 32]>()),
        };
        Self {
            clock,
            writer,
            format: config.log_format,
            users,
        }
    }

    fn json(&self, line: &mut Vec<u8>, event: &Event<'_>) {
        let meta = event.metadata();
        line.extend_from_slice(br#"{"time":""#);
        time(line, self.clock.now());
        line.extend_from_slice(br#"","level":""#);
        line.extend_from_slice(level(*meta.level()).as_bytes());
        line.extend_from_slice(br#"","target":"#);
        string(line, meta.target());
        event.record(&mut JsonFields(line));
        if let Some(trace) = context::current() {
            line.extend_from_slice(br#","trace_id":""#);
            line.extend_from_slice(&digits::<32>(&trace.trace_id.to_be_bytes()));
            line.push(b'"');
        }
        if let Some(user) = context::current_user() {
            line.extend_from_slice(br#","user":""#);
            line.extend_from_slice(&self.users.of(user));
            line.push(b'"');
        }
        line.extend_from_slice(b"}\n");
    }

    fn text(&self, line: &mut Vec<u8>, event: &Event<'_>) {
        let meta = event.metadata();
        let time = self.clock.now().format("%H:%M:%S%.3f");
        let _ = write!(line, "{time} {:5} {}", level(*meta.level()), meta.target());
        event.record(&mut TextFields(line));
        if let Some(trace) = context::current() {
            let _ = write!(line, " trace_id={:032x}", trace.trace_id);
        }
        line.push(b'\n');
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let urgent = *event.metadata().level() == Level::ERROR;
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                LogFormat::Json => self.json(line, event),
                LogFormat::Text => self.text(line, event),
            }
            self.writer.line(line, urgent);
        });
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn string(line: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    } else {
        // Writing to memory does not fail, here and below.
        let _ = serde_json::to_writer(line, text);
    }
}

/// The time with microseconds (RFC 3339). What of it is the same for a whole second is made once.
fn time(line: &mut Vec<u8>, now: DateTime<Utc>) {
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.timestamp() || text.is_empty() {
            *second = now.timestamp();
            text.clear();
            let _ = write!(text, "{}", now.format("%Y-%m-%dT%H:%M:%S"));
        }
        line.extend_from_slice(text);
    });
    // A leap second counts on within its minute's last one.
    let mut micros = now.timestamp_subsec_micros() % 1_000_000;
    let mut fraction = *b".000000Z";
    for digit in fraction[1..7].iter_mut().rev() {
        *digit = b'0' + u8::try_from(micros % 10).unwrap_or_default();
        micros /= 10;
    }
    line.extend_from_slice(&fraction);
}

/// Hexadecimal digits, two a byte.
fn digits<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [b'0'; N];
    let _ = hex::encode_to_slice(bytes, &mut text);
    text
}

struct JsonFields<'a>(&'a mut Vec<u8>);

impl JsonFields<'_> {
    fn name(&mut self, field: &Field) {
        self.0.push(b',');
        string(self.0, field.name());
        self.0.push(b':');
    }
}

impl Visit for JsonFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.name(field);
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        string(self.0, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        string(self.0, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field);
        let _ = serde_json::to_writer(&mut *self.0, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        let _ = serde_json::to_writer(&mut *self.0, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.name(field);
        let _ = serde_json::to_writer(&mut *self.0, &value);
    }
}

struct TextFields<'a>(&'a mut Vec<u8>);

impl Visit for TextFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Debug escapes control characters of strings, so that a value cannot forge a line.
        let text = format!("{value:?}");
        let _ = match field.name() {
            "message" => write!(self.0, " {}", text.replace(char::is_control, " ")),
            name => write!(self.0, " {name}={text}"),
        };
    }
}

/// A keyed hash, so that the log does not name people and cannot be searched for known ids without the key.
struct UserHash {
    key: hmac::Key,
    /// Tells this key's hashes from those of another in [`KNOWN`].
    instance: u64,
}

/// A user's hash that was made on this thread, by which key.
type Known = Option<(u64, Uuid, [u8; 16])>;

impl UserHash {
    fn new(key: &[u8]) -> Self {
        static INSTANCES: AtomicU64 = AtomicU64::new(0);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            instance: INSTANCES.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn of(&self, user: Uuid) -> [u8; 16] {
        KNOWN.with_borrow_mut(|known| {
            let place = &mut known[usize::from(user.as_bytes()[15]) % REMEMBERED];
            match place {
                Some((instance, of, hash)) if (*instance, *of) == (self.instance, user) => *hash,
                _ => {
                    let tag = hmac::sign(&self.key, user.as_bytes());
                    let hash = digits::<16>(&tag.as_ref()[..8]);
                    *place = Some((self.instance, user, hash));
                    hash
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use riwaq_clock::ManualClock;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::config::Secret;
    use crate::context::{TraceContext, set_user, within};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn logged(format: LogFormat, work: impl Future<Output = ()>) -> String {
        let sink = Sink::default();
        let writer = Arc::new(LogWriter::start(sink.clone()));
        let config = TelemetryConfig {
            log_format: format,
            user_hash_key: Some(Secret::new("key")),
            ..TelemetryConfig::default()
        };
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let layer = LogLayer::new(&config, clock, Arc::clone(&writer));
        let guard = tracing::subscriber::set_default(Registry::default().with(layer));
        work.await;
        drop(guard);
        writer.flush();
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn a_line_is_json_with_trace_and_hashed_user() {
        let trace = TraceContext::root(false);
        let user = Uuid::from_u128(42);
        let line = logged(
            LogFormat::Json,
            within(trace, async {
                set_user(user);
                tracing::info!(bytes = 7_u64, ok = true, name = "a\"b\n", "said \"hello\"");
            }),
        )
        .await;
        let line: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
        assert_eq!(line["time"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(line["message"], "said \"hello\"");
        assert_eq!(
            (&line["bytes"], &line["ok"], &line["name"]),
            (&7.into(), &true.into(), &"a\"b\n".into())
        );
        assert_eq!(line["trace_id"], trace.trace_id_hex());
        let hash = line["user"].as_str().unwrap();
        assert_eq!(hash.len(), 16);
        assert_eq!(hash.as_bytes(), UserHash::new(b"key").of(user));
        assert_ne!(hash.as_bytes(), UserHash::new(b"other").of(user));
    }

    #[test]
    fn what_is_remembered_is_of_this_key_and_this_user() {
        let (one, other) = (UserHash::new(b"key"), UserHash::new(b"other"));
        // More than are remembered, some of them in the same place.
        let users: Vec<_> = (0..300_u128).map(|n| Uuid::from_u128(n << 4)).collect();
        let made = |hash: &UserHash| users.iter().map(|user| hash.of(*user)).collect::<Vec<_>>();
        let (first, second) = (made(&one), made(&other));
        assert_eq!((made(&one), made(&other)), (first.clone(), second.clone()));
        let different: std::collections::HashSet<_> = first.iter().chain(&second).collect();
        assert_eq!(different.len(), 600);
    }

    #[test]
    fn times_are_written_to_the_microsecond() {
        let written = |text: &str| {
            let mut line = Vec::new();
            time(&mut line, text.parse().unwrap());
            String::from_utf8(line).unwrap()
        };
        for text in [
            "2026-11-21T10:00:00.000000Z",
            "2026-11-21T10:00:00.000007Z",
            "2026-11-21T10:00:00.999999Z",
            "2026-11-21T10:00:01.120000Z",
            "1969-12-31T23:59:59.500000Z",
            "1970-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(written(text), text);
        }
        assert_eq!(
            written("2026-11-21T10:00:01.1234567Z"),
            "2026-11-21T10:00:01.123456Z"
        );
    }

    #[test]
    fn texts_are_written_as_json_whatever_is_in_them() {
        for text in [
            "",
            "plain",
            "é اسم",
            "a\"b",
            "a\\b",
            "\u{0}\u{1f}\n",
            "\u{7f}\u{2028}",
        ] {
            let mut line = Vec::new();
            string(&mut line, text);
            assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_value_cannot_forge_a_line_of_text() {
        let lines = logged(LogFormat::Text, async {
            tracing::info!(name = "x\n12:00:00 error forged", "hello\nforged");
        })
        .await;
        assert_eq!(lines.lines().count(), 1, "{lines}");
    }
}
