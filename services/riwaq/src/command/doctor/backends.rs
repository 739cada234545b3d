//! Each backend, opened and asked by itself: one that is away does not hide the others.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use riwaq_clock::SharedClock;
use riwaq_records::Records;

use super::Finding;
use crate::adapters;
use crate::config::Config;
use crate::secrets::Secrets;
use crate::{host, roles};

pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let clock = host::clock();
    let mut findings = Vec::new();
    match adapters::records(config, &clock).await {
        Ok(records) => findings.extend(records_findings(config, records, &clock).await),
        Err(error) => findings.push(Finding::new("records", Err(error), RECORDS)),
    }
    findings.push(Finding::new("events", events(config, &clock).await, EVENTS));
    findings.push(Finding::new("blobs", blobs(config, &clock).await, BLOBS));
    findings.push(Finding::new("index", index(config, &clock).await, INDEX));
    findings.push(Finding::new("mail", mail(config, &clock).await, MAIL));
    findings
}

const RECORDS: &str = "start the records store (stop the process that holds the data folder), or mend the section \
                       `records`: addresses, user, password, keyspace";
const SCHEMA: &str = "run `riwaq migrate`, or a newer version of this program";
const DIRECTORY: &str =
    "start the directory, or mend the section `directory`: address, realm, client and its secret";
const EVENTS: &str = "start the event bus, or mend the section `events`; dead letters: `riwaq events dead list`, \
                      then `replay`";
const BLOBS: &str =
    "start the object storage or free space, or mend the section `blobs`: address, bucket, keys";
const INDEX: &str = "start the index, or mend the section `index`; what is lost comes back by `riwaq search rebuild`";
const MAIL: &str = "mend the section `mail`: host, port, user and password";

async fn records_findings(
    config: &Config,
    records: Arc<dyn Records>,
    clock: &SharedClock,
) -> Vec<Finding> {
    let answers = records.ping().await;
    // A start would wait for the schema's number, and an operator should not.
    let schema = if answers.is_ok() {
        Finding::new("schema", schema(records.as_ref()).await, SCHEMA)
    } else {
        let unknown = anyhow!("not asked for, since the records do not answer");
        Finding::new("schema", Err(unknown), RECORDS)
    };
    let answers = answers.map(|()| "answer".to_owned()).map_err(Into::into);
    let mut findings = vec![Finding::new("records", answers, RECORDS)];
    findings.extend(durability(records.as_ref()).await);
    findings.push(schema);
    let directory = directory(config, records, clock).await;
    findings.push(Finding::new("directory", directory, DIRECTORY));
    findings
}

/// Whether what the records store acknowledges stays: a finding for each setting by which it may not.
async fn durability(records: &dyn Records) -> Vec<Finding> {
    const WHAT: &str = "durability";
    match records.risks().await {
        Ok(risks) if risks.is_empty() => {
            let found = "what is acknowledged is on the disk".to_owned();
            vec![Finding::new(WHAT, Ok(found), "")]
        }
        Ok(risks) => risks
            .into_iter()
            .map(|risk| Finding::new(WHAT, Err(anyhow!(risk.what)), risk.remedy))
            .collect(),
        Err(error) => vec![Finding::new(WHAT, Err(error.into()), RECORDS)],
    }
}

async fn schema(records: &dyn Records) -> Result<String> {
    let plan = roles::migration_plan()?;
    let stored = records.schema_number().await?;
    if stored == 0 {
        bail!("empty; this program needs {}", plan.latest());
    }
    plan.check(records).await?;
    Ok(format!("{stored}, as this program needs it"))
}

async fn directory(
    config: &Config,
    records: Arc<dyn Records>,
    clock: &SharedClock,
) -> Result<String> {
    let secrets = Secrets::load(config.secrets.master_key.as_ref(), Some(&config.data_dir))?;
    let directory = adapters::directory(config, &secrets, records, clock).await?;
    directory.list(None, 1).await.context("listing accounts")?;
    Ok("answers".to_owned())
}

async fn events(config: &Config, clock: &SharedClock) -> Result<String> {
    let events = adapters::events(config, clock).await?;
    events.ping().await?;
    let dead: u64 = events.depths().await?.iter().map(|depth| depth.dead).sum();
    if dead > 0 {
        bail!("{dead} dead letters wait for an operator");
    }
    Ok("answer, no dead letters".to_owned())
}

async fn blobs(config: &Config, clock: &SharedClock) -> Result<String> {
    adapters::blobs(config, clock).await?.ping().await?;
    Ok("answer".to_owned())
}

async fn index(config: &Config, clock: &SharedClock) -> Result<String> {
    adapters::index(config, clock).await?.ping().await?;
    Ok("answers".to_owned())
}

async fn mail(config: &Config, clock: &SharedClock) -> Result<String> {
    let (mail, _) = adapters::mail(config, clock)?;
    mail.ping().await?;
    Ok("answers".to_owned())
}
