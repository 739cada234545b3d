//! What every adapter of the port must pass.
//!
//! The other end is scripted too: the model itself, or a server that the adapter talks to.
#![expect(clippy::unwrap_used, reason = "the suite runs in tests")]

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::join_all;

use crate::{
    ChatEvent, ChatMessage, ChatRequest, Completion, Ending, Finish, LanguageModel, LlmError,
    Result, Script, limits,
};

/// An adapter and the scripted other end of it. Its only model is the adapter's configured one.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The adapter.
    fn model(&self) -> Arc<dyn LanguageModel>;
    /// The next request that has no script yet gets this answer.
    fn will_answer(&self, script: Script);
    /// What the other end was asked, as it came there.
    fn asked(&self) -> Vec<Asked>;
    /// Answers that the other end is still giving.
    fn running(&self) -> usize;
    /// Takes the other end away.
    async fn take_down(&self);
}

/// A request as it came to the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The system text.
    pub system: Option<String>,
    /// The conversation.
    pub messages: Vec<ChatMessage>,
    /// The limit of the answer.
    pub max_tokens: u32,
}

/// Makes an adapter whose other end has been asked nothing yet.
#[async_trait]
pub trait Factory: Send + Sync {
    /// A fresh one.
    async fn fresh(&self) -> Box<dyn Fixture>;
}

type Test = for<'f> fn(&'f dyn Fixture) -> Pin<Box<dyn Future<Output = ()> + Send + 'f>>;

/// Every test, by name.
pub const TESTS: &[(&str, Test)] = &[
    ("an answer arrives whole and in order", |f| {
        Box::pin(whole(f))
    }),
    ("an empty answer is an answer", |f| Box::pin(empty(f))),
    ("characters of every script are never cut", |f| {
        Box::pin(characters(f))
    }),
    ("the model is asked what was to be asked", |f| {
        Box::pin(asked(f))
    }),
    ("tokens are counted", |f| Box::pin(counts(f))),
    ("an answer ends at its limit", |f| Box::pin(length(f))),
    ("an answer ends before a stop string", |f| Box::pin(stop(f))),
    (
        "an answer that breaks off is an error after what has come",
        |f| Box::pin(broken(f)),
    ),
    ("dropping the stream frees the model", |f| {
        Box::pin(dropped(f))
    }),
    ("many answers at once are not mixed", |f| Box::pin(many(f))),
    ("bad requests are refused by field and never asked", |f| {
        Box::pin(refused(f))
    }),
    ("an unknown model is named", |f| Box::pin(unknown_model(f))),
    ("a model that is away is said to be", |f| Box::pin(down(f))),
];

/// Runs every test on a fresh fixture.
///
/// # Panics
/// When a test fails; the names of those before it are printed.
#[expect(
    clippy::print_stdout,
    reason = "the list of tests that passed is part of the output"
)]
pub async fn run(adapter: &str, factory: &dyn Factory) {
    for (name, test) in TESTS {
        test(&*factory.fresh().await).await;
        println!("conformance: llm/{adapter}/{name} ok");
    }
}

/// No test waits longer for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn question(text: &str) -> ChatRequest {
    ChatRequest::new(vec![ChatMessage::user(text)])
}

/// Every item until the stream ends.
async fn events(fixture: &dyn Fixture, request: ChatRequest) -> Vec<Result<ChatEvent>> {
    let stream = fixture.model().chat(request).await.unwrap();
    tokio::time::timeout(PATIENCE, stream.collect())
        .await
        .unwrap()
}

fn parts(events: Vec<Result<ChatEvent>>) -> (Vec<String>, Completion) {
    let mut texts = Vec::new();
    let mut done = None;
    for event in events {
        assert!(done.is_none(), "something came after the end");
        match event.unwrap() {
            ChatEvent::Text(text) => texts.push(text),
            ChatEvent::Done(completion) => done = Some(completion),
        }
    }
    assert!(texts.iter().all(|text| !text.is_empty()), "{texts:?}");
    (texts, done.unwrap())
}

async fn answer(fixture: &dyn Fixture, request: ChatRequest) -> (String, Completion) {
    let (texts, done) = parts(events(fixture, request).await);
    (texts.concat(), done)
}

async fn whole(fixture: &dyn Fixture) {
    let pieces: Vec<String> = (0..300).map(|n| format!("word{n} ")).collect();
    fixture.will_answer(Script::saying(pieces.clone()));
    let (text, done) = answer(fixture, question("Tell me")).await;
    assert_eq!(text, pieces.concat());
    assert_eq!(done.finish, Finish::Stop);
    assert!(!done.model.is_empty());
}

async fn empty(fixture: &dyn Fixture) {
    fixture.will_answer(Script::saying([""; 0]));
    let (text, done) = answer(fixture, question("Say nothing")).await;
    assert_eq!((text.as_str(), done.finish), ("", Finish::Stop));
}

async fn characters(fixture: &dyn Fixture) {
    let pieces = [
        "مرح",
        "با بك",
        " é",
        "🎓",
        "e\u{301}",
        "\u{0}",
        "\"\\\n\r\t",
        "data: x\n\n",
        "[DONE]",
    ];
    fixture.will_answer(Script::saying(pieces));
    let (text, _) = answer(fixture, question("؟")).await;
    assert_eq!(text, pieces.concat());
}

async fn asked(fixture: &dyn Fixture) {
    fixture.will_answer(Script::saying(["ok"]));
    let messages = vec![
        ChatMessage::user("Première"),
        ChatMessage::assistant("réponse"),
        ChatMessage::user("سؤال \"ثان\"\n"),
    ];
    let request = ChatRequest {
        system: Some("Answer in French.".into()),
        max_tokens: 77,
        ..ChatRequest::new(messages.clone())
    };
    answer(fixture, request).await;
    let expected = Asked {
        system: Some("Answer in French.".to_owned()),
        messages,
        max_tokens: 77,
    };
    assert_eq!(fixture.asked(), [expected]);
}

async fn counts(fixture: &dyn Fixture) {
    fixture.will_answer(Script::saying(["a ", "b ", "c"]));
    let (_, done) = answer(fixture, question("one two three four")).await;
    assert_eq!(done.completion_tokens, 3);
    assert!(done.prompt_tokens >= 4, "{done:?}");
}

async fn length(fixture: &dyn Fixture) {
    fixture.will_answer(Script::saying(["a", "b", "c", "d", "e"]));
    let (text, done) = answer(
        fixture,
        ChatRequest {
            max_tokens: 3,
            ..question("Count")
        },
    )
    .await;
    assert_eq!((text.as_str(), done.finish), ("abc", Finish::Length));
}

async fn stop(fixture: &dyn Fixture) {
    fixture.will_answer(Script::saying(["one", " tw", "o EN", "D three"]));
    let (text, done) = answer(
        fixture,
        ChatRequest {
            stop: vec!["END".into()],
            ..question("Count")
        },
    )
    .await;
    assert_eq!((text.as_str(), done.finish), ("one two ", Finish::Stop));
}

async fn broken(fixture: &dyn Fixture) {
    fixture.will_answer(Script::saying(["half ", "an "]).ending(Ending::BreakOff));
    let mut events = events(fixture, question("Tell me")).await;
    let last = events.pop().unwrap();
    assert!(matches!(last, Err(LlmError::Interrupted(_))), "{last:?}");
    let texts: String = events
        .into_iter()
        .map(|event| {
            if let ChatEvent::Text(text) = event.unwrap() {
                text
            } else {
                panic!()
            }
        })
        .collect();
    assert_eq!(texts, "half an ");
}

async fn dropped(fixture: &dyn Fixture) {
    fixture.will_answer(Script::saying(["begun"]).ending(Ending::Hang));
    let mut stream = fixture
        .model()
        .chat(question("Talk for ever"))
        .await
        .unwrap();
    let first = tokio::time::timeout(PATIENCE, stream.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(first, ChatEvent::Text("begun".to_owned()));
    assert_eq!(fixture.running(), 1);
    drop(stream);
    let freed = async {
        while fixture.running() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.unwrap();
}

async fn many(fixture: &dyn Fixture) {
    // Which request gets which script is open; that each answer is one script's is not.
    let scripts: Vec<Vec<String>> = (0..20).map(|n| vec![format!("<{n}>"); 30]).collect();
    scripts
        .iter()
        .for_each(|pieces| fixture.will_answer(Script::saying(pieces.clone())));
    let mut texts: Vec<String> =
        join_all((0..20).map(|n| answer(fixture, question(&n.to_string()))))
            .await
            .into_iter()
            .map(|(text, _)| text)
            .collect();
    let mut expected: Vec<String> = scripts.into_iter().map(|pieces| pieces.concat()).collect();
    texts.sort();
    expected.sort();
    assert_eq!(texts, expected);
}

async fn refused(fixture: &dyn Fixture) {
    let good = question("x");
    let long = "x".repeat(limits::MAX_REQUEST_BYTES + 1);
    let user = |text: &str| ChatMessage::user(text);
    let cases = [
        (
            "messages",
            ChatRequest {
                messages: vec![],
                ..good.clone()
            },
        ),
        (
            "messages",
            ChatRequest {
                messages: vec![user("")],
                ..good.clone()
            },
        ),
        (
            "messages",
            ChatRequest {
                messages: vec![user("x"), ChatMessage::assistant("y")],
                ..good.clone()
            },
        ),
        (
            "messages",
            ChatRequest {
                messages: vec![user("x"); limits::MAX_MESSAGES + 1],
                ..good.clone()
            },
        ),
        ("messages", question(&long)),
        (
            "messages",
            ChatRequest {
                system: Some(long.clone()),
                ..good.clone()
            },
        ),
        (
            "max_tokens",
            ChatRequest {
                max_tokens: 0,
                ..good.clone()
            },
        ),
        (
            "max_tokens",
            ChatRequest {
                max_tokens: limits::MAX_TOKENS + 1,
                ..good.clone()
            },
        ),
        (
            "temperature",
            ChatRequest {
                temperature: f32::NAN,
                ..good.clone()
            },
        ),
        (
            "temperature",
            ChatRequest {
                temperature: -0.1,
                ..good.clone()
            },
        ),
        (
            "stop",
            ChatRequest {
                stop: vec![String::new()],
                ..good.clone()
            },
        ),
        (
            "model",
            ChatRequest {
                model: Some(" ".into()),
                ..good.clone()
            },
        ),
        (
            "model",
            ChatRequest {
                model: Some("a\nb".into()),
                ..good
            },
        ),
    ];
    for (expected, request) in cases {
        match fixture.model().chat(request).await.map(drop) {
            Err(LlmError::InvalidInput { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert_eq!(fixture.asked(), []);
}

async fn unknown_model(fixture: &dyn Fixture) {
    fixture.will_answer(Script::saying(["x"]));
    let request = ChatRequest {
        model: Some("no-such-model".into()),
        ..question("x")
    };
    let refused = fixture.model().chat(request).await.map(drop);
    assert_eq!(
        refused,
        Err(LlmError::UnknownModel("no-such-model".to_owned()))
    );
    let models = fixture.model().models().await.unwrap();
    assert!(!models.is_empty() && !models.contains(&"no-such-model".to_owned()));
    let known = ChatRequest {
        model: models.into_iter().next(),
        ..question("x")
    };
    assert_eq!(answer(fixture, known).await.0, "x");
}

async fn down(fixture: &dyn Fixture) {
    fixture.model().ping().await.unwrap();
    fixture.take_down().await;
    for outcome in [
        fixture.model().ping().await,
        fixture.model().models().await.map(drop),
        fixture.model().chat(question("x")).await.map(drop),
    ] {
        assert!(
            matches!(outcome, Err(LlmError::Unavailable(_))),
            "{outcome:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScriptedModel;

    #[async_trait]
    impl Fixture for ScriptedModel {
        fn model(&self) -> Arc<dyn LanguageModel> {
            Arc::new(self.clone())
        }

        fn will_answer(&self, script: Script) {
            self.push(script);
        }

        fn asked(&self) -> Vec<Asked> {
            let asked = |request: ChatRequest| Asked {
                system: request.system,
                messages: request.messages,
                max_tokens: request.max_tokens,
            };
            self.requests().into_iter().map(asked).collect()
        }

        fn running(&self) -> usize {
            ScriptedModel::running(self)
        }

        async fn take_down(&self) {
            self.set_down(Some("by the suite"));
        }
    }

    struct Fresh;

    #[async_trait]
    impl Factory for Fresh {
        async fn fresh(&self) -> Box<dyn Fixture> {
            Box::new(ScriptedModel::default())
        }
    }

    #[tokio::test]
    async fn the_scripted_model_passes_the_suite() {
        run("scripted", &Fresh).await;
    }
}
