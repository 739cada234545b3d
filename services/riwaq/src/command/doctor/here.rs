//! What can be seen without asking anybody.

use anyhow::anyhow;

use super::Finding;
use crate::adapters;
use crate::config::Config;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    vec![disk(config), mode(config)]
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
        .map_err(|error| anyhow!("{} cannot be written: {error}", folder.display()));
    Finding::new(
        "data folder",
        result,
        "give this user the folder, or another by --data-dir",
    )
}

fn mode(config: &Config) -> Finding {
    let embedded = adapters::embedded(config);
    let found = if embedded.is_empty() {
        "every adapter is distributed: roles may be processes of their own".to_owned()
    } else {
        format!("embedded, so one process only: {}", embedded.join(", "))
    };
    Finding::new("adapters", Ok(found), "")
}
