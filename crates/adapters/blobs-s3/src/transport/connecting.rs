//! Making a connection in bounded time, the handshake of TLS included.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::error::BoxError;
use futures::future::BoxFuture;
use hyper::Uri;
use tower::Service;

/// Another connector, within a limit.
#[derive(Clone, Debug)]
pub(super) struct Timely<C> {
    connector: C,
    limit: Duration,
}

impl<C> Timely<C> {
    pub(super) fn new(connector: C, limit: Duration) -> Self {
        Self { connector, limit }
    }
}

impl<C> Service<Uri> for Timely<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.connector.call(uri), self.limit);
        Box::pin(async move {
            let Ok(connected) = tokio::time::timeout(limit, connecting).await else {
                let why = format!("no connection in {} ms", limit.as_millis());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why).into());
            };
            connected.map_err(Into::into)
        })
    }
}
