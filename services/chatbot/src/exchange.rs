//! One question and its answer.
//!
//! The answer is given by a task of its own, which tells the caller through a channel. When nobody
//! listens any more it stops. What it has done by then stays: the question, and an answer that was
//! complete. Under an idempotency key a repetition goes on from there: same question, same ids.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use riwaq_aggregates::{Begun as Key, Recorded, Ticket, request_hash};
use riwaq_identity::Actor;
use riwaq_kit::{IdempotencyKey, Problem, new_id};
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::answering::{Piece, Question};
use crate::app::App;
use crate::domain::{Answer, Citation, answer_id};
use crate::records::{ConversationRow, MessageRow};

/// Pieces that may wait for a slow reader.
const BUFFER: usize = 32;

/// What the caller is told.
#[derive(Debug)]
pub(crate) enum Told {
    Text(String),
    Citation(Citation),
    /// The answer is kept; nothing comes after it.
    Done(Answer),
    /// There is no answer; nothing comes after it.
    Failed {
        problem: Problem,
        /// Its body, with the trace of the request.
        body: Value,
    },
}

/// A question that was taken.
pub(crate) enum Begun {
    /// It was answered before: this was the answer.
    Known(Answer),
    /// The answer is on its way. Dropping the receiver stops it.
    Running(mpsc::Receiver<Told>),
}

/// What is asked, as it was checked.
#[derive(Debug, Clone)]
pub(crate) struct NewQuestion {
    pub(crate) conversation_id: Uuid,
    pub(crate) content: String,
    pub(crate) course_id: Option<Uuid>,
}

/// Writes the question down and begins to answer it.
pub(crate) async fn begin(
    app: &Arc<App>,
    actor: &Actor,
    asked: NewQuestion,
    key: Option<&IdempotencyKey>,
) -> Result<Begun, Problem> {
    let mut ticket = match key {
        None => None,
        Some(key) => match app
            .idempotency
            .begin(actor.id(), key.as_str(), hash(&asked))
            .await?
        {
            Key::Finished(recorded) => return known(&recorded),
            Key::Started(ticket) => Some(ticket),
        },
    };
    let question_id = ticket
        .as_ref()
        .map_or_else(|| new_id(app.clock.as_ref()), Ticket::effect_id);
    let taking = take(app, actor, &asked, question_id);
    match under(app, &mut ticket, taking).await {
        Ok(Taken::Answered(answer)) => {
            end(app, ticket, Some(&answer)).await;
            Ok(Begun::Known(answer))
        }
        Ok(Taken::Open(row, question)) => {
            let (caller, told) = mpsc::channel(BUFFER);
            let question_text = Question {
                text: asked.content,
                course_id: asked.course_id,
                actor_token: actor.raw_token().to_owned(),
            };
            let exchange = Exchange {
                app: Arc::clone(app),
                row,
                question,
                ticket,
                caller,
            };
            let pieces = app.answerer.answer(question_text);
            app.tasks.spawn("answer", exchange.run(pieces));
            Ok(Begun::Running(told))
        }
        Err(problem) => {
            if problem.is_refusal() {
                release(app, ticket).await;
            } else {
                end(app, ticket, None).await;
            }
            Err(problem)
        }
    }
}

fn hash(asked: &NewQuestion) -> [u8; 32] {
    let course = asked.course_id.map(|id| id.to_string()).unwrap_or_default();
    request_hash(&[
        b"POST",
        asked.conversation_id.as_bytes(),
        asked.content.as_bytes(),
        course.as_bytes(),
    ])
}

fn known(recorded: &Recorded) -> Result<Begun, Problem> {
    serde_json::from_str(&recorded.body)
        .map(Begun::Known)
        .map_err(Problem::internal)
}

/// Works while the key, where there is one, is ours, and shows that the request goes on.
async fn under<T, E: From<Problem>>(
    app: &App,
    ticket: &mut Option<Ticket>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(ticket) = ticket else {
        return work.await;
    };
    let held = app.idempotency.hold(ticket, work).await;
    held.map_err(Problem::from)?
}

enum Taken {
    /// An earlier attempt got as far as the answer.
    Answered(Answer),
    Open(ConversationRow, MessageRow),
}

/// Writes the question, or finds it where an earlier attempt wrote it.
async fn take(
    app: &App,
    actor: &Actor,
    asked: &NewQuestion,
    question_id: Uuid,
) -> Result<Taken, Problem> {
    let conversation = app
        .conversations
        .read(actor.id(), asked.conversation_id)
        .await?;
    let find = |id: Uuid| {
        conversation
            .messages
            .iter()
            .find(|message| message.message_id == id)
            .cloned()
    };
    if let Some(answer) = find(answer_id(question_id)).and_then(MessageRow::into_answer) {
        return Ok(Taken::Answered(answer));
    }
    let question = match find(question_id) {
        Some(question) => question,
        None => {
            app.conversations
                .ask(&conversation, question_id, &asked.content, asked.course_id)
                .await?
        }
    };
    Ok(Taken::Open(conversation.row, question))
}

/// With an answer: it is recorded. Without: the key stays open for a repetition.
async fn end(app: &App, ticket: Option<Ticket>, answer: Option<&Answer>) {
    let Some(ticket) = ticket else { return };
    let body = answer.and_then(|answer| serde_json::to_string(answer).ok());
    let ended = match body {
        Some(body) => {
            app.idempotency
                .finish(
                    ticket,
                    &Recorded {
                        status: 200,
                        headers: Vec::new(),
                        body,
                    },
                )
                .await
        }
        None => app.idempotency.suspend(ticket).await,
    };
    if let Err(error) = ended {
        // A repetition finds the question and the answer by their ids.
        tracing::warn!(%error, "an idempotency key was not ended");
    }
}

async fn release(app: &App, ticket: Option<Ticket>) {
    let Some(ticket) = ticket else { return };
    if let Err(error) = app.idempotency.release(ticket).await {
        tracing::warn!(%error, "an idempotency key was not released");
    }
}

/// An answer being given.
struct Exchange {
    app: Arc<App>,
    row: ConversationRow,
    question: MessageRow,
    ticket: Option<Ticket>,
    caller: mpsc::Sender<Told>,
}

/// Why an answer was not given to its end.
enum Cut {
    /// Nobody listens.
    Stopped,
    Failed(Problem),
}

impl From<Problem> for Cut {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl Exchange {
    async fn run(mut self, pieces: BoxStream<'static, Result<Piece, Problem>>) {
        let limit = Duration::from_secs(self.app.config.answer_timeout_seconds);
        let clock = Arc::clone(&self.app.clock);
        let mut ticket = self.ticket.take();
        let outcome = tokio::select! {
            biased;
            () = self.caller.closed() => Err(Cut::Stopped),
            outcome = under(&self.app, &mut ticket, self.relay(pieces)) => outcome,
            () = clock.sleep(limit) => Err(Cut::Failed(Problem::timeout("the answer took too long"))),
        };
        let label = match outcome {
            Ok(answer) => self.keep(ticket, answer).await,
            Err(Cut::Stopped) => {
                end(&self.app, ticket, None).await;
                "stopped"
            }
            Err(Cut::Failed(problem)) => {
                end(&self.app, ticket, None).await;
                self.fail(problem).await
            }
        };
        metrics::counter!("riwaq_chatbot_answers_total", "outcome" => label).increment(1);
    }

    /// Tells the pieces as they come; gives the whole.
    async fn relay(
        &self,
        mut pieces: BoxStream<'static, Result<Piece, Problem>>,
    ) -> Result<Answer, Cut> {
        let (mut content, mut citations) = (String::new(), Vec::new());
        while let Some(piece) = pieces.next().await {
            let told = match piece.map_err(Cut::Failed)? {
                Piece::Text(text) => {
                    content.push_str(&text);
                    Told::Text(text)
                }
                Piece::Citation(citation) => {
                    citations.push(citation.clone());
                    Told::Citation(citation)
                }
                Piece::Done(ended) => {
                    return Ok(Answer {
                        message_id: answer_id(self.question.message_id),
                        content,
                        citations,
                        model: ended.model,
                        answered: ended.answered,
                        prompt_tokens: ended.prompt_tokens,
                        completion_tokens: ended.completion_tokens,
                    });
                }
            };
            self.caller.send(told).await.map_err(|_| Cut::Stopped)?;
        }
        Err(Cut::Failed(Problem::unavailable(
            "the answer ended too early",
        )))
    }

    /// Writes the answer, then says that it is done.
    async fn keep(&self, mut ticket: Option<Ticket>, answer: Answer) -> &'static str {
        let conversations = &self.app.conversations;
        let keeping = conversations.answer(&self.row, &self.question, answer.clone());
        if let Err(problem) = under(&self.app, &mut ticket, keeping).await {
            end(&self.app, ticket, None).await;
            return self.fail(problem).await;
        }
        end(&self.app, ticket, Some(&answer)).await;
        let label = if answer.answered {
            "answered"
        } else {
            "unanswered"
        };
        // Whoever does not listen finds it in the conversation.
        let _gone = self.caller.send(Told::Done(answer)).await;
        label
    }

    async fn fail(&self, problem: Problem) -> &'static str {
        let body = serde_json::to_value(problem.body()).unwrap_or_default();
        let _gone = self.caller.send(Told::Failed { problem, body }).await;
        "failed"
    }
}
