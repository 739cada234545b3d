//! `mode: all`: one pod with a volume.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::cluster::{Cluster, Namespace};
use crate::release::{Kept, Release};

const PASSWORD: &str = "a-password-of-the-demonstration";
const ADMIN: &str = "admin@riwaq.local";
const PORT: u16 = 30_080;

pub(crate) async fn from_installation_to_reinstallation() -> Result<()> {
    let cluster = Cluster::find()?;
    let namespace = Namespace::make(&cluster, "riwaq-all").await?;
    let done = steps(&namespace).await;
    if done.is_err() {
        println!("{}", namespace.what_happened().await);
    }
    namespace.remove().await?;
    done
}

async fn steps(namespace: &Namespace<'_>) -> Result<()> {
    let literal = format!("--from-literal=password={PASSWORD}");
    namespace
        .kubectl(&["create", "secret", "generic", "demo", &literal])
        .await?;
    let values = json!({"mode": "all", "demo": {"existingSecret": "demo"}});
    let release = Release::new(namespace, PORT, &values)?;
    println!(
        "mode all: the first answer {:?} after helm install",
        release.install().await?
    );
    let mut world = release.world(ADMIN, PASSWORD).await?;
    let kept = Kept::make(&mut world).await?;
    // With the accounts of the demonstration, whose password is in a Secret.
    let said = release.test().await.context("helm test")?;
    ensure!(said.contains("test-main-job"), "no main job: {said}");
    println!("mode all: upgraded in {:?}", release.upgrade().await?);
    kept.is_there(&world).await?;
    println!("mode all: rolled back in {:?}", release.roll_back().await?);
    kept.is_there(&world).await?;
    release.uninstall().await?;
    // The claim of the data stays: whoever installs again has it.
    release.install().await?;
    kept.is_there(&world).await?;
    release.uninstall().await
}
