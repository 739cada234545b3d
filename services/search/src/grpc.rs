//! `riwaq.search.v1.Search`: passages for the assistant, among what the person may read.

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_api::search::v1::search_server::{Search, SearchServer};
use riwaq_api::search::v1::{FindPassagesRequest, FindPassagesResponse, Passage};
use riwaq_identity::grpc::actor;
use riwaq_identity::{CallerPolicy, Callers, Identity};
use riwaq_index::{Hit, Index, Kind, Query};
use riwaq_kit::Problem;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::access::Access;

/// Most passages of one answer, by the contract.
const MOST_PASSAGES: u32 = 50;

/// The routes, behind the table of who may call.
pub(crate) fn routes(index: Arc<dyn Index>, access: Access, identity: &Identity) -> Routes {
    let server = SearchServer::new(Passages { index, access });
    policy().protect(Routes::new(server), identity)
}

fn policy() -> CallerPolicy {
    let assistant = Callers::only(&["chatbot"]).for_user();
    CallerPolicy::new().allow("/riwaq.search.v1.Search/FindPassages", assistant)
}

struct Passages {
    index: Arc<dyn Index>,
    access: Access,
}

#[async_trait]
impl Search for Passages {
    async fn find_passages(
        &self,
        request: Request<FindPassagesRequest>,
    ) -> Result<Response<FindPassagesResponse>, Status> {
        let actor = actor(&request)?;
        let FindPassagesRequest {
            query,
            course_id,
            limit,
        } = request.into_inner();
        if !(1..=MOST_PASSAGES).contains(&limit) {
            return Err(Problem::field("limit", "must be from 1 to 50").into());
        }
        let course_id: Option<Uuid> = match course_id.as_str() {
            "" => None,
            id => Some(
                id.parse()
                    .map_err(|_| Problem::field("course_id", "must be a UUID"))?,
            ),
        };
        let readable = self.access.readable(&actor).await?;
        let query = Query {
            course_id,
            kind: Some(Kind::Passage),
            limit: limit as usize,
            ..Query::new(query, readable)
        };
        let hits = self.index.search(&query).await.map_err(Problem::from)?;
        let passages = hits.hits.into_iter().map(passage).collect();
        Ok(Response::new(FindPassagesResponse { passages }))
    }
}

fn passage(hit: Hit) -> Passage {
    let Hit {
        document,
        score,
        coverage,
        ..
    } = hit;
    Passage {
        id: document.id.to_string(),
        course_id: document.course_id.to_string(),
        file_id: document
            .file_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        file_version: i64::try_from(document.file_version).unwrap_or(i64::MAX),
        title: document.title,
        page: document.page,
        heading: document.heading,
        text: document.text,
        language: document.language.code().to_owned(),
        score,
        coverage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_callers() {
        assert_eq!(policy().gaps(), Vec::<String>::new());
    }
}
