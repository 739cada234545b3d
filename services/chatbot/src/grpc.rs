//! What other services ask of the assistant.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use riwaq_api::chatbot::v1 as api;
use riwaq_api::chatbot::v1::chatbot_server::{Chatbot, ChatbotServer};
use riwaq_identity::grpc::actor;
use riwaq_identity::{CallerPolicy, Callers, Identity};
use riwaq_kit::Problem;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::answering::{Piece, Question};
use crate::app::App;
use crate::domain::Citation;
use crate::http::check_question;

/// The routes behind the table of who may call them.
pub(crate) fn routes(app: Arc<App>, identity: &Identity) -> Routes {
    callers().protect(Routes::new(ChatbotServer::new(Service { app })), identity)
}

fn callers() -> CallerPolicy {
    CallerPolicy::new().allow(
        "/riwaq.chatbot.v1.Chatbot/Answer",
        Callers::any_service().for_user(),
    )
}

struct Service {
    app: Arc<App>,
}

#[tonic::async_trait]
impl Chatbot for Service {
    async fn answer(
        &self,
        request: Request<api::AnswerRequest>,
    ) -> Result<Response<api::AnswerResponse>, Status> {
        let actor = actor(&request)?;
        let asked = request.into_inner();
        check_question("question", &asked.question, &self.app.config)?;
        let course_id = match asked.course_id.as_str() {
            "" => None,
            id => {
                Some(Uuid::parse_str(id).map_err(|_| Problem::field("course_id", "is not an id"))?)
            }
        };
        let question = Question {
            text: asked.question,
            course_id,
            actor_token: actor.raw_token().to_owned(),
        };
        let limit = Duration::from_secs(self.app.config.answer_timeout_seconds);
        tokio::select! {
            answer = self.collect(question) => Ok(Response::new(answer?)),
            () = self.app.clock.sleep(limit) => Err(Problem::timeout("the answer took too long").into()),
        }
    }
}

impl Service {
    async fn collect(&self, question: Question) -> Result<api::AnswerResponse, Problem> {
        let mut pieces = self.app.answerer.answer(question);
        let mut answer = api::AnswerResponse::default();
        while let Some(piece) = pieces.next().await {
            match piece? {
                Piece::Text(text) => answer.content.push_str(&text),
                Piece::Citation(citation) => answer.citations.push(message(citation)),
                Piece::Done(ended) => {
                    (answer.answered, answer.model) = (ended.answered, ended.model);
                    return Ok(answer);
                }
            }
        }
        Err(Problem::unavailable("the answer ended too early"))
    }
}

fn message(citation: Citation) -> api::Citation {
    api::Citation {
        n: citation.n,
        file_id: citation.file_id.to_string(),
        course_id: citation.course_id.to_string(),
        title: citation.title,
        page: citation.page.unwrap_or_default(),
        quote: citation.quote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_says_who_may_call_it() {
        assert_eq!(callers().gaps(), Vec::<String>::new());
    }
}
