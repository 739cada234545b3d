//! A search service for tests: says who may read what, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use riwaq_api::search::v1::search_server::{Search, SearchServer};
use riwaq_api::search::v1::{FindPassagesRequest, FindPassagesResponse, Passage};
use riwaq_identity::grpc::actor;
use riwaq_identity::{CallerPolicy, Callers, Identity};
use riwaq_kit::{Code, Problem};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// What it does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Answers,
    /// Until it is in another mood.
    Hangs,
    IsDown,
}

#[derive(Clone)]
pub struct FakeSearch(Arc<State>);

struct State {
    readable: Mutex<HashMap<Uuid, Vec<Passage>>>,
    asked: Mutex<Vec<FindPassagesRequest>>,
    mood: watch::Sender<Mood>,
    in_flight: AtomicUsize,
}

/// A question being handled: gone also when the handler is dropped.
struct InFlight<'s>(&'s AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl FakeSearch {
    pub fn new() -> Self {
        Self(Arc::new(State {
            readable: Mutex::default(),
            asked: Mutex::default(),
            mood: watch::Sender::new(Mood::Answers),
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// Behind the table that the real one has.
    pub fn routes(&self, identity: &Identity) -> Routes {
        CallerPolicy::new()
            .allow(
                "/riwaq.search.v1.Search/FindPassages",
                Callers::only(&["chatbot"]).for_user(),
            )
            .protect(Routes::new(SearchServer::new(self.clone())), identity)
    }

    pub fn let_read(&self, user: Uuid, passage: Passage) {
        self.0
            .readable
            .lock()
            .unwrap()
            .entry(user)
            .or_default()
            .push(passage);
    }

    pub fn set(&self, mood: Mood) {
        self.0.mood.send_replace(mood);
    }

    pub fn asked(&self) -> Vec<FindPassagesRequest> {
        self.0.asked.lock().unwrap().clone()
    }

    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }
}

#[tonic::async_trait]
impl Search for FakeSearch {
    async fn find_passages(
        &self,
        request: Request<FindPassagesRequest>,
    ) -> Result<Response<FindPassagesResponse>, Status> {
        let reader = actor(&request)?.id();
        let asked = request.into_inner();
        self.0.asked.lock().unwrap().push(asked.clone());
        self.0.in_flight.fetch_add(1, Ordering::SeqCst);
        let _in_flight = InFlight(&self.0.in_flight);
        let mood = *self
            .0
            .mood
            .subscribe()
            .wait_for(|mood| *mood != Mood::Hangs)
            .await
            .unwrap();
        if mood == Mood::IsDown {
            return Err(Problem::new(Code::Unavailable, "the index is being rebuilt").into());
        }
        let mut passages = self
            .0
            .readable
            .lock()
            .unwrap()
            .get(&reader)
            .cloned()
            .unwrap_or_default();
        passages
            .retain(|passage| asked.course_id.is_empty() || passage.course_id == asked.course_id);
        passages.truncate(asked.limit as usize);
        Ok(Response::new(FindPassagesResponse { passages }))
    }
}
