//! Ids and names in paths.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::code::Code;
use crate::problem::Problem;

/// The parameters of the path. What is malformed cannot exist: 404.
#[derive(Debug, Clone, Copy)]
pub struct ApiPath<T>(pub T);

impl<T, S> FromRequestParts<S> for ApiPath<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(value) =
            Path::<T>::from_request_parts(parts, state)
                .await
                .map_err(|rejection| {
                    use axum::response::IntoResponse;
                    let text = rejection.body_text();
                    if rejection.into_response().status().is_server_error() {
                        // A handler whose parameters do not match its route.
                        return Problem::internal(text);
                    }
                    Problem::new(Code::NotFound, "no such address")
                })?;
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::{Request, StatusCode};
    use tower::ServiceExt;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_malformed_id_is_not_found() {
        let router = Router::new().route(
            "/things/{id}",
            get(async |ApiPath(id): ApiPath<Uuid>| id.to_string()),
        );
        let status = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap().status()
        };
        assert_eq!(
            status("/things/018f0000-0000-7000-8000-000000000001").await,
            StatusCode::OK
        );
        for bad in [
            "/things/1",
            "/things/%00",
            "/things/%ff",
            "/things/..%2f..%2fetc",
        ] {
            assert_eq!(status(bad).await, StatusCode::NOT_FOUND, "{bad}");
        }
    }
}
