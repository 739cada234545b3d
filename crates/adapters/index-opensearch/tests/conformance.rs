//! The port's suite on a real server.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::Server;
use riwaq_index::conformance;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opensearch_conforms() {
    let Some(url) = common::server() else { return };
    let server = Server::new(url, |_| ());
    conformance::run_side_by_side("opensearch", &server, 6).await;
    server.clean().await;
}
