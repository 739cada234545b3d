//! What a person may read, as the courses service says at this moment.

use riwaq_api::courses::v1::ListReadableRequest;
use riwaq_api::{Channel, clients};
use riwaq_identity::Actor;
use riwaq_index::Readable;
use riwaq_kit::Problem;
use uuid::Uuid;

/// Asks the courses service. Nothing is kept: rights may end at any time.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    courses: Channel,
}

impl Access {
    pub(crate) fn new(courses: Channel) -> Self {
        Self { courses }
    }

    /// The courses that this person may read.
    pub(crate) async fn readable(&self, actor: &Actor) -> Result<Readable, Problem> {
        let channel = self.courses.clone().with_actor_token(actor.raw_token());
        let request = ListReadableRequest {
            user_id: actor.id().to_string(),
            permissions: actor.permissions().names(),
        };
        let answer = clients::courses(&channel)
            .list_readable(request)
            .await?
            .into_inner();
        if answer.all {
            return Ok(Readable::All);
        }
        if answer.truncated {
            // Less is found than might be; nothing is found that may not be.
            tracing::warn!(
                courses = answer.course_ids.len(),
                "more courses than a search can hold"
            );
        }
        let ids: Result<Vec<Uuid>, _> = answer.course_ids.iter().map(|id| id.parse()).collect();
        ids.map(Readable::courses).map_err(Problem::internal)
    }
}
