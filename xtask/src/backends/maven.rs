//! Fetching from Maven Central, or from a mirror that `RIWAQ_MAVEN_MIRROR` names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::install;
use super::versions::Maven;
use crate::{paths, process};

const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1";
const MIRROR: &str = "RIWAQ_MAVEN_MIRROR";

/// Puts the artifact and everything that it runs with into `folder`/lib.
pub(crate) fn fetch_jars(what: &Maven, folder: &Path) -> Result<PathBuf> {
    let pom = folder.join("pom.xml");
    fs::write(&pom, pom_of(what))?;
    let jars = folder.join("lib");
    let mut maven = command(folder)?;
    maven
        .arg("-f")
        .arg(&pom)
        .arg(format!("{PLUGIN}:copy-dependencies"))
        .arg("-DincludeScope=runtime")
        .arg(format!("-DoutputDirectory={}", jars.display()));
    run(&mut maven, folder)?;
    let own = jars.join(format!("{}-{}.jar", what.artifact, what.version));
    install::verify(&own, what.sha256)?;
    Ok(jars)
}

/// Fetches one file, such as a whole distribution in a zip.
pub(crate) fn fetch_file(what: &Maven, packaging: &str, folder: &Path) -> Result<PathBuf> {
    let mut maven = command(folder)?;
    maven
        .current_dir(folder)
        .arg(format!("{PLUGIN}:copy"))
        .arg(format!(
            "-Dartifact={}:{}:{}:{packaging}",
            what.group, what.artifact, what.version
        ))
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .arg("-Dmdep.useBaseVersion=true");
    run(&mut maven, folder)?;
    let file = folder.join(format!("{}-{}.{packaging}", what.artifact, what.version));
    install::verify(&file, what.sha256)?;
    Ok(file)
}

fn command(folder: &Path) -> Result<Command> {
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--strict-checksums"]);
    if let Some(address) = paths::variable(MIRROR) {
        let settings = folder.join("settings.xml");
        fs::write(&settings, settings_for(&address))?;
        maven.arg("--settings").arg(settings);
    }
    Ok(maven)
}

fn run(maven: &mut Command, folder: &Path) -> Result<()> {
    let _held = install::hold_tool(folder, "maven")?;
    process::run_logged(maven, &folder.join("install.log"))
        .context("Maven is needed for the Java servers (Debian: maven)")
}

fn pom_of(what: &Maven) -> String {
    format!(
        r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>riwaq</groupId><artifactId>backend-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>
  </dependencies>
</project>
"#,
        what.group, what.artifact, what.version
    )
}

fn settings_for(mirror: &str) -> String {
    let address = mirror.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<settings><mirrors><mirror><id>mirror</id><mirrorOf>central</mirrorOf>\
         <url>{address}</url></mirror></mirrors></settings>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_with_a_query_stays_well_formed() {
        let settings = settings_for("https://mirror.example/maven?a=1&b=2");
        assert!(settings.contains("<url>https://mirror.example/maven?a=1&amp;b=2</url>"));
    }
}
