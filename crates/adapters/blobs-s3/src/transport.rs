//! The connections beneath the SDK.
//!
//! A client of our own, because a connection of the SDK's keeps as much of an answer in memory as hyper takes by itself,
//! 1.2 MiB, and a hundred people who read slowly need that a hundred times.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::{BoxError, ConnectorError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::retry::ErrorKind;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::{Config, OpenError};

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How much of an answer a connection reads before somebody wants it, in bytes; its head must fit.
const BUFFER: usize = 64 << 10;

/// The SDK's HTTP client: HTTP/1.1, pooled, over TLS where the endpoint says so.
pub(crate) fn client(config: &Config) -> Result<SharedHttpClient, OpenError> {
    let tls = riwaq_trust::client(config.ca_file.as_deref());
    let tls = tls.map_err(|error| OpenError::Config {
        field: "ca_file",
        reason: error.to_string(),
    })?;
    let mut tcp = TcpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_millis(config.connect_timeout_ms)));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(BUFFER)
        .build(connector);
    let transport = SharedHttpConnector::new(Transport(client));
    Ok(http_client_fn(move |_, _| transport.clone()))
}

/// One pool of connections.
#[derive(Debug)]
struct Transport(legacy::Client<HttpsConnector<TcpConnector>, SdkBody>);

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answering = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answering.await.map_err(classified)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// As the SDK wants to know it: what is the connection's fault may be tried again.
fn classified(error: legacy::Error) -> ConnectorError {
    let of_hyper = beneath::<hyper::Error>(&error);
    let is = |question: fn(&hyper::Error) -> bool| of_hyper.is_some_and(question);
    let class = if is(hyper::Error::is_timeout) {
        ConnectorError::timeout
    } else if is(hyper::Error::is_user) {
        ConnectorError::user
    } else if is(hyper::Error::is_incomplete_message) {
        |error: BoxError| ConnectorError::other(error, Some(ErrorKind::TransientError))
    } else if error.is_connect()
        || is(|error| error.is_closed() || error.is_canceled())
        || beneath::<std::io::Error>(&error).is_some()
    {
        ConnectorError::io
    } else {
        |error: BoxError| ConnectorError::other(error, None)
    };
    class(error.into())
}

fn beneath<E: Error + 'static>(error: &legacy::Error) -> Option<&E> {
    let first = error as &(dyn Error + 'static);
    std::iter::successors(Some(first), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}
