//! The connections beneath the SDK.
//!
//! A client of our own, because a connection of the SDK's keeps as much of an answer in memory as hyper takes by itself,
//! 1.2 MiB, and a hundred people who read slowly need that a hundred times.

mod connecting;

use std::error::Error;
use std::io;
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::{BoxError, ConnectorError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::retry::ErrorKind;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{
    CaptureConnection, HttpConnector as TcpConnector, capture_connection,
};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::connecting::Timely;

use crate::{Config, OpenError};

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How much of an answer a connection reads before somebody wants it, in bytes; its head must fit.
const BUFFER: usize = 64 << 10;

/// The SDK's HTTP client: HTTP/1.1, pooled, over TLS where the endpoint says so.
pub(crate) fn client(config: &Config) -> Result<SharedHttpClient, OpenError> {
    let transport = SharedHttpConnector::new(Transport::new(config)?);
    Ok(http_client_fn(move |_, _| transport.clone()))
}

/// One pool of connections.
#[derive(Debug)]
struct Transport(legacy::Client<Timely<HttpsConnector<TcpConnector>>, SdkBody>);

impl Transport {
    fn new(config: &Config) -> Result<Self, OpenError> {
        let tls = riwaq_trust::client(config.ca_file.as_deref());
        let tls = tls.map_err(|error| OpenError::Config {
            field: "ca_file",
            reason: error.to_string(),
        })?;
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let limit = Duration::from_millis(config.connect_timeout_ms);
        // By which it goes on to the next address of a name.
        tcp.set_connect_timeout(Some(limit));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connector = Timely::new(connector, limit);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(BUFFER)
            .build(connector);
        Ok(Self(client))
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let captured = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || connection(&captured));
        }
        let answering = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answering.await.map_err(classified)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// What lets the SDK have a connection closed, over which a server said that it is not well: the next try must not meet the
/// same one of several servers.
fn connection(captured: &CaptureConnection) -> Option<ConnectionMetadata> {
    captured.connection_metadata().as_ref()?;
    let captured = captured.clone();
    let close = move || {
        if let Some(connection) = captured.connection_metadata().as_ref() {
            connection.poison();
        }
    };
    let connection = ConnectionMetadata::builder().proxied(false);
    Some(connection.poison_fn(close).build())
}

/// As the SDK wants to know it: what is the connection's fault may be tried again.
fn classified(error: legacy::Error) -> ConnectorError {
    let of_hyper = beneath::<hyper::Error>(&error);
    let is = |question: fn(&hyper::Error) -> bool| of_hyper.is_some_and(question);
    let of_io = beneath::<io::Error>(&error).map(io::Error::kind);
    let class = if is(hyper::Error::is_timeout) || of_io == Some(io::ErrorKind::TimedOut) {
        ConnectorError::timeout
    } else if is(hyper::Error::is_user) {
        ConnectorError::user
    } else if is(hyper::Error::is_incomplete_message) {
        |error: BoxError| ConnectorError::other(error, Some(ErrorKind::TransientError))
    } else if error.is_connect()
        || is(|error| error.is_closed() || error.is_canceled())
        || of_io.is_some()
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

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a server of the test, which ends with its runtime"
)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    async fn asked(
        transport: &Transport,
        url: &str,
        capture: &CaptureSmithyConnection,
    ) -> Result<u16, ConnectorError> {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(url).expect("a URL");
        request.add_extension(capture.clone());
        let answer = transport.call(request).await?;
        Ok(answer.status().as_u16())
    }

    fn transport(connect_timeout_ms: u64) -> Transport {
        let config = Config {
            connect_timeout_ms,
            ..Config::default()
        };
        Transport::new(&config).expect("a transport")
    }

    /// Answers 503 to everything and keeps its connections; counts them.
    async fn unwell(connections: Arc<AtomicUsize>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let (reader, mut writer) = stream.split();
                    let mut lines = BufReader::new(reader).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        if line.is_empty() {
                            let answer = b"HTTP/1.1 503 Unwell\r\ncontent-length: 0\r\n\r\n";
                            writer.write_all(answer).await.expect("written");
                        }
                    }
                });
            }
        });
        url
    }

    #[tokio::test]
    async fn a_connection_that_the_sdk_gives_up_is_not_used_again() {
        let connections = Arc::<AtomicUsize>::default();
        let url = unwell(Arc::clone(&connections)).await;
        let transport = transport(2_000);
        for made in [1, 1] {
            let capture = CaptureSmithyConnection::new();
            assert_eq!(asked(&transport, &url, &capture).await.ok(), Some(503));
            assert_eq!(connections.load(Ordering::Relaxed), made);
        }
        let capture = CaptureSmithyConnection::new();
        assert_eq!(asked(&transport, &url, &capture).await.ok(), Some(503));
        capture.get().expect("a connection").poison();
        assert_eq!(asked(&transport, &url, &capture).await.ok(), Some(503));
        assert_eq!(connections.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_handshake_that_does_not_go_on_is_silence_and_ends_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}/", listener.local_addr().expect("an address"));
        let began = Instant::now();
        let capture = CaptureSmithyConnection::new();
        let refused = asked(&transport(100), &url, &capture).await;
        let error = refused.expect_err("nobody answered");
        assert!(error.is_timeout(), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
