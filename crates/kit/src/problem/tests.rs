use std::time::Duration;

use axum::response::IntoResponse;
use http::header;
use tonic::Status;

use super::*;

async fn answer(problem: Problem) -> (http::response::Parts, serde_json::Value) {
    let (parts, body) = problem.into_response().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (parts, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_problem_is_answered_as_problem_json_with_its_fields() {
    let (head, body) = answer(Problem::field("title", "is required")).await;
    assert_eq!(head.status, 422);
    assert_eq!(head.headers[header::CONTENT_TYPE], PROBLEM_JSON);
    assert_eq!(body["code"], "validation_failed");
    assert_eq!(body["status"], 422);
    assert_eq!(body["type"], "urn:riwaq:problem:validation_failed");
    assert_eq!(
        body["errors"],
        serde_json::json!([{ "field": "title", "message": "is required" }])
    );
}

#[tokio::test]
async fn the_cause_of_an_internal_error_is_not_in_the_answer() {
    let (head, body) = answer(Problem::internal("password of db is hunter2")).await;
    assert_eq!(head.status, 500);
    assert!(!body.to_string().contains("hunter2"));
}

#[tokio::test]
async fn retry_after_is_rounded_up() {
    let (head, _) = answer(Problem::rate_limited(Duration::from_millis(1200))).await;
    assert_eq!(head.status, 429);
    assert_eq!(head.headers[header::RETRY_AFTER], "2");
    let (head, _) = answer(Problem::rate_limited(Duration::from_millis(3))).await;
    assert_eq!(head.headers[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn whatever_passes_by_itself_says_when_to_come_back_also_over_grpc() {
    for code in Code::ALL {
        let made = Problem::new(*code, "about this one");
        let carried = Problem::from(Status::from(made.clone()));
        for problem in [made, carried] {
            let (head, _) = answer(problem).await;
            let passes = matches!(head.status.as_u16(), 502..=504);
            let says = head.headers.contains_key(header::RETRY_AFTER);
            assert_eq!(says, passes, "{code:?}");
        }
    }
    for foreign in [Status::unavailable("x"), Status::deadline_exceeded("x")] {
        let (head, _) = answer(Problem::from(foreign)).await;
        assert!(head.headers.contains_key(header::RETRY_AFTER));
    }
}

#[test]
fn every_code_survives_grpc_with_its_details() {
    for code in Code::ALL {
        let problem = Problem::new(*code, "about this one")
            .with_errors(vec![FieldError {
                field: "a.b[1]".into(),
                message: "no".into(),
            }])
            .with_retry_after(Duration::from_secs(7));
        let back = Problem::from(Status::from(problem));
        assert_eq!(back.code(), *code);
        assert_eq!(back.detail(), "about this one");
        assert_eq!(back.errors()[0].field, "a.b[1]");
        assert_eq!(back.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[test]
fn the_text_of_a_foreign_status_is_not_passed_on() {
    let problem = Problem::from(Status::not_found("table secret_things has no row"));
    assert_eq!(problem.code(), Code::NotFound);
    assert!(!problem.detail().contains("secret"));
    assert_eq!(
        Problem::from(Status::unauthenticated("bad service token")).code(),
        Code::Internal
    );
}

#[test]
fn an_error_is_written_with_everything_beneath_it() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the course")]
    struct Outer(#[source] std::io::Error);
    let outer = Outer(std::io::Error::other("disk is full"));
    assert_eq!(
        Chain(&outer).to_string(),
        "cannot read the course: disk is full"
    );
}
