//! Signing in with a browser: out to the issuer and back.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, header};
use riwaq_identity::{Actor, Refused};
use riwaq_kit::{ApiQuery, Code, Problem};
use serde::{Deserialize, Serialize};
use url::Url;

use super::cookie::Cookie;
use super::issuer::{Begun, IssuerError, MOST_WAITS, NEXT_SECOND, RefreshError, Tokens};
use crate::gateway::Gateway;
use crate::pages::trouble::Trouble;

/// How long somebody may take at the sign-in page, in seconds.
const PATIENCE_SECONDS: u64 = 1800;
/// What the cookie of a begun sign-in is sealed for.
const PURPOSE: &[u8] = b"sign-in";

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginParams {
    return_to: Option<String>,
}

/// What the issuer sends along when it sends somebody back. More may be there (`session_state`, `iss`).
#[derive(Debug, Deserialize)]
pub(crate) struct CallbackParams {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// What the browser keeps for us while somebody is at the sign-in page, sealed. Kept there and not here, so that
/// nobody can fill our store, and so that a sign-in ends in the browser in which it began.
#[derive(Serialize, Deserialize)]
struct SignIn {
    begun: Begun,
    return_to: String,
    /// Seconds since 1970.
    until: i64,
}

/// Begin to sign in
///
/// Sends the browser to the issuer's page; it comes back to the callback.
#[utoipa::path(
    get, path = "/api/auth/session/login", tag = "session", operation_id = "begin_session",
    params(("return_to" = Option<String>, Query, description = "A path of this site, such as `/courses?scope=mine`; `/` when absent")),
    responses((status = 303, description = "To the issuer's sign-in page"), Problem),
    security(())
)]
pub(crate) async fn login(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ApiQuery(params): ApiQuery<LoginParams>,
) -> Result<Response, Problem> {
    let return_to = params.return_to.unwrap_or_else(|| "/".to_owned());
    let return_to = own_path(&gateway.public_url, &return_to)
        .ok_or_else(|| Problem::field("return_to", "must be a path of this site"))?;
    let sessions = &gateway.sessions;
    let (url, begun) = match sessions.issuer().begin().await {
        Ok(begun) => begun,
        Err(error) => {
            let page = &gateway.trouble;
            return Ok(page.answer(Trouble::Away, error.into(), &headers, &return_to));
        }
    };
    let until = gateway.clock.now().timestamp() + PATIENCE_SECONDS.cast_signed();
    let sign_in = serde_json::to_vec(&SignIn {
        begun,
        return_to,
        until,
    })
    .map_err(Problem::internal)?;
    let sealed = sessions
        .keys()
        .seal(PURPOSE, &sign_in)
        .map_err(Problem::internal)?;
    let cookie = gateway
        .cookies
        .set(Cookie::SignIn, &encode(&sealed), PATIENCE_SECONDS);
    Ok(leaving(url.as_str(), [cookie]))
}

/// Come back from the issuer
///
/// Where the issuer sends the browser after signing in. Not for programs.
#[utoipa::path(
    get, path = "/api/auth/session/callback", tag = "session", operation_id = "finish_session",
    params(("code" = Option<String>, Query), ("state" = Option<String>, Query), ("error" = Option<String>, Query)),
    responses((status = 303, description = "Signed in; to `return_to`"), Problem),
    security(())
)]
pub(crate) async fn callback(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ApiQuery(params): ApiQuery<CallbackParams>,
) -> Result<Response, Problem> {
    let trouble = |trouble, problem: Problem, return_to: &str| {
        gateway
            .trouble
            .answer(trouble, problem, &headers, return_to)
    };
    let Some(sign_in) = begun(&gateway, &headers, params.state.as_deref()) else {
        let problem = Problem::invalid_request(
            "this sign-in did not begin in this browser, or too long ago; begin again",
        );
        return Ok(trouble(Trouble::Expired, problem, "/"));
    };
    let clear = gateway.cookies.clear(Cookie::SignIn);
    if let Some(error) = params.error {
        tracing::info!(error, "the issuer did not sign somebody in");
        return Ok(leaving(&sign_in.return_to, [clear]));
    }
    let code = params
        .code
        .ok_or_else(|| Problem::field("code", "is required"))?;
    let exchanged = gateway
        .sessions
        .issuer()
        .exchange(code, sign_in.begun)
        .await;
    let accepted = match exchanged {
        Ok(tokens) => accepted(&gateway, tokens).await,
        Err(error @ IssuerError::Away(_)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(cause = %error, "a code was not exchanged");
            Err(incomplete())
        }
    };
    let (actor, tokens) = match accepted {
        Ok(accepted) => accepted,
        Err(problem) => {
            let why = match problem.code() {
                Code::Unavailable => Trouble::Away,
                _ => Trouble::Incomplete,
            };
            return Ok(trouble(why, problem, &sign_in.return_to));
        }
    };
    let id = gateway.sessions.begin(actor.id(), tokens).await?;
    let session = gateway.cookies.set(
        Cookie::Session,
        &id.to_text(),
        gateway.sessions.longest_seconds(),
    );
    Ok(leaving(&sign_in.return_to, [session, clear]))
}

fn incomplete() -> Problem {
    let detail = "the sign-in could not be completed; begin again";
    Problem::new(Code::Unauthenticated, detail)
}

/// Tokens that every verifier takes, and whose they are: these, or after a revocation those of one of the next seconds.
async fn accepted(gateway: &Gateway, mut tokens: Tokens) -> Result<(Actor, Tokens), Problem> {
    let mut waits = 0;
    loop {
        let refused = match gateway.identity.actor(&tokens.access_token).await {
            Ok(actor) => return Ok((actor, tokens)),
            Err(refused) => refused,
        };
        let waitable = refused == Refused::Revoked && waits < MOST_WAITS;
        let Some(refresh) = tokens.refresh_token.take().filter(|_| waitable) else {
            return Err(refused.into());
        };
        waits += 1;
        gateway.clock.sleep(NEXT_SECOND).await;
        let renewed = gateway.sessions.issuer().refresh(&refresh).await;
        let mut renewed = renewed.map_err(|error| match error {
            RefreshError::Unavailable(error) => error.into(),
            RefreshError::Refused => incomplete(),
        })?;
        renewed.id_token = renewed.id_token.or(tokens.id_token);
        tokens = renewed;
    }
}

fn begun(gateway: &Gateway, headers: &HeaderMap, state: Option<&str>) -> Option<SignIn> {
    let sealed = decode(gateway.cookies.get(headers, Cookie::SignIn)?)?;
    let plain = gateway.sessions.keys().open(PURPOSE, &sealed).ok()?;
    let sign_in: SignIn = serde_json::from_slice(&plain).ok()?;
    // The cookie itself is secret: a comparison that takes its time would protect nothing.
    let fits = state == Some(sign_in.begun.state.as_str())
        && gateway.clock.now().timestamp() < sign_in.until;
    fits.then_some(sign_in)
}

fn leaving<const N: usize>(to: &str, cookies: [Option<HeaderValue>; N]) -> Response {
    let mut response = Redirect::to(to).into_response();
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `text` as a path of our own site, if it is one, however a browser may read it.
fn own_path(public_url: &Url, text: &str) -> Option<String> {
    let plain = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['\\', '\t', '\n', '\r']);
    let url = public_url
        .join(text)
        .ok()
        .filter(|url| plain && url.origin() == public_url.origin())?;
    let path = &url[url::Position::BeforePath..];
    (!path.starts_with("//")).then(|| path.to_owned())
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_back_to_this_site_only() {
        let site = Url::parse("https://riwaq.example.edu").unwrap();
        for good in ["/", "/courses?scope=mine#x", "/a/../b"] {
            assert!(own_path(&site, good).is_some(), "{good}");
        }
        for bad in [
            "",
            "x",
            "//evil.example",
            "https://evil.example/",
            "/\\evil.example",
            "/\t/evil.example",
            "\\\\evil",
            "javascript:alert(1)",
            "/..//evil.example",
            "/.//evil.example",
            "/\r\nSet-Cookie: a=b",
        ] {
            assert_eq!(own_path(&site, bad), None, "{bad}");
        }
    }
}
