//! One attempt at one address, and what it says about that address.

use std::sync::Arc;

use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

use super::Core;
use super::balance::{Endpoint, Place, Transport};
use super::local;
use crate::deadline::Deadline;

/// An answer, with its place at the address that gave it.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) place: Place,
}

/// Sends `request` once. `UNAVAILABLE` of any origin counts against the address, and so does a
/// deadline that gave it the time that the policy means it to have (`patient`). The address is added to `tried`.
pub(crate) async fn send(
    core: &Core,
    request: Request<Body>,
    deadline: &Deadline,
    patient: bool,
    tried: &mut Vec<Arc<Endpoint>>,
) -> Result<Answer, Status> {
    let mut place = deadline.race(core.balancer.pick(tried)).await??;
    tried.push(Arc::clone(&place.endpoint));
    let transport = place.endpoint.transport.clone();
    let sent = deadline.race(transmit(transport, request)).await;
    let outcome = sent.and_then(|answer| answer);
    match outcome {
        Ok(response) if code(&response) == Code::Unavailable => {
            place.failed();
            Ok(Answer { response, place })
        }
        Ok(response) => {
            place.succeeded();
            Ok(Answer { response, place })
        }
        Err(status) => {
            if status.code() == Code::Unavailable
                || (patient && status.code() == Code::DeadlineExceeded)
            {
                place.failed();
            }
            Err(status)
        }
    }
}

async fn transmit(transport: Transport, request: Request<Body>) -> Result<Response<Body>, Status> {
    match transport {
        Transport::Local(routes) => local::call(routes, request).await,
        Transport::Remote(mut channel) => {
            let ready = channel.ready().await.map_err(lost)?;
            ready.call(request).await.map_err(lost)
        }
    }
}

/// A connection that failed says `UNAVAILABLE`, whatever the library calls it.
fn lost(error: tonic::transport::Error) -> Status {
    match Status::try_from_error(Box::new(error)) {
        Ok(status)
            if !matches!(
                status.code(),
                Code::Unknown | Code::Internal | Code::Cancelled
            ) =>
        {
            status
        }
        Ok(status) => Status::unavailable(format!("connection lost: {}", status.message())),
        Err(error) => Status::unavailable(format!("connection lost: {error}")),
    }
}

/// The code that an answer says before its body; a unary method that fails says it there.
pub(crate) fn code(response: &Response<Body>) -> Code {
    match response.headers().get("grpc-status") {
        Some(value) => Code::from_bytes(value.as_bytes()),
        None if response.status().is_success() => Code::Ok,
        // By the specification's table: a proxy or a server that is going away.
        None => match response.status().as_u16() {
            429 | 502..=504 => Code::Unavailable,
            _ => Code::Unknown,
        },
    }
}
