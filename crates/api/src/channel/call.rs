//! One call from end to end: the order of the layers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method as HttpMethod, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::sync::OwnedSemaphorePermit;
use tonic::body::Body;
use tonic::{Code, Status};

use super::attempt::{self, Answer};
use super::body::{AnswerBody, Limit};
use super::{Core, TokenSource, identity, retry};
use crate::deadline::{self, Deadline};
use crate::methods::{self, Method};

/// gRPC puts five bytes before each message.
const FRAME_HEADER: usize = 5;

pub(crate) async fn run(
    core: &Core,
    tokens: Option<&Arc<dyn TokenSource>>,
    actor: Option<&HeaderValue>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let method = methods::method(request.uri().path());
    let label = method.map_or("other", |method| method.name);
    let started = core.clock.monotonic();
    let call = Call {
        core,
        tokens,
        actor,
        method,
    };
    let outcome = call.run(request).await;
    let code = outcome.as_ref().map_or_else(Status::code, attempt::code);
    let taken = core.clock.monotonic().saturating_sub(started);
    metrics::histogram!(
        "riwaq_grpc_client_seconds",
        "service" => Arc::clone(&core.name), "method" => label, "code" => code_label(code),
    )
    .record(taken.as_secs_f64());
    outcome
}

struct Call<'a> {
    core: &'a Core,
    tokens: Option<&'a Arc<dyn TokenSource>>,
    actor: Option<&'a HeaderValue>,
    method: Option<Method>,
}

impl Call<'_> {
    async fn run(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let unary = self.method.is_none_or(|method| method.is_unary());
        let whole = Duration::from_millis(self.core.policy.deadline_ms);
        let asked = deadline::parse(request.headers());
        let timeout = [
            asked,
            deadline::inherited(),
            (self.core.context.time_left)(),
        ]
        .into_iter()
        .flatten()
        .fold(whole, Duration::min);
        let deadline = Deadline::after(&self.core.clock, timeout);

        let permit = deadline
            .race(Arc::clone(&self.core.permits).acquire_owned())
            .await?;
        let permit = permit.map_err(|_| Status::unavailable("the channel is closed"))?;
        let message = self.take_message(request, &deadline).await?;
        let answer = self
            .attempts(
                message,
                &deadline,
                timeout >= whole,
                unary || asked.is_some(),
            )
            .await?;
        let limit = if unary || asked.is_some() {
            Limit::Total(deadline)
        } else {
            Limit::Idle(
                Arc::clone(&self.core.clock),
                Duration::from_secs(self.core.policy.stream_idle_seconds),
            )
        };
        Ok(finish(answer, limit, permit))
    }

    /// Reads the request's only message, so that it can be measured and sent again; a stream of
    /// messages goes through as it comes.
    async fn take_message(
        &self,
        request: Request<Body>,
        deadline: &Deadline,
    ) -> Result<Message, Status> {
        let (parts, body) = request.into_parts();
        if self.method.is_some_and(|method| method.client_streaming) {
            return Ok(Message {
                parts,
                body: MessageBody::Stream(body),
            });
        }
        let largest = self
            .core
            .policy
            .max_message_bytes
            .saturating_add(FRAME_HEADER);
        let bytes = deadline.race(Limited::new(body, largest).collect()).await?;
        let bytes = bytes.map_err(|error| match error.downcast::<Status>() {
            Ok(status) => *status,
            Err(_) => Status::resource_exhausted(format!(
                "the message is larger than {} bytes",
                self.core.policy.max_message_bytes
            )),
        })?;
        Ok(Message {
            parts,
            body: MessageBody::Whole(bytes.to_bytes()),
        })
    }

    async fn attempts(
        &self,
        mut message: Message,
        deadline: &Deadline,
        patient: bool,
        announce: bool,
    ) -> Result<Answer, Status> {
        let policy = &self.core.policy.retry;
        let repeatable = self.method.is_some_and(|method| method.idempotent) && message.is_whole();
        self.core.budget.earn();
        let mut number = 1;
        let mut token_renewed = false;
        let mut tried = Vec::new();
        loop {
            let (request, token) = self.prepare(&mut message, deadline, announce).await?;
            let before = deadline.remaining();
            let outcome = attempt::send(self.core, request, deadline, patient, &mut tried).await;
            let code = outcome
                .as_ref()
                .map_or_else(Status::code, |answer| attempt::code(&answer.response));
            if let (Code::Unauthenticated, Some(token), Some(tokens), false) =
                (code, &token, self.tokens, token_renewed)
            {
                // Refused before anything was done: worth one try with another token.
                tokens.refused(token);
                token_renewed = true;
                if message.is_whole() {
                    continue;
                }
            }
            let left = deadline.remaining();
            let again = code == Code::Unavailable
                && repeatable
                && number < policy.max_attempts
                // One that takes as long again would end as an unknown outcome, where this one says that nothing was done.
                && before.saturating_sub(left) < left;
            if !again || !self.core.budget.take() {
                return outcome;
            }
            number += 1;
            metrics::counter!("riwaq_grpc_client_retries_total", "service" => Arc::clone(&self.core.name)).increment(1);
            drop(outcome);
            deadline
                .race(self.core.clock.sleep(retry::backoff(policy, number)))
                .await?;
        }
    }

    /// A request for one attempt: identities, trace context, and the time that is left.
    async fn prepare(
        &self,
        message: &mut Message,
        deadline: &Deadline,
        announce: bool,
    ) -> Result<(Request<Body>, Option<Arc<str>>), Status> {
        let mut request = message.request();
        let headers = request.headers_mut();
        let token = deadline
            .race(identity::attach(headers, self.tokens, self.actor))
            .await??;
        (self.core.context.inject)(headers);
        if announce {
            headers.insert(
                deadline::GRPC_TIMEOUT,
                deadline::format(deadline.remaining()),
            );
        }
        Ok((request, token))
    }
}

/// The request as the typed client made it. Its extensions are left behind: they would not cross a
/// socket.
struct Message {
    parts: Parts,
    body: MessageBody,
}

enum MessageBody {
    Whole(Bytes),
    Stream(Body),
}

impl Message {
    fn is_whole(&self) -> bool {
        matches!(self.body, MessageBody::Whole(_))
    }

    fn request(&mut self) -> Request<Body> {
        let body = match &mut self.body {
            MessageBody::Whole(bytes) => Body::new(Full::new(bytes.clone())),
            MessageBody::Stream(body) => std::mem::take(body),
        };
        let mut request = Request::new(body);
        *request.method_mut() = HttpMethod::clone(&self.parts.method);
        *request.uri_mut() = Uri::clone(&self.parts.uri);
        *request.version_mut() = self.parts.version;
        *request.headers_mut() = HeaderMap::clone(&self.parts.headers);
        request
    }
}

fn finish(answer: Answer, limit: Limit, permit: OwnedSemaphorePermit) -> Response<Body> {
    let Answer { response, place } = answer;
    response.map(|body| Body::new(AnswerBody::new(body, limit, place, permit)))
}

fn code_label(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
