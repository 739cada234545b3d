//! `riwaq doctor`: tries every backend, and prints finding, why and remedy.

use anyhow::{Result, bail};

use crate::adapters::{self, Adapters};
use crate::cli::{Listen, Sources};
use crate::config::Config;
use crate::secrets::Secrets;
use crate::{host, roles};

/// What a check found.
struct Finding {
    what: &'static str,
    result: Result<String>,
    remedy: &'static str,
}

pub(crate) async fn run(sources: &Sources) -> Result<()> {
    let config = Config::load(sources, &Listen::default())?;
    let mut findings = vec![disk(&config), mode(&config)];
    findings.extend(backends(&config).await);
    let mut bad = 0;
    for finding in findings {
        match finding.result {
            Ok(found) => crate::print(&format!("ok      {:12} {found}", finding.what)),
            Err(error) => {
                bad += 1;
                crate::print(&format!("FAILED  {:12} {error:#}", finding.what));
                crate::print(&format!("        {:12} remedy: {}", "", finding.remedy));
            }
        }
    }
    if bad > 0 {
        bail!("{bad} findings need attention");
    }
    Ok(())
}

fn disk(config: &Config) -> Finding {
    let folder = &config.data_dir;
    let result = std::fs::create_dir_all(folder)
        .and_then(|()| {
            let probe = folder.join(format!(".doctor-{}", std::process::id()));
            std::fs::write(&probe, b"probe")?;
            std::fs::remove_file(probe)
        })
        .map(|()| format!("{} can be written", folder.display()))
        .map_err(|error| anyhow::anyhow!("{} cannot be written: {error}", folder.display()));
    Finding {
        what: "data folder",
        result,
        remedy: "give this user the folder, or another by --data-dir",
    }
}

fn mode(config: &Config) -> Finding {
    let embedded = adapters::embedded(config);
    let found = if embedded.is_empty() {
        "every adapter is distributed: roles may be processes of their own".to_owned()
    } else {
        format!("embedded, so one process only: {}", embedded.join(", "))
    };
    Finding {
        what: "adapters",
        result: Ok(found),
        remedy: "",
    }
}

async fn backends(config: &Config) -> Vec<Finding> {
    let clock = host::clock();
    let opened = async {
        let secrets = Secrets::load(config.secrets.master_key.as_ref(), Some(&config.data_dir))?;
        Adapters::open(config, &secrets, &clock).await
    };
    let adapters = match opened.await {
        Ok(adapters) => adapters,
        Err(error) => {
            let remedy =
                "stop the process that uses the data folder, or mend the setting that is named";
            return vec![Finding {
                what: "backends",
                result: Err(error),
                remedy,
            }];
        }
    };
    vec![
        Finding {
            what: "records",
            result: adapters
                .records
                .ping()
                .await
                .map(|()| "answer".to_owned())
                .map_err(Into::into),
            remedy: "start the records store, or mend the section `records`",
        },
        Finding {
            what: "schema",
            result: schema(&adapters).await,
            remedy: "run `riwaq migrate`, or a newer version of this program",
        },
        Finding {
            what: "events",
            result: events(&adapters).await,
            remedy: "look at `riwaq events dead list`; `replay` delivers again",
        },
        Finding {
            what: "blobs",
            result: adapters
                .blobs
                .ping()
                .await
                .map(|()| "answer".to_owned())
                .map_err(Into::into),
            remedy: "free space in the data folder, or mend the section `blobs`",
        },
        Finding {
            what: "index",
            result: adapters
                .index
                .ping()
                .await
                .map(|()| "answers".to_owned())
                .map_err(Into::into),
            remedy: "delete the index folder; `riwaq search rebuild` makes it anew",
        },
        Finding {
            what: "mail",
            result: adapters
                .mail
                .ping()
                .await
                .map(|()| "answers".to_owned())
                .map_err(Into::into),
            remedy: "mend the section `mail`",
        },
    ]
}

async fn schema(adapters: &Adapters) -> Result<String> {
    let plan = roles::migration_plan()?;
    let stored = adapters.records.schema_number().await?;
    if stored == 0 {
        return Ok(format!(
            "empty; the first start brings it to {}",
            plan.latest()
        ));
    }
    plan.check(adapters.records.as_ref()).await?;
    Ok(format!("{stored}, as this program needs it"))
}

async fn events(adapters: &Adapters) -> Result<String> {
    adapters.events.ping().await?;
    let mut dead = 0;
    for group in roles::groups() {
        adapters.events.declare_group(&group).await?;
        dead += adapters
            .events
            .dead_letters(&group.name, None, 100)
            .await?
            .items
            .len();
    }
    if dead > 0 {
        bail!("{dead} dead letters wait for an operator");
    }
    Ok("answer, no dead letters".to_owned())
}
