//! One HTTP service behind one type: an axum router in the same process, or a client to another.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use tower::util::{BoxCloneSyncService, ServiceExt};

/// Why an HTTP service could not be asked.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers requests; callers cannot tell where it runs. Cheap to clone.
#[derive(Clone)]
pub struct HttpService(Arc<dyn Call>);

trait Call: Send + Sync {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>>;
}

impl HttpService {
    /// A router in this process: requests and answers pass by value, nothing is serialised.
    #[must_use]
    pub fn local(router: Router) -> Self {
        Self(Arc::new(Local(router)))
    }

    /// Any other service.
    #[must_use]
    pub fn new<S>(service: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        Self(Arc::new(Boxed(service.map_err(Into::into))))
    }

    /// Asks it.
    ///
    /// # Errors
    /// Whatever kept it from answering; a local router always answers.
    pub async fn call(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        self.0.call(request).await
    }

    /// The same as a tower service.
    #[must_use]
    pub fn into_tower(self) -> BoxCloneSyncService<Request<Body>, Response<Body>, BoxError> {
        BoxCloneSyncService::new(tower::service_fn(move |request| self.0.call(request)))
    }
}

impl std::fmt::Debug for HttpService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpService")
    }
}

struct Local(Router);

impl Call for Local {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        let router = self.0.clone();
        Box::pin(async move {
            match router.oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        })
    }
}

struct Boxed<S>(S);

impl<S> Call for Boxed<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        Box::pin(self.0.clone().oneshot(request))
    }
}
