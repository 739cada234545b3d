//! The transport within one process.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;

/// Calls `routes` as a socket would: only bytes, headers and trailers cross, and a handler that
/// panics ends its own call, not the caller.
pub(crate) async fn call(
    mut routes: Routes,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    // The router is always ready.
    let answer = AssertUnwindSafe(routes.call(request)).catch_unwind().await;
    let Ok(Ok(mut response)) = answer else {
        return Err(Status::unavailable("the called service panicked"));
    };
    // What a handler leaves in extensions does not cross a socket either.
    response.extensions_mut().clear();
    Ok(response)
}
