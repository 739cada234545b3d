//! Mails of a development installation, for who tries it out and for tests.

use async_trait::async_trait;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use riwaq_kit::{ApiJson, ApiResult, Problem};
use serde::Serialize;

use super::browser::Browser;
use crate::app::Auth;

/// One mail that would have been sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DevMail {
    /// Its id.
    pub id: String,
    /// The reader's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML, if there is one.
    pub html: Option<String>,
    /// Every address in it.
    pub links: Vec<String>,
    /// When it was sent.
    pub at: DateTime<Utc>,
}

/// Where a development installation keeps its mails.
#[async_trait]
pub trait DevMailbox: Send + Sync {
    /// All of them, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn list(&self) -> ApiResult<Vec<DevMail>>;
}

#[derive(Serialize)]
struct Listed {
    items: Vec<DevMail>,
}

/// `GET /dev/mail`: only from the machine itself.
pub(crate) async fn list(State(auth): State<Auth>, browser: Browser) -> ApiResult<Response> {
    let local = browser
        .address()
        .is_none_or(|address| address.to_canonical().is_loopback());
    let Some(mailbox) = auth.mailbox.as_ref().filter(|_| local) else {
        return Err(Problem::not_found("page"));
    };
    Ok(ApiJson(Listed {
        items: mailbox.list().await?,
    })
    .into_response())
}
