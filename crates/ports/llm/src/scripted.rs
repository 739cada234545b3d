//! A model that answers by script: for tests of what is built on a model.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;

use crate::error::{LlmError, Result};
use crate::request::ChatRequest;
use crate::{ChatEvent, ChatStream, Completion, Finish, LanguageModel};

const MODEL: &str = "scripted";

/// How a scripted answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Done,
    /// It breaks off.
    BreakOff,
    /// It never ends by itself.
    Hang,
}

/// One answer. A token is one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The pieces, in order.
    pub pieces: Vec<String>,
    /// What comes after them.
    pub ending: Ending,
}

impl Script {
    /// These pieces, then a proper end.
    #[must_use]
    pub fn saying<T: Into<String>>(pieces: impl IntoIterator<Item = T>) -> Self {
        Self {
            pieces: pieces.into_iter().map(Into::into).collect(),
            ending: Ending::Done,
        }
    }

    /// The same pieces with another end.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

/// Answers each request with the next script. Clones share scripts and counts.
#[derive(Debug, Clone, Default)]
pub struct ScriptedModel {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    requests: Mutex<Vec<ChatRequest>>,
    running: AtomicUsize,
    down: Mutex<Option<String>>,
}

impl ScriptedModel {
    /// A model that gives these answers, one each.
    #[must_use]
    pub fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        let model = Self::default();
        scripts.into_iter().for_each(|script| model.push(script));
        model
    }

    /// One more answer, after those before it.
    pub fn push(&self, script: Script) {
        self.shared
            .scripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(script);
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ChatRequest> {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Answers that have begun and neither ended nor been dropped.
    #[must_use]
    pub fn running(&self) -> usize {
        self.shared.running.load(Ordering::SeqCst)
    }

    /// From now on nobody is there, for this reason; none: somebody is.
    pub fn set_down(&self, reason: Option<&str>) {
        *self
            .shared
            .down
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = reason.map(ToOwned::to_owned);
    }

    fn check_up(&self) -> Result<()> {
        let down = self
            .shared
            .down
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        down.map_or(Ok(()), |reason| Err(LlmError::Unavailable(reason)))
    }
}

/// Counts as running until it is dropped.
struct Running(Arc<Shared>);

impl Running {
    fn new(shared: Arc<Shared>) -> Self {
        shared.running.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the script becomes under the request's limits.
fn events(script: Script, request: &ChatRequest) -> Vec<Result<ChatEvent>> {
    let max_tokens = usize::try_from(request.max_tokens).unwrap_or(usize::MAX);
    let cut = script.pieces.len() > max_tokens;
    let mut pieces: Vec<String> = script.pieces.into_iter().take(max_tokens).collect();
    let stopped = stop_at(&mut pieces, &request.stop);
    let completion_tokens = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    let said = request
        .messages
        .iter()
        .map(|message| message.content.as_str())
        .chain(request.system.as_deref());
    let prompt_tokens = u32::try_from(
        said.map(|text| text.split_whitespace().count())
            .sum::<usize>(),
    );
    let mut events: Vec<_> = pieces
        .into_iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| Ok(ChatEvent::Text(piece)))
        .collect();
    match script.ending {
        Ending::BreakOff if !cut && !stopped => {
            events.push(Err(LlmError::Interrupted("by script".to_owned())))
        }
        Ending::Hang if !cut && !stopped => {}
        _ => events.push(Ok(ChatEvent::Done(Completion {
            model: request.model.clone().unwrap_or_else(|| MODEL.to_owned()),
            finish: if cut && !stopped {
                Finish::Length
            } else {
                Finish::Stop
            },
            prompt_tokens: prompt_tokens.unwrap_or(u32::MAX),
            completion_tokens,
        }))),
    }
    events
}

/// Cuts the text before the first stop string; true when there was one.
fn stop_at(pieces: &mut Vec<String>, stops: &[String]) -> bool {
    let whole = pieces.concat();
    let Some(end) = stops
        .iter()
        .filter_map(|stop| whole.find(stop.as_str()))
        .min()
    else {
        return false;
    };
    let mut left = end;
    for piece in pieces.iter_mut() {
        piece.truncate(left.min(piece.len()));
        left -= piece.len();
    }
    pieces.retain(|piece| !piece.is_empty());
    true
}

#[async_trait]
impl LanguageModel for ScriptedModel {
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream> {
        request.validate()?;
        self.check_up()?;
        if let Some(model) = request.model.as_deref().filter(|model| *model != MODEL) {
            return Err(LlmError::UnknownModel(model.to_owned()));
        }
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        let script = self
            .shared
            .scripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let script =
            script.ok_or_else(|| LlmError::Unavailable("the script is at its end".to_owned()))?;
        let hangs = script.ending == Ending::Hang;
        let events = events(script, &request);
        let ends = matches!(events.last(), Some(Ok(ChatEvent::Done(_)) | Err(_)));
        let running = Running::new(Arc::clone(&self.shared));
        let said = stream::iter(events);
        let rest = if hangs && !ends {
            stream::pending().boxed()
        } else {
            stream::empty().boxed()
        };
        Ok(said
            .chain(rest)
            .map(move |event| {
                let _until_dropped = &running;
                event
            })
            .boxed())
    }

    async fn models(&self) -> Result<Vec<String>> {
        self.check_up()?;
        Ok(vec![MODEL.to_owned()])
    }

    async fn ping(&self) -> Result<()> {
        self.check_up()
    }
}
