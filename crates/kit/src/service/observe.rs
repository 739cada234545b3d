//! One log line, two metrics and one span for every request.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::MatchedPath;
use http::Method;
use metrics::{Counter, Histogram};
use opentelemetry::KeyValue;
use riwaq_clock::SharedClock;

use crate::context::{self, Scope};
use crate::telemetry::traces::Step;

/// The status that stands for a client that went away before the answer.
const CLIENT_CLOSED: u16 = 499;

/// Counts the requests of one service. Handles of metrics are looked up once for each route: asking the
/// recorder for them at every request would cost more than the rest of this layer.
pub(super) struct Observer {
    service: &'static str,
    clock: SharedClock,
    routes: RwLock<HashMap<Box<str>, Vec<RouteMetrics>>>,
}

struct RouteMetrics {
    method: Method,
    seconds: Histogram,
    by_status: Vec<(u16, Counter)>,
}

/// A request that is being served.
pub(super) struct Observation {
    observer: Arc<Observer>,
    started: Duration,
    method: Method,
    pub(super) route: Route,
    step: Step,
    /// The scope of the request, where its end is seen outside of it.
    scope: Option<Scope>,
    finished: bool,
}

/// What the request is for, with few enough values to be a label.
#[derive(Clone)]
pub(super) enum Route {
    Rest(MatchedPath),
    Grpc(Box<str>),
    Label(&'static str),
    Unmatched,
}

/// Put into the extensions of an answer by a service that routes by other means than axum's: what the request
/// was for, in few enough words to be a label of metrics.
#[derive(Debug, Clone, Copy)]
pub struct RouteLabel(pub &'static str);

impl Route {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Rest(path) => path.as_str(),
            Self::Grpc(path) => path,
            Self::Label(label) => label,
            Self::Unmatched => "unmatched",
        }
    }

    const fn is_grpc(&self) -> bool {
        matches!(self, Self::Grpc(_))
    }
}

impl Observer {
    pub(super) fn new(service: &'static str, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            service,
            clock,
            routes: RwLock::default(),
        })
    }

    pub(super) fn begin(
        self: &Arc<Self>,
        method: &Method,
        route: Route,
        step: Step,
    ) -> Observation {
        Observation {
            observer: Arc::clone(self),
            started: self.clock.monotonic(),
            method: known(method),
            route,
            step,
            scope: None,
            finished: false,
        }
    }

    fn count(&self, method: &Method, route: &Route, status: u16, taken: Duration) {
        let seconds = taken.as_secs_f64();
        {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            let of_method = routes
                .get(route.as_str())
                .and_then(|all| all.iter().find(|one| one.method == *method));
            let counter =
                of_method.and_then(|one| one.by_status.iter().find(|(known, _)| *known == status));
            if let (Some(one), Some((_, counter))) = (of_method, counter) {
                counter.increment(1);
                one.seconds.record(seconds);
                return;
            }
        }
        self.register(method, route, status, seconds);
    }

    fn register(&self, method: &Method, route: &Route, status: u16, seconds: f64) {
        let (service, name) = (self.service, route.as_str().to_owned());
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let all = routes.entry(name.as_str().into()).or_default();
        let at = all.iter().position(|one| one.method == *method).unwrap_or_else(|| {
            let label = method.as_str().to_owned();
            let seconds = if route.is_grpc() {
                metrics::histogram!("riwaq_grpc_request_seconds", "service" => service, "method" => name.clone())
            } else {
                metrics::histogram!(
                    "riwaq_http_request_seconds", "service" => service, "method" => label, "route" => name.clone()
                )
            };
            all.push(RouteMetrics { method: method.clone(), seconds, by_status: Vec::new() });
            all.len() - 1
        });
        let one = &mut all[at];
        let label = method.as_str().to_owned();
        let counter = if route.is_grpc() {
            let code = status.to_string();
            metrics::counter!("riwaq_grpc_requests_total", "service" => service, "method" => name, "code" => code)
        } else {
            let status = status.to_string();
            metrics::counter!(
                "riwaq_http_requests_total",
                "service" => service, "method" => label, "route" => name, "status" => status
            )
        };
        counter.increment(1);
        one.seconds.record(seconds);
        one.by_status.push((status, counter));
    }
}

/// Methods that nobody knows share a label: a client must not be able to make labels up.
fn known(method: &Method) -> Method {
    let standard = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    standard
        .into_iter()
        .find(|one| one == method)
        .unwrap_or(Method::TRACE)
}

impl Observation {
    /// The answer is known: its HTTP status, or its gRPC code.
    pub(super) fn finish(mut self, status: u16) {
        self.record(status);
    }

    /// The answer says what the request was for.
    pub(super) fn relabel(&mut self, RouteLabel(label): RouteLabel) {
        self.step.rename(|| format!("{} {label}", self.method));
        self.route = Route::Label(label);
    }

    /// Keeps the scope of the request, of which the end will be seen outside of it.
    pub(super) fn leave_scope(&mut self) {
        self.scope = context::copy();
    }

    fn record(&mut self, status: u16) {
        self.finished = true;
        context::resumed(self.scope.take(), || self.speak(status));
    }

    fn speak(&self, status: u16) {
        let taken = self.observer.clock.monotonic().saturating_sub(self.started);
        self.observer
            .count(&self.method, &self.route, status, taken);
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        let (service, method, route) = (
            self.observer.service,
            self.method.as_str(),
            self.route.as_str(),
        );
        let grpc = self.route.is_grpc();
        if grpc {
            tracing::info!(target: "riwaq::request", service, route, code = status, micros, "request");
        } else {
            tracing::info!(target: "riwaq::request", service, method, route, status, micros, "request");
        }
        let failed = if grpc { status != 0 } else { status >= 500 };
        self.step.end(failed, || {
            if grpc {
                let code = KeyValue::new("rpc.grpc.status_code", i64::from(status));
                return vec![
                    KeyValue::new("rpc.system", "grpc"),
                    KeyValue::new("service.role", service),
                    code,
                ];
            }
            vec![
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("http.response.status_code", i64::from(status)),
                KeyValue::new("service.role", service),
            ]
        });
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if !self.finished {
            let cancelled = if self.route.is_grpc() {
                tonic::Code::Cancelled as u16
            } else {
                CLIENT_CLOSED
            };
            self.record(cancelled);
        }
    }
}
