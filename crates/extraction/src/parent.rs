//! The parent: starts a child for each document, feeds it, reads its lines, and kills it when it
//! takes too long or is not wanted any more.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use nix::libc;
use riwaq_clock::SharedClock;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;

use crate::protocol::{Job, LONGEST_LINE, Line};
use crate::{Config, Confinement, ExtractError, Failure, Format, Page, Reason, Summary};

/// How much of what a child complains is kept, in bytes.
const COMPLAINT_BYTES: u64 = 4_096;

/// Reads documents in children, a limited number at a time.
#[derive(Debug)]
pub struct Extractor {
    config: Config,
    places: Semaphore,
    clock: SharedClock,
}

/// What was read of a child so far.
#[derive(Default)]
struct Heard {
    confinement: Option<Confinement>,
    pages: u32,
    last_page: Option<u32>,
    characters: usize,
    end: Option<Option<Failure>>,
}

/// How listening ended.
enum Silence {
    /// The child closed its output.
    Closed,
    /// The child said what only a broken or taken-over one says.
    Stop(Failure),
    Error(ExtractError),
}

impl Extractor {
    /// An extractor that starts `config.program`.
    ///
    /// # Errors
    /// [`ExtractError::Program`] when no program is configured.
    pub fn new(config: Config, clock: SharedClock) -> Result<Self, ExtractError> {
        if config.program.as_os_str().is_empty() {
            return Err(ExtractError::Program("no program is configured".to_owned()));
        }
        let places = Semaphore::new(config.concurrency.max(1));
        Ok(Self {
            config,
            places,
            clock,
        })
    }

    /// Reads a document. Calls `each` for every page as soon as it is there; pages that came
    /// before a failure are good. A long page may come in several pieces with the same number.
    ///
    /// Waits for a free place first. Dropping the future kills the child.
    ///
    /// # Errors
    /// [`ExtractError`] when nothing can be said about the document; whatever is wrong with the
    /// document itself is in [`Summary::failure`].
    pub async fn extract<E: std::fmt::Display>(
        &self,
        format: Format,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
        mut each: impl FnMut(Page) + Send,
    ) -> Result<Summary, ExtractError> {
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|error| ExtractError::Program(error.to_string()))?;
        let mut child = self.start(format)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(complaints)) = pipes else {
            return Err(ExtractError::Program("no pipes".to_owned()));
        };
        let mut heard = Heard::default();
        let mut is_fed = false;
        let talk = async {
            let listen = async {
                // Read along, so that a child that complains a lot does not block.
                let complaint = complaint(complaints);
                tokio::pin!(complaint);
                let listen = self.listen(output, &mut heard, &mut each);
                tokio::pin!(listen);
                let mut said = None;
                let silence = loop {
                    tokio::select! {
                        silence = &mut listen => break silence,
                        complaint = &mut complaint, if said.is_none() => said = Some(complaint),
                    }
                };
                let complaint = match (&silence, said) {
                    (_, Some(said)) => said,
                    (Silence::Closed, None) => complaint.await,
                    // It is not waited for, it is killed.
                    _ => String::new(),
                };
                (silence, complaint)
            };
            let feed = feed(content, input);
            tokio::pin!(listen, feed);
            tokio::select! {
                // A child that ended needs no more content.
                biased;
                listened = &mut listen => Ok(listened),
                fed = &mut feed => {
                    is_fed = true;
                    match fed {
                        Ok(()) => Ok(listen.await),
                        Err(error) => Err(error),
                    }
                }
            }
        };
        let time = Duration::from_secs(self.config.limits.wall_seconds);
        let talked = tokio::select! {
            talked = talk => Some(talked),
            () = self.clock.sleep(time) => None,
        };
        let Some(talked) = talked else {
            kill(&mut child).await?;
            let detail = format!("not done after {} seconds", time.as_secs());
            if !is_fed {
                return Err(ExtractError::Content(detail));
            }
            return Ok(heard.summary(Some(Failure::new(Reason::TimedOut, detail))));
        };
        let (silence, complaint) = talked?;
        let status = match silence {
            Silence::Closed => child.wait().await.map_err(|error| program(&error))?,
            Silence::Stop(failure) => {
                kill(&mut child).await?;
                return Ok(heard.summary(Some(failure)));
            }
            Silence::Error(error) => {
                kill(&mut child).await?;
                return Err(error);
            }
        };
        heard.conclude(status, &complaint)
    }

    fn start(&self, format: Format) -> Result<Child, ExtractError> {
        let job = Job {
            format,
            limits: self.config.limits.clone(),
            require_confinement: self.config.require_confinement,
        };
        let job = serde_json::to_string(&job)
            .map_err(|error| ExtractError::Program(error.to_string()))?;
        Command::new(&self.config.program)
            .args(&self.config.args)
            .arg(job)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                ExtractError::Program(format!("{}: {error}", self.config.program.display()))
            })
    }

    async fn listen(
        &self,
        output: ChildStdout,
        heard: &mut Heard,
        each: &mut (impl FnMut(Page) + Send),
    ) -> Silence {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut output).take(LONGEST_LINE as u64);
            match limited.read_until(b'\n', &mut line).await {
                Ok(0) => return Silence::Closed,
                Ok(_) => {}
                Err(error) => return Silence::Error(program(&error)),
            }
            if line.last() != Some(&b'\n') {
                // Cut off by the child's end, or endless.
                if line.len() < LONGEST_LINE {
                    return Silence::Closed;
                }
                return Silence::Stop(Failure::new(Reason::Broken, "a line without end"));
            }
            let Ok(line) = serde_json::from_slice(&line) else {
                let said = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
                return Silence::Error(ExtractError::Program(format!("it said {said:?}")));
            };
            if let Some(silence) = self.hear(line, heard, each) {
                return silence;
            }
        }
    }

    /// Takes a line; the limits are kept here too, because the child may be taken over.
    fn hear(&self, line: Line, heard: &mut Heard, each: &mut impl FnMut(Page)) -> Option<Silence> {
        let limits = &self.config.limits;
        match line {
            Line::Confined(confinement) => heard.confinement = Some(confinement),
            Line::Unconfined(why) => return Some(Silence::Error(ExtractError::Unconfined(why))),
            Line::End(end) => heard.end = Some(end),
            Line::Page(page) => {
                if page.number > 0 && heard.last_page != Some(page.number) {
                    heard.pages += 1;
                    heard.last_page = Some(page.number);
                }
                let characters = page.blocks.iter().map(|block| block.text.chars().count());
                heard.characters += characters.sum::<usize>();
                if heard.pages > limits.pages {
                    return Some(Silence::Stop(Failure::new(Reason::TooManyPages, "")));
                }
                if heard.characters > limits.characters {
                    return Some(Silence::Stop(Failure::new(Reason::TooLarge, "")));
                }
                each(page);
            }
        }
        None
    }
}

impl Heard {
    fn summary(self, failure: Option<Failure>) -> Summary {
        Summary {
            pages: self.pages,
            failure,
            confinement: self.confinement,
        }
    }

    /// What the end of the child means.
    fn conclude(mut self, status: ExitStatus, complaint: &str) -> Result<Summary, ExtractError> {
        match self.end.take() {
            Some(end) if status.success() => return Ok(self.summary(end)),
            _ if self.confinement.is_none() => {
                let detail = format!("{status}, before it was confined: {complaint}");
                return Err(ExtractError::Program(detail));
            }
            _ => {}
        }
        let reason = match status.signal() {
            Some(libc::SIGXCPU | libc::SIGALRM) => Reason::TimedOut,
            // The kernel's killer for want of memory.
            Some(libc::SIGKILL) => Reason::OutOfMemory,
            _ if complaint.contains("memory allocation") => Reason::OutOfMemory,
            // A panic, a stack overflow, a crash: no document should do this, so it is the
            // document that is wrong.
            _ => Reason::Broken,
        };
        Ok(self.summary(Some(Failure::new(reason, format!("{status}: {complaint}")))))
    }
}

async fn kill(child: &mut Child) -> Result<(), ExtractError> {
    child.kill().await.map_err(|error| program(&error))
}

fn program(error: &std::io::Error) -> ExtractError {
    ExtractError::Program(error.to_string())
}

async fn feed<E: std::fmt::Display>(
    content: impl Stream<Item = Result<Bytes, E>>,
    mut input: ChildStdin,
) -> Result<(), ExtractError> {
    let mut content = std::pin::pin!(content);
    while let Some(chunk) = content.next().await {
        let chunk = chunk.map_err(|error| ExtractError::Content(error.to_string()))?;
        if input.write_all(&chunk).await.is_err() {
            // The child has enough, or is gone; what it says or how it ended tells why.
            return Ok(());
        }
    }
    // What cannot be flushed any more the child did not want.
    let _ = input.shutdown().await;
    Ok(())
}

async fn complaint(output: ChildStderr) -> String {
    let mut bytes = Vec::new();
    let mut output = output.take(COMPLAINT_BYTES);
    // A child that floods this pipe blocks, and is killed in time.
    let _ = output.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
