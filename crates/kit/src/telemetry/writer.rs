//! Writes log lines from a thread of its own, many at a time.
//!
//! A request must not wait for the terminal or for a pipe, and a system call a line would be the dearest part
//! of a cheap request. What is written at `error` is flushed at once; other lines wait a few milliseconds.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(10);
/// How much may wait, in bytes; more is dropped and counted, so that a stuck terminal stops nobody.
const CAPACITY: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct LogWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    dropped: u64,
    /// Flushes asked for, and flushes done.
    asked: u64,
    done: u64,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogWriter {
    pub(super) fn start(sink: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || write_lines(&worker, sink))
            .ok();
        Self {
            shared,
            thread: Mutex::new(thread),
        }
    }

    /// Takes one line, with its line end. `urgent` lines are written at once, though not waited for.
    pub(super) fn line(&self, line: &[u8], urgent: bool) {
        let mut state = self.shared.lock();
        if state.lines.len() + line.len() > CAPACITY {
            state.dropped += 1;
            return;
        }
        let sleeping = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        if urgent {
            state.asked += 1;
        }
        drop(state);
        if sleeping || urgent {
            self.shared.wake.notify_one();
        }
    }

    /// Waits until everything taken so far is written.
    pub(super) fn flush(&self) {
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        state.asked += 1;
        let wanted = state.asked;
        self.shared.wake.notify_one();
        let patience = Duration::from_secs(2);
        let _ = self
            .shared
            .written
            .wait_timeout_while(state, patience, |state| {
                state.done < wanted && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

fn write_lines(shared: &Shared, mut sink: impl Write) {
    let mut batch = Vec::new();
    loop {
        let (asked, closed, dropped) = gather(shared, &mut batch);
        // Nowhere to report to when the log itself cannot be written.
        let _ = sink.write_all(&batch);
        if dropped > 0 {
            let _ = writeln!(
                sink,
                r#"{{"level":"warn","message":"log lines dropped","count":{dropped}}}"#
            );
        }
        let _ = sink.flush();
        batch.clear();
        let mut state = shared.lock();
        state.done = asked;
        shared.written.notify_all();
        if closed && state.lines.is_empty() {
            return;
        }
    }
}

/// Waits for lines, then a little for more of them, and takes them all.
fn gather(shared: &Shared, batch: &mut Vec<u8>) -> (u64, bool, u64) {
    let idle =
        |state: &mut State| state.lines.is_empty() && state.asked == state.done && !state.closed;
    let state = shared
        .wake
        .wait_while(shared.lock(), idle)
        .unwrap_or_else(PoisonError::into_inner);
    let unhurried = |state: &mut State| {
        state.asked == state.done && !state.closed && state.lines.len() < CAPACITY / 4
    };
    let (mut state, _) = shared
        .wake
        .wait_timeout_while(state, GATHER, unhurried)
        .unwrap_or_else(PoisonError::into_inner);
    std::mem::swap(&mut state.lines, batch);
    (
        state.asked,
        state.closed,
        std::mem::take(&mut state.dropped),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flush_leaves_every_line_written_in_order() {
        let sink = Sink::default();
        let writer = LogWriter::start(sink.clone());
        let mut expected = String::new();
        for number in 0..1000 {
            let line = format!("line {number}\n");
            writer.line(line.as_bytes(), number % 97 == 0);
            expected.push_str(&line);
        }
        writer.flush();
        assert_eq!(
            String::from_utf8(sink.0.lock().unwrap().clone()).unwrap(),
            expected
        );
    }

    #[test]
    fn what_waits_is_written_when_the_writer_ends() {
        let sink = Sink::default();
        let writer = LogWriter::start(sink.clone());
        writer.line(b"last words\n", false);
        drop(writer);
        assert_eq!(*sink.0.lock().unwrap(), b"last words\n");
    }

    #[test]
    fn a_stuck_terminal_costs_lines_and_not_memory() {
        struct Stuck(Arc<Mutex<()>>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _stuck = self.0.lock().unwrap();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().unwrap();
        let writer = LogWriter::start(Stuck(Arc::clone(&gate)));
        let line = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            writer.line(&line, false);
        }
        let state = writer.shared.lock();
        assert!(state.lines.len() <= CAPACITY);
        assert!(state.dropped >= 20 - 2 * (CAPACITY as u64 >> 20));
        drop(state);
        drop(held);
    }
}
