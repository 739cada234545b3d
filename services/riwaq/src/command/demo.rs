//! The demonstration accounts of a first start.

use anyhow::{Context, Result, anyhow};
use riwaq_auth::{Auth, EnsureAccount, Ensured};
use riwaq_kit::Problem;

use crate::secrets::random_text;

/// Bytes of randomness in a generated password: 20 characters.
const PASSWORD_BYTES: usize = 15;

/// Role, first name, last name: each account is named after its role.
const ACCOUNTS: [(&str, &str, &str); 3] = [
    ("admin", "Administration", "Riwaq"),
    ("teacher", "Enseignante", "Riwaq"),
    ("student", "Étudiant", "Riwaq"),
];

/// Makes those that are missing; a password that was generated is printed, this once.
pub(crate) async fn accounts(auth: &Auth, password: Option<&str>) -> Result<()> {
    for (role, first_name, last_name) in ACCOUNTS {
        let email = format!("{role}@riwaq.local");
        let generated = random_text(PASSWORD_BYTES)?;
        let wanted = EnsureAccount {
            email: email.clone(),
            username: Some(role.to_owned()),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            locale: "fr".to_owned(),
            roles: [role.to_owned()].into(),
            password: password.unwrap_or(&generated).to_owned(),
        };
        let ensured = auth
            .ensure_account(wanted)
            .await
            .map_err(problem)
            .with_context(|| format!("making {email}"))?;
        match (ensured, password) {
            (Ensured::Created(_), None) => {
                crate::print(&format!("  {email}  password: {generated}"))
            }
            (Ensured::Created(_), Some(_)) => {
                crate::print(&format!("  {email}  with the password that you gave"))
            }
            (Ensured::Existing(_), _) => {}
        }
    }
    Ok(())
}

/// A problem as a command shows it.
pub(crate) fn problem(problem: Problem) -> anyhow::Error {
    anyhow!("{problem}")
}
