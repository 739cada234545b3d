//! Calls of the admin REST interface, with our own token.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CallError;
use crate::http::{Answer, Http};
use crate::token::Tokens;

/// The administration of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    http: Http,
    tokens: Arc<Tokens>,
}

/// Whether a request may be sent again when its outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeatable {
    Yes,
    No,
}

/// A question with its parameters, or a change with its body.
pub(crate) struct Call<'a, Body: Serialize + ?Sized> {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a Body>,
    pub(crate) repeatable: Repeatable,
}

impl Admin {
    pub(crate) fn new(http: Http, tokens: Tokens) -> Self {
        Self {
            http,
            tokens: Arc::new(tokens),
        }
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Signs in, if that is not done.
    pub(crate) async fn sign_in(&self) -> Result<(), CallError> {
        self.tokens.get(&self.http).await.map(|_| ())
    }

    pub(crate) async fn call<Body: Serialize + ?Sized>(
        &self,
        call: Call<'_, Body>,
    ) -> Result<Answer, CallError> {
        let token = self.tokens.get(&self.http).await?;
        match self.once(&call, &token).await {
            Err(error) if error.is(StatusCode::UNAUTHORIZED) => {
                // Refused before its time: keys or secrets have changed there.
                self.tokens.forget(&token).await;
                let token = self.tokens.get(&self.http).await?;
                self.once(&call, &token).await
            }
            outcome => outcome,
        }
    }

    async fn once<Body: Serialize + ?Sized>(
        &self,
        call: &Call<'_, Body>,
        token: &str,
    ) -> Result<Answer, CallError> {
        let mut request = self
            .http
            .request(call.method.clone(), call.path)
            .query(call.query)
            .bearer_auth(token);
        if let Some(body) = call.body {
            request = request.json(body);
        }
        match call.repeatable {
            Repeatable::Yes => self.http.repeat(call.operation, &request).await,
            Repeatable::No => self.http.send(call.operation, request).await,
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let call = Call::<()> {
            operation,
            method: Method::GET,
            path,
            query,
            body: None,
            repeatable: Repeatable::Yes,
        };
        parse(operation, &self.call(call).await?)
    }

    /// `None` for 404.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, CallError> {
        match self.get(operation, path, query).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A change that is harmless when repeated.
    pub(crate) async fn change<Body: Serialize + ?Sized>(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<&Body>,
    ) -> Result<Answer, CallError> {
        let call = Call {
            operation,
            method,
            path,
            query: &[],
            body,
            repeatable: Repeatable::Yes,
        };
        self.call(call).await
    }
}

pub(crate) fn parse<T: DeserializeOwned>(
    operation: &'static str,
    answer: &Answer,
) -> Result<T, CallError> {
    serde_json::from_slice(&answer.body).map_err(|error| CallError::Unreadable {
        operation,
        cause: format!("{} {error}", answer.status),
    })
}
