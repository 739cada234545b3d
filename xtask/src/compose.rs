//! `compose.yaml` is what the Compose Specification's own reader takes, and `.env.example` names what it asks for.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::backends::golang;
use crate::backends::versions::COMPOSE;
use crate::{paths, process};

const FILE: &str = "compose.yaml";
const VARIABLES: &str = ".env.example";

/// A word that is none of the specification's is an error, and so are a value of another type and a variable that nobody
/// makes. Whether one server waits for another that is not there is left to whoever starts them.
pub(crate) fn check() -> Result<()> {
    let mut reader = Command::new(golang::built("compose-spec", &COMPOSE)?);
    // This command does not see the environment's values, and would miss those that must be set.
    reader
        .current_dir(paths::root())
        .args(["-no-interpolation", FILE]);
    process::output(&mut reader).context(FILE)?;
    let read = |file: &str| fs::read_to_string(paths::root().join(file)).context(file.to_owned());
    let (compose, example) = (read(FILE)?, read(VARIABLES)?);
    let (asked, made) = (asked(&compose), made(&example));
    ensure!(
        asked == made,
        "{FILE} asks for {asked:?}, and {VARIABLES} has {made:?}"
    );
    println!("{FILE}: as the Compose Specification has it");
    Ok(())
}

/// The variables that must be set: `${NAME:?why}`.
fn asked(compose: &str) -> BTreeSet<&str> {
    let starts = compose.split("${").skip(1);
    starts
        .filter_map(|rest| rest.split_once(":?"))
        .map(|(name, _)| name)
        .filter(|name| is_name(name))
        .collect()
}

/// The variables that `tools/compose-secrets.sh` fills.
fn made(example: &str) -> BTreeSet<&str> {
    let empty = example.lines().filter_map(|line| line.strip_suffix('='));
    empty.filter(|name| is_name(name)).collect()
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::{asked, made};

    #[test]
    fn what_must_be_set_is_asked_for_and_what_has_a_default_is_not() {
        let compose = "a: ${SIZE:-1G}\nb: ${SECRET:?make it}\nc: x${KEY_OF_IT:?}y ${SECRET:?}";
        assert_eq!(Vec::from_iter(asked(compose)), ["KEY_OF_IT", "SECRET"]);
    }

    #[test]
    fn what_is_empty_is_made_and_comments_are_not() {
        assert_eq!(
            Vec::from_iter(made("# A=\nSECRET=\nSIZE=1G\n\nKEY=\n")),
            ["KEY", "SECRET"]
        );
    }
}
