//! HTTP as a stranger speaks it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// How long consumers may take on a machine that has much else to do: a hundred documents wait for one reader.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came back, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads all of it.
    pub(crate) async fn read(response: reqwest::Response) -> Result<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        Ok(Self {
            status,
            headers,
            body: response.bytes().await?.to_vec(),
        })
    }

    /// The body as JSON; `null` where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, empty where it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as JSON when the status is `status`.
    ///
    /// # Errors
    /// When it is another; the error shows the answer.
    pub fn expect(&self, status: u16) -> Result<Value> {
        if self.status != status {
            bail!(
                "{status} was expected, {} came: {}",
                self.status,
                self.text()
            );
        }
        Ok(self.json())
    }

    /// Asserts the problem that api.md promises: its status, media type and code.
    ///
    /// # Errors
    /// When anything of it is missing.
    pub fn expect_problem(&self, status: u16, code: &str) -> Result<Value> {
        let problem = self.expect(status)?;
        let media_type = self.header("content-type");
        if !media_type.starts_with("application/problem+json") {
            bail!("a problem must be application/problem+json, not {media_type:?}");
        }
        for field in ["type", "title", "status", "code", "trace_id"] {
            if problem[field].is_null() {
                bail!("the problem has no {field}: {problem}");
            }
        }
        if problem["code"] != code {
            bail!("code {code} was expected: {problem}");
        }
        Ok(problem)
    }
}

/// A client with or without a token.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

impl Client {
    /// An anonymous client of the program at `base`. Redirects are not followed.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self::build(base, reqwest::Client::builder())
    }

    /// One that opens a connection for each request: what balances connections balances its requests.
    #[must_use]
    pub fn unpooled(base: &str) -> Self {
        Self::build(base, reqwest::Client::builder().pool_max_idle_per_host(0))
    }

    fn build(base: &str, http: reqwest::ClientBuilder) -> Self {
        // The client wants a TLS provider to be installed, also for plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = http
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap_or_default();
        Self {
            base: base.trim_end_matches('/').into(),
            token: None,
            http,
        }
    }

    /// The same, with a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.into()),
            ..self.clone()
        }
    }

    /// The token that it sends.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// Signs in with a password.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn sign_in(&self, login: &str, password: &str) -> Result<Self> {
        let answer = self
            .post(
                "/api/auth/login",
                &json!({"email": login, "password": password}),
            )
            .await?;
        let tokens = answer
            .expect(200)
            .with_context(|| format!("signing in as {login}"))?;
        Ok(self.with_token(tokens["access_token"].as_str().unwrap_or_default()))
    }

    /// A request to be built further. `path` is a path of the program, or a whole address.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") {
            path.into()
        } else {
            format!("{}{path}", self.base)
        };
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends what was built.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        Answer::read(request.send().await?).await
    }

    /// GET.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// PUT with a JSON body.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// PATCH with a JSON body.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    /// Uploads a file to a course.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn upload(
        &self,
        course: &str,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Answer> {
        let form = multipart(name, media_type, bytes)?;
        let path = format!("/api/courses/{course}/files");
        self.send(self.request(Method::POST, &path).multipart(form))
            .await
    }

    /// Asks until `accept` takes an answer of 200; consumers work after the answer that caused them.
    ///
    /// # Errors
    /// When two minutes pass first; the error shows the last answer.
    pub async fn poll(&self, path: &str, accept: impl Fn(&Value) -> bool) -> Result<Value> {
        self.poll_within(PATIENCE, path, accept).await
    }

    /// The same within a time of the caller's.
    ///
    /// # Errors
    /// When that passes first.
    pub async fn poll_within(
        &self,
        limit: Duration,
        path: &str,
        accept: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let started = std::time::Instant::now();
        loop {
            let answer = self.get(path).await?;
            let json = answer.json();
            if answer.status == StatusCode::OK.as_u16() && accept(&json) {
                return Ok(json);
            }
            if started.elapsed() > limit {
                bail!(
                    "{path} did not become what was waited for: {} {json}",
                    answer.status
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A multipart form with one field `file`.
///
/// # Errors
/// When the media type is none.
pub fn multipart(name: &str, media_type: &str, bytes: &[u8]) -> Result<reqwest::multipart::Form> {
    let part = reqwest::multipart::Part::bytes(bytes.to_vec())
        .file_name(name.to_owned())
        .mime_str(media_type)?;
    Ok(reqwest::multipart::Form::new().part("file", part))
}
