//! The way to the issuer.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Method, Request, header};
use openidconnect::{HttpRequest, HttpResponse};
use riwaq_kit::HttpService;
use url::Url;

use super::{Inner, IssuerError, away, said};

/// How long one of its answers may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How large one of its answers may be.
const MAX_ANSWER: usize = 1 << 20;

impl Inner {
    /// The issuer by our own way to it, for `openidconnect`. Follows no redirects.
    pub(super) fn http_client(
        &self,
    ) -> impl Fn(HttpRequest) -> futures::future::BoxFuture<'static, Result<HttpResponse, IssuerError>>
    {
        let http = self.http.clone();
        move |request| Box::pin(ask(http.clone(), request.map(Body::from)))
    }

    pub(super) async fn post(
        &self,
        url: &Url,
        mut form: Vec<(&'static str, String)>,
    ) -> Result<(), IssuerError> {
        form.push(("client_id", self.config.client_id.clone()));
        if let Some(secret) = &self.config.client_secret {
            form.push(("client_secret", secret.expose().to_owned()));
        }
        let body = serde_urlencoded::to_string(form).map_err(said)?;
        let request = Request::builder().method(Method::POST).uri(url.as_str());
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = ask(
            self.http.clone(),
            request.body(Body::from(body)).map_err(said)?,
        )
        .await?;
        // What the server blames on itself is away already.
        if answer.status().is_client_error() {
            return Err(said(format!("it answered {}", answer.status())));
        }
        Ok(())
    }
}

async fn ask(http: HttpService, mut request: Request<Body>) -> Result<HttpResponse, IssuerError> {
    riwaq_kit::context::inject(request.headers_mut());
    let answer = async {
        let answer = http.call(request).await.map_err(away)?;
        let (head, body) = answer.into_parts();
        let body = to_bytes(body, MAX_ANSWER).await.map_err(away)?;
        if head.status.is_server_error() {
            return Err(away(format!("it answered {}", head.status)));
        }
        Ok(http::Response::from_parts(head, body.to_vec()))
    };
    let in_time = tokio::time::timeout(PATIENCE, answer).await;
    in_time.unwrap_or_else(|_| Err(away("it did not answer in time")))
}
