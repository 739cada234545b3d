//! Removes what an installation wrote into backends, where that needs a driver.

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use riwaq_integration_tests::Leftovers;
use scylla::client::session_builder::SessionBuilder;

/// With the drivers that the program uses as well.
pub(crate) fn remove(leftovers: Leftovers) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> {
    Box::pin(async move {
        let removed = [
            remove_keyspace(&leftovers).await.context("Cassandra"),
            remove_bucket(&leftovers).await.context("S3"),
        ];
        removed.into_iter().collect()
    })
}

async fn remove_keyspace(leftovers: &Leftovers) -> Result<()> {
    let session = SessionBuilder::new()
        .known_nodes(&leftovers.cassandra)
        .user("cassandra", "cassandra")
        .build()
        .await?;
    let drop = format!("DROP KEYSPACE IF EXISTS {}", leftovers.keyspace);
    let mut drop = scylla::statement::Statement::new(drop);
    drop.set_request_timeout(Some(Duration::from_secs(60)));
    session.query_unpaged(drop, ()).await?;
    Ok(())
}

async fn remove_bucket(leftovers: &Leftovers) -> Result<()> {
    let url = &leftovers.s3;
    let secret = url.password().unwrap_or_default();
    let credentials = Credentials::new(url.username(), secret, None, None, "tests");
    let host = url.host_str().context("no host")?;
    let port = url.port_or_known_default().context("no port")?;
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{host}:{port}"))
        .credentials_provider(credentials)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    let client = Client::from_conf(config.build());
    let bucket = &leftovers.bucket;
    loop {
        let page = match client.list_objects_v2().bucket(bucket).send().await {
            Ok(page) => page,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => bail!("{error:?}"),
        };
        let keys = page.contents().iter().filter_map(|object| object.key());
        let objects: Vec<_> = keys
            .map(|key| ObjectIdentifier::builder().key(key).build())
            .collect::<Result<_, _>>()?;
        if objects.is_empty() {
            break;
        }
        let delete = Delete::builder().set_objects(Some(objects)).build()?;
        client
            .delete_objects()
            .bucket(bucket)
            .delete(delete)
            .send()
            .await?;
    }
    client.delete_bucket().bucket(bucket).send().await?;
    Ok(())
}

fn is_absent<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("NoSuchBucket")
}
