//! Registration, activation, forgotten passwords.

use axum::extract::State;
use http::StatusCode;
use riwaq_directory::{LoginName, Password};
use riwaq_kit::problem::ProblemBody;
use riwaq_kit::{ApiJson, ApiResult, FieldErrors, Locale, Problem};
use riwaq_mail::Address;

use super::models::{
    Accepted, ActivateRequest, ForgotRequest, RegisterRequest, RegisterResponse, ResetRequest,
};
use crate::app::Auth;
use crate::flows::registration::Registered;
use crate::http::browser::Browser;

const MAX_NAME_CHARS: usize = 100;

/// Registers oneself, where the school allows it. A mail follows.
#[utoipa::path(
    post, path = "/api/auth/register", tag = "auth", request_body = RegisterRequest,
    responses(
        (status = 201, description = "A mail follows; the same for an address that has an account", body = RegisterResponse),
        (status = 400, description = "The body is not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Registration is switched off", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A field does not fit", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        Problem,
    ),
)]
pub(super) async fn register(
    State(auth): State<Auth>,
    browser: Browser,
    ApiJson(request): ApiJson<RegisterRequest>,
) -> ApiResult<(StatusCode, ApiJson<RegisterResponse>)> {
    if !auth.config.registration {
        return Err(Problem::forbidden(
            "registration is switched off; ask the school for an account",
        ));
    }
    let locale = browser.locale(request.locale.as_deref(), auth.config.default_locale);
    let who = checked(request, locale)?;
    let (tasks, flow) = (auth.tasks.clone(), auth.registration.clone());
    let done: ApiResult<()> = tasks.run(async move { flow.register(who).await }).await;
    done?;
    Ok((
        StatusCode::CREATED,
        ApiJson(RegisterResponse { status: "pending" }),
    ))
}

/// Every field that does not fit, in one answer.
fn checked(request: RegisterRequest, locale: Locale) -> ApiResult<Registered> {
    let mut errors = FieldErrors::new();
    errors.line("first_name", &request.first_name, 1, MAX_NAME_CHARS);
    errors.line("last_name", &request.last_name, 1, MAX_NAME_CHARS);
    let wished = request.locale.as_deref();
    errors.check(
        wished.is_none_or(|tag| Locale::from_tag(tag).is_some()),
        "locale",
        "is fr, ar or en",
    );
    let email = request.email.trim().to_owned();
    let name = LoginName::email(&email);
    let deliverable = email.parse::<Address>().is_ok();
    errors.check(
        name.is_ok() && deliverable,
        "email",
        "is not an e-mail address that mail can be sent to",
    );
    let password = Password::new(&request.password);
    errors.check(password.is_ok(), "password", "has 12 to 128 characters");
    errors.finish()?;
    Ok(Registered {
        email,
        name: name?,
        password: password?,
        first_name: request.first_name.trim().to_owned(),
        last_name: request.last_name.trim().to_owned(),
        locale,
    })
}

/// "Validez votre compte": activates an account by a mailed token or a printed code.
#[utoipa::path(
    post, path = "/api/auth/activate", tag = "auth", request_body = ActivateRequest,
    responses(
        (status = 204, description = "The account is active"),
        (status = 400, description = "The body is not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The account was changed at the same moment", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The token is not good, or a password is needed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        Problem,
    ),
)]
pub(super) async fn activate(
    State(auth): State<Auth>,
    ApiJson(request): ApiJson<ActivateRequest>,
) -> ApiResult<StatusCode> {
    let (tasks, flow) = (auth.tasks.clone(), auth.activation.clone());
    let done: ApiResult<()> = tasks
        .run(async move {
            flow.activate(&request.token, request.password.as_deref())
                .await
        })
        .await;
    done.map(|()| StatusCode::NO_CONTENT)
}

/// Asks for a link to set a new password. Always accepted: whether there is an account is not told.
#[utoipa::path(
    post, path = "/api/auth/password/forgot", tag = "auth", request_body = ForgotRequest,
    responses(
        (status = 202, description = "If there is an account, a mail follows", body = Accepted),
        (status = 400, description = "The body is not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A field does not fit", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        Problem,
    ),
)]
pub(super) async fn forgot(
    State(auth): State<Auth>,
    ApiJson(request): ApiJson<ForgotRequest>,
) -> ApiResult<(StatusCode, ApiJson<Accepted>)> {
    let (tasks, flow) = (auth.tasks.clone(), auth.reset.clone());
    let done: ApiResult<()> = tasks
        .run(async move { flow.forgot(&request.email).await })
        .await;
    done?;
    Ok((
        StatusCode::ACCEPTED,
        ApiJson(Accepted { status: "accepted" }),
    ))
}

/// Sets a new password by a mailed token; every session is over.
#[utoipa::path(
    post, path = "/api/auth/password/reset", tag = "auth", request_body = ResetRequest,
    responses(
        (status = 204, description = "The password is set"),
        (status = 400, description = "The body is not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The account was changed at the same moment", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The token or the password does not fit", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        Problem,
    ),
)]
pub(super) async fn reset(
    State(auth): State<Auth>,
    ApiJson(request): ApiJson<ResetRequest>,
) -> ApiResult<StatusCode> {
    let (tasks, flow) = (auth.tasks.clone(), auth.reset.clone());
    let done: ApiResult<()> = tasks
        .run(async move { flow.reset(&request.token, &request.password).await })
        .await;
    done.map(|()| StatusCode::NO_CONTENT)
}
