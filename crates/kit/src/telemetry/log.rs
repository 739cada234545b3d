//! Log lines: one JSON object each, with the trace id and a keyed hash that stands for the user.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use chrono::SecondsFormat;
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

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
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
        let time = self
            .clock
            .now()
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        // Writing to memory does not fail, here and below.
        let _ = write!(
            line,
            r#"{{"time":"{time}","level":"{}","target":"#,
            level(*meta.level())
        );
        string(line, meta.target());
        event.record(&mut JsonFields(line));
        if let Some(trace) = context::current() {
            let _ = write!(line, r#","trace_id":"{:032x}""#, trace.trace_id);
        }
        if let Some(user) = context::current_user() {
            let _ = write!(line, r#","user":"{}""#, self.users.of(user));
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
    let _ = serde_json::to_writer(line, text);
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
        let _ = write!(self.0, "{value}");
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        let _ = write!(self.0, "{value}");
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
struct UserHash(hmac::Key);

impl UserHash {
    fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn of(&self, user: Uuid) -> String {
        hex::encode(&hmac::sign(&self.0, user.as_bytes()).as_ref()[..8])
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
        let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
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
        assert_eq!(hash, UserHash::new(b"key").of(user));
        assert_ne!(hash, UserHash::new(b"other").of(user));
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
