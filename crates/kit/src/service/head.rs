//! The outermost layer of a listener: refuses heads of requests that are too large before anything else looks
//! at them, and gives every answer the service's finishing touch.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::IntoResponse;
use futures::future::BoxFuture;
use http::{Request, Response};
use tower::{Layer, Service};

use super::Finish;
use crate::code::Code;
use crate::problem::Problem;

/// How long an address may be, in bytes.
const MAX_URI: usize = 8 << 10;

#[derive(Clone)]
pub(super) struct HeadLayer {
    pub(super) max_bytes: usize,
    pub(super) finish: Option<Finish>,
}

impl<S> Layer<S> for HeadLayer {
    type Service = HeadService<S>;

    fn layer(&self, inner: S) -> HeadService<S> {
        HeadService {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct HeadService<S> {
    inner: S,
    layer: HeadLayer,
}

impl<S> Service<Request<Body>> for HeadService<S>
where
    S: Service<Request<Body>, Error = Infallible>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let finish = self.layer.finish.clone();
        let refused = check(&request, self.layer.max_bytes).err();
        let answer = match refused {
            Some(problem) => Err(problem),
            None => Ok(self.inner.call(request)),
        };
        Box::pin(async move {
            let mut response = match answer {
                Ok(answer) => answer.await?.into_response(),
                Err(problem) => problem.into_response(),
            };
            if let Some(finish) = finish {
                finish(&mut response);
            }
            Ok(response)
        })
    }
}

fn check(request: &Request<Body>, max_bytes: usize) -> Result<(), Problem> {
    let uri_bytes = request
        .uri()
        .path_and_query()
        .map_or(0, |part| part.as_str().len());
    if uri_bytes > MAX_URI {
        return Err(Problem::new(
            Code::UriTooLong,
            format!("at most {MAX_URI} bytes"),
        ));
    }
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if headers > max_bytes {
        return Err(Problem::new(
            Code::HeadersTooLarge,
            format!("at most {max_bytes} bytes"),
        ));
    }
    Ok(())
}
