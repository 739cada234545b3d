//! A call behaves the same within a process and over a socket.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use riwaq_api::auth::v1::ListRevocationsRequest;
use riwaq_api::files::v1::ReadContentRequest;
use riwaq_api::server::ServerPolicy;
use riwaq_api::users::v1::{GetUsersRequest, ListRolesRequest};
use riwaq_api::{BreakerPolicy, Channel, ChannelPolicy, RetryPolicy, clients};
use support::{BOTH, Mode, REQUEST, World, get, quick_policy, soon};
use tonic::{Code, Request};

#[tokio::test]
async fn answers_and_their_metadata_come_back() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let answer = soon("the answer", world.get("a")).await.unwrap();
        assert_eq!(
            answer.metadata().get("x-answer").unwrap(),
            "yes",
            "{mode:?}"
        );
        assert_eq!(answer.into_inner().users[0].id, "a");
    }
}

#[tokio::test]
async fn an_error_keeps_code_message_details_and_metadata() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let status = soon("the error", world.get("refuse")).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{mode:?}");
        assert_eq!(status.message(), "éà: not like this");
        assert_eq!(status.details(), b"\x01details");
        assert_eq!(status.metadata().get("x-reason").unwrap(), "because");
        assert_eq!(
            world.fake.calls(),
            1,
            "what is not UNAVAILABLE is not retried"
        );
    }
}

#[tokio::test]
async fn the_deadline_ends_the_call_and_cancels_the_handler() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let script = Arc::clone(&world.fake.0);
        let call = world.get("hang");
        let turn = async {
            script.entered.notified().await;
            world.clock.advance(Duration::from_millis(4_999));
            tokio::task::yield_now().await;
            assert_eq!(
                script.cancelled.load(Ordering::SeqCst),
                0,
                "{mode:?}: too early"
            );
            world.clock.advance(Duration::from_millis(1));
        };
        let (outcome, ()) = soon("the deadline", async { tokio::join!(call, turn) }).await;
        assert_eq!(
            outcome.unwrap_err().code(),
            Code::DeadlineExceeded,
            "{mode:?}"
        );
        soon("the handler's end", script.dropped.notified()).await;
        assert_eq!(
            world.fake.calls(),
            1,
            "{mode:?}: an unknown outcome is not retried after its deadline"
        );
    }
}

#[tokio::test]
async fn a_shorter_timeout_of_the_caller_wins_and_reaches_the_handler() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let mut client = clients::users(&world.channel);
        let left = soon("no timeout", client.list_roles(ListRolesRequest {}))
            .await
            .unwrap()
            .into_inner()
            .version;
        assert_eq!(left, 5_000, "{mode:?}: the channel's own deadline");
        let mut request = Request::new(ListRolesRequest {});
        request.set_timeout(Duration::from_millis(1_500));
        let left = soon("a timeout", client.list_roles(request))
            .await
            .unwrap()
            .into_inner()
            .version;
        assert_eq!(left, 1_500, "{mode:?}");
    }
}

#[tokio::test]
async fn a_call_made_while_serving_a_call_ends_with_it() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let inner = World::new(Mode::Local).await;
        // The inner channel has its own clock, which stands still: only what is inherited ends it.
        *world.fake.0.next.lock().unwrap() = Some(world.channel.clone());
        let mut client = clients::users(&world.channel);
        let mut request = Request::new(ListRolesRequest {});
        request.set_timeout(Duration::from_millis(700));
        let turn = async {
            world.fake.0.entered.notified().await;
            world.clock.advance(Duration::from_millis(700));
        };
        let (outcome, ()) = soon("the end", async {
            tokio::join!(client.list_roles(request), turn)
        })
        .await;
        assert_eq!(
            outcome.unwrap_err().code(),
            Code::DeadlineExceeded,
            "{mode:?}"
        );
        soon("the inner handler's end", world.fake.0.dropped.notified()).await;
        drop(inner);
    }
}

#[tokio::test]
async fn dropping_a_call_cancels_its_handler() {
    for mode in BOTH {
        let world = World::new(mode).await;
        {
            let call = world.get("hang");
            tokio::pin!(call);
            tokio::select! {
                _ = &mut call => panic!("it never answers"),
                () = soon("the handler", world.fake.0.entered.notified()) => {}
            }
        }
        soon("the handler's end", world.fake.0.dropped.notified()).await;
        assert_eq!(world.fake.0.cancelled.load(Ordering::SeqCst), 1, "{mode:?}");
    }
}

#[tokio::test]
async fn only_idempotent_calls_are_sent_again() {
    for mode in BOTH {
        let world = World::new(mode).await;
        world.fake.fail_next(2);
        soon("two failures", world.get("a")).await.unwrap();
        assert_eq!(world.fake.calls(), 3, "{mode:?}");

        world.fake.fail_next(3);
        let status = soon("three failures", world.get("a")).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "not now"),
            "{mode:?}"
        );
        assert_eq!(world.fake.calls(), 6, "{mode:?}: three attempts at most");

        // The same request on a path that no contract calls idempotent.
        world.fake.fail_next(1);
        let status = soon("unknown to the contract", start_activation(&world.channel)).await;
        assert_eq!(
            status,
            Code::Unimplemented,
            "{mode:?}: not offered by this server, and not retried"
        );
    }
}

async fn start_activation(channel: &Channel) -> Code {
    let request = riwaq_api::auth::v1::StartActivationRequest::default();
    clients::accounts(channel)
        .start_activation(request)
        .await
        .unwrap_err()
        .code()
}

#[tokio::test]
async fn retries_stop_when_their_budget_is_used_up() {
    for mode in BOTH {
        let retry = RetryPolicy {
            first_backoff_ms: 0,
            max_backoff_ms: 0,
            max_attempts: 2,
            budget_percent: 0,
            budget_reserve: 3,
        };
        let breaker = BreakerPolicy {
            failures: 1_000,
            ..BreakerPolicy::default()
        };
        let policy = ChannelPolicy {
            retry,
            breaker,
            ..ChannelPolicy::default()
        };
        let world = World::with(mode, policy, ServerPolicy::default()).await;
        world.fake.fail_next(usize::MAX);
        for _ in 0..10 {
            soon("a failure", world.get("a")).await.unwrap_err();
        }
        assert_eq!(world.fake.calls(), 13, "{mode:?}: ten calls, three retries");
    }
}

#[tokio::test]
async fn no_attempt_begins_that_would_not_end_before_the_deadline() {
    for mode in BOTH {
        let world = World::new(mode).await;
        world.fake.fail_next(usize::MAX);
        let takes = (Arc::clone(&world.clock), Duration::from_secs(2));
        *world.fake.0.failing_takes.lock().unwrap() = Some(takes);
        let refused = soon("a failure", world.get("a")).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::Unavailable,
            "{mode:?}: that nothing was done is said, not that the time is over"
        );
        assert_eq!(
            world.fake.calls(),
            2,
            "{mode:?}: a third would end after 6 s"
        );
    }
}

#[tokio::test]
async fn the_breaker_opens_leaves_alone_probes_and_closes() {
    for mode in BOTH {
        let breaker = BreakerPolicy {
            failures: 3,
            open_ms: 2_000,
        };
        let retry = RetryPolicy {
            max_attempts: 1,
            ..RetryPolicy::default()
        };
        let world = World::with(
            mode,
            ChannelPolicy {
                breaker,
                retry,
                ..quick_policy()
            },
            ServerPolicy::default(),
        )
        .await;
        world.fake.fail_next(4);
        for _ in 0..3 {
            assert_eq!(
                soon("a failure", world.get("a"))
                    .await
                    .unwrap_err()
                    .message(),
                "not now"
            );
        }
        let refused = soon("a refusal", world.get("a")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{mode:?}");
        assert!(
            refused.message().contains("left alone"),
            "{mode:?}: {}",
            refused.message()
        );
        assert_eq!(world.fake.calls(), 3, "{mode:?}: nothing was sent");

        world.clock.advance(Duration::from_secs(2));
        soon("a failing probe", world.get("a")).await.unwrap_err();
        soon("open again", world.get("a")).await.unwrap_err();
        assert_eq!(world.fake.calls(), 4, "{mode:?}");

        world.clock.advance(Duration::from_secs(2));
        soon("a good probe", world.get("a")).await.unwrap();
        soon("closed", world.get("a")).await.unwrap();
        assert_eq!(world.fake.calls(), 6, "{mode:?}");
    }
}

#[tokio::test]
async fn refusals_of_the_caller_do_not_open_the_breaker() {
    for mode in BOTH {
        let breaker = BreakerPolicy {
            failures: 2,
            open_ms: 2_000,
        };
        let world = World::with(
            mode,
            ChannelPolicy {
                breaker,
                ..quick_policy()
            },
            ServerPolicy::default(),
        )
        .await;
        for _ in 0..5 {
            assert_eq!(
                soon("a refusal", world.get("missing"))
                    .await
                    .unwrap_err()
                    .code(),
                Code::NotFound
            );
        }
        soon("an answer", world.get("a")).await.unwrap();
    }
}

#[tokio::test]
async fn messages_over_the_limit_are_refused_either_way() {
    for mode in BOTH {
        let policy = ChannelPolicy {
            max_message_bytes: 50_000,
            ..quick_policy()
        };
        let world = World::with(mode, policy, ServerPolicy::default()).await;
        let mut client =
            riwaq_api::users::v1::users_client::UsersClient::new(world.channel.clone());
        let request = GetUsersRequest {
            ids: vec!["x".repeat(60_000)],
        };
        let status = soon("too large a request", client.get_users(request))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{mode:?}");
        assert_eq!(world.fake.calls(), 0, "{mode:?}");
        let status = soon("too large an answer", world.get("large"))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{mode:?}: {status:?}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_own_call_only() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let status = soon(
            "the panic",
            clients::revocations(&world.channel).list_revocations(ListRevocationsRequest {}),
        )
        .await
        .unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{mode:?}: {status:?}");
        soon("the next call", world.get("a")).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_at_its_limit_refuses_and_recovers() {
    for mode in BOTH {
        let server = ServerPolicy {
            max_concurrent: 1,
            ..ServerPolicy::default()
        };
        let world = World::with(mode, quick_policy(), server).await;
        {
            let hanging = world.get("hang");
            tokio::pin!(hanging);
            tokio::select! {
                _ = &mut hanging => panic!("it never answers"),
                () = soon("the first", world.fake.0.entered.notified()) => {}
            }
            let status = soon("the second", world.get("a")).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted, "{mode:?}");
        }
        soon("the first's end", world.fake.0.dropped.notified()).await;
        // The permit goes back just after the handler's own values.
        tokio::task::yield_now().await;
        soon("the third", world.get("a")).await.unwrap();
    }
}

#[tokio::test]
async fn more_calls_than_the_channel_allows_wait_for_their_turn() {
    for mode in BOTH {
        let policy = ChannelPolicy {
            max_concurrent: 1,
            ..quick_policy()
        };
        let world = World::with(mode, policy, ServerPolicy::default()).await;
        let mut hanging = Box::pin(world.get("hang"));
        tokio::select! {
            _ = &mut hanging => panic!("it never answers"),
            () = soon("the first", world.fake.0.entered.notified()) => {}
        }
        let mut waiting = Box::pin(world.get("a"));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(world.fake.calls(), 1, "{mode:?}");
        drop(hanging);
        soon("its turn", waiting).await.unwrap();
    }
}

#[tokio::test]
async fn streams_have_an_idle_limit_and_no_total_one() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let mut client = clients::files(&world.channel);
        let mut read = async |id: &str| {
            let request = ReadContentRequest {
                id: id.to_owned(),
                content_version: 1,
            };
            soon("the stream", client.read_content(request))
                .await
                .unwrap()
                .into_inner()
        };

        let mut stream = read("end").await;
        for n in 0..3_u8 {
            // Far longer than a unary call's deadline in all.
            world.clock.advance(Duration::from_secs(20));
            assert_eq!(
                soon("a chunk", stream.message())
                    .await
                    .unwrap()
                    .unwrap()
                    .data,
                [n; 3],
                "{mode:?}"
            );
        }
        assert_eq!(soon("the end", stream.message()).await.unwrap(), None);

        let mut stream = read("break").await;
        for _ in 0..3 {
            soon("a chunk", stream.message()).await.unwrap().unwrap();
        }
        assert_eq!(
            soon("the break", stream.message())
                .await
                .unwrap_err()
                .code(),
            Code::DataLoss,
            "{mode:?}"
        );

        let mut stream = read("silent").await;
        for _ in 0..3 {
            soon("a chunk", stream.message()).await.unwrap().unwrap();
        }
        let mut next = Box::pin(stream.message());
        assert!(futures::poll!(&mut next).is_pending());
        world.clock.advance(Duration::from_secs(30));
        assert_eq!(
            soon("the silence", next).await.unwrap_err().code(),
            Code::DeadlineExceeded,
            "{mode:?}"
        );
    }
}

#[tokio::test]
async fn a_deferred_channel_works_from_binding_to_the_end_of_its_target() {
    let (deferred, binder) = Channel::deferred();
    let early = deferred.clone();
    assert_eq!(
        get(&early, "a").await.unwrap_err().code(),
        Code::Unavailable
    );
    let world = World::new(Mode::Local).await;
    let bound = binder.bind(&world.channel);
    get(&early, "a").await.unwrap();
    drop(world);
    get(&deferred, "a").await.unwrap();
    drop(bound);
    assert_eq!(
        get(&deferred, "a").await.unwrap_err().code(),
        Code::Unavailable
    );
}

#[tokio::test]
async fn trace_and_time_left_of_the_request_being_handled_go_along() {
    for mode in BOTH {
        let world = World::new(mode).await;
        let request = (
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            Duration::from_millis(800),
        );
        let mut client = clients::users(&world.channel);
        let call = REQUEST.scope(request.clone(), client.list_roles(ListRolesRequest {}));
        let left = soon("the call", call).await.unwrap().into_inner().version;
        assert_eq!(left, 800, "{mode:?}");
        assert_eq!(
            world.fake.last_metadata("traceparent").unwrap(),
            request.0,
            "{mode:?}"
        );
    }
}
