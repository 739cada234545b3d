//! Whose calls they are: the service's token and the actor's go along, within a process and over a socket.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use riwaq_api::search::v1::FindPassagesRequest;
use riwaq_api::{TokenError, TokenSource, clients};
use support::{BOTH, World, get, soon};
use tonic::Code;

#[derive(Debug)]
struct Tokens {
    served: AtomicUsize,
    refused: Mutex<Vec<String>>,
}

#[async_trait]
impl TokenSource for Tokens {
    async fn token(&self) -> Result<Arc<str>, TokenError> {
        self.served.fetch_add(1, Ordering::SeqCst);
        let renewed = !self.refused.lock().unwrap().is_empty();
        Ok(if renewed {
            "fresh".into()
        } else {
            "stale".into()
        })
    }

    fn refused(&self, token: &str) {
        self.refused.lock().unwrap().push(token.to_owned());
    }
}

#[tokio::test]
async fn both_identities_go_along_and_a_refused_service_token_is_renewed_once() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let tokens = Arc::new(Tokens {
            served: AtomicUsize::new(0),
            refused: Mutex::default(),
        });
        let channel = world
            .channel
            .clone()
            .with_tokens(tokens.clone())
            .with_actor_token("user.token");
        let mut client = clients::search(&channel);
        let answer = soon(
            "an answer",
            client.find_passages(FindPassagesRequest::default()),
        )
        .await
        .unwrap();
        assert_eq!(
            answer.into_inner().passages[0].text,
            "Bearer fresh",
            "{mode:?}"
        );
        assert_eq!(*tokens.refused.lock().unwrap(), ["stale"], "{mode:?}");
        assert_eq!(
            world.fake.last_metadata("x-riwaq-actor-token").unwrap(),
            "user.token"
        );

        let plain = clients::search(&world.channel)
            .find_passages(FindPassagesRequest::default())
            .await
            .unwrap();
        assert_eq!(
            plain.into_inner().passages[0].text,
            "none",
            "identities belong to one clone only"
        );
        assert_eq!(world.fake.last_metadata("x-riwaq-actor-token"), None);
    }
}

#[derive(Debug)]
struct NoTokens;

#[async_trait]
impl TokenSource for NoTokens {
    async fn token(&self) -> Result<Arc<str>, TokenError> {
        Err(TokenError {
            reason: "the issuer does not answer".to_owned(),
        })
    }

    fn refused(&self, _: &str) {}
}

#[tokio::test]
async fn without_a_service_token_nothing_is_sent() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let status = get(&world.channel.clone().with_tokens(Arc::new(NoTokens)), "a")
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().contains("the issuer does not answer"),
            "{}",
            status.message()
        );
        assert_eq!(world.fake.calls(), 0, "{mode:?}");
    }
}
