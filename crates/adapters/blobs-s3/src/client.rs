//! The clients: one that talks to the server, and one that only makes links for its public name.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, StalledStreamProtectionConfig,
};

use crate::{Config, OpenError, transport};

/// The client that talks to the server.
pub(crate) fn internal(config: &Config) -> Result<Client, OpenError> {
    let configured = common(config, &config.endpoint)
        .http_client(transport::client(config)?)
        .timeout_config(timeouts(config))
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(config.max_attempts)
                .with_initial_backoff(Duration::from_millis(100))
                .with_max_backoff(Duration::from_secs(2)),
        );
    Ok(Client::from_conf(configured.build()))
}

/// The client that signs links. It sends nothing.
pub(crate) fn public(config: &Config, internal: &Client) -> Client {
    if config.public_endpoint.is_empty() {
        return internal.clone();
    }
    // Its transport is never used, but the SDK wants one.
    let mut configured = common(config, &config.public_endpoint);
    configured.set_http_client(internal.config().http_client());
    Client::from_conf(configured.build())
}

fn common(config: &Config, endpoint: &str) -> Builder {
    let credentials = Credentials::new(&config.access_key, &config.secret_key, None, None, "riwaq");
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .endpoint_url(endpoint.trim_end_matches('/'))
        .credentials_provider(credentials)
        .force_path_style(config.path_style)
        .disable_s3_express_session_auth(true)
        // Content is sent with a CRC-32 that this crate computes and the server verifies: the SDK's own trailers cost six times
        // the processor. What is read whole is checked here.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // Reading has its own idle time-out, and sending ends with its attempt's.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

fn timeouts(config: &Config) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
        .operation_attempt_timeout(Duration::from_millis(config.attempt_timeout_ms))
        .operation_timeout(Duration::from_millis(config.operation_timeout_ms))
        .build()
}

/// The limits of a request that may rightly take `more`.
pub(crate) fn longer(config: &Config, more: Duration) -> Builder {
    let attempt = Duration::from_millis(config.attempt_timeout_ms) + more;
    let operation = Duration::from_millis(config.operation_timeout_ms) + more;
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation);
    Builder::new().timeout_config(timeouts.build())
}
