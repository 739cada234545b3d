//! `riwaq user`: people's accounts.

use std::collections::BTreeMap;
use std::io::BufRead;

use anyhow::{Context, Result, bail};
use riwaq_api::clients;
use riwaq_api::users::v1::{GetUsersRequest, User as Profile};
use riwaq_auth::{EnsureAccount, Ensured};
use uuid::Uuid;

use super::demo::problem;
use super::operator::Operator;
use crate::cli::{Sources, User};
use crate::secrets::random_text;

const PASSWORD_BYTES: usize = 15;
const PAGE: usize = 100;

pub(crate) async fn run(command: User) -> Result<()> {
    match command {
        User::Create {
            sources,
            email,
            first_name,
            last_name,
            roles,
            password_stdin,
        } => {
            let names = (first_name, last_name);
            create(&sources, email, names, roles, password_stdin).await
        }
        User::List { sources } => list(&sources).await,
        User::SetRole {
            sources,
            email,
            roles,
        } => set_role(&sources, &email, roles).await,
        User::SetPassword {
            sources,
            email,
            password_stdin,
        } => set_password(&sources, &email, password_stdin).await,
    }
}

async fn create(
    sources: &Sources,
    email: String,
    (first_name, last_name): (String, String),
    roles: Vec<String>,
    password_stdin: bool,
) -> Result<()> {
    let password = password(password_stdin)?;
    let operator = Operator::open(sources).await?;
    let wanted = EnsureAccount {
        email: email.clone(),
        username: None,
        first_name,
        last_name,
        locale: "fr".to_owned(),
        roles: roles.into_iter().collect(),
        password: password.text.clone(),
    };
    match operator
        .auth
        .ensure_account(wanted)
        .await
        .map_err(problem)?
    {
        Ensured::Created(id) => {
            crate::print(&format!("{id}  {email}"));
            password.show();
            Ok(())
        }
        Ensured::Existing(id) => {
            bail!("{email} has an account already ({id}); nothing was changed")
        }
    }
}

async fn list(sources: &Sources) -> Result<()> {
    let operator = Operator::open(sources).await?;
    let mut after: Option<String> = None;
    loop {
        let page = operator
            .auth
            .list_accounts(after.as_deref(), PAGE)
            .await
            .map_err(problem)?;
        let ids: Vec<String> = page
            .accounts
            .iter()
            .map(|account| account.id.to_string())
            .collect();
        let profiles = profiles(&operator, ids).await?;
        for account in &page.accounts {
            let profile = profiles.get(&account.id.to_string());
            let email = profile.map_or("(no profile)", |profile| profile.email.as_str());
            let roles: Vec<&str> = account.roles.iter().map(String::as_str).collect();
            crate::print(&format!(
                "{}  {:?}  {email}  {}",
                account.id,
                account.status,
                roles.join(",")
            ));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

async fn profiles(operator: &Operator, ids: Vec<String>) -> Result<BTreeMap<String, Profile>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let channel = operator.host.parts.channel("auth", "users");
    let answer = clients::users(&channel)
        .get_users(GetUsersRequest { ids })
        .await
        .map_err(|status| anyhow::anyhow!("the users service: {status}"))?;
    Ok(answer
        .into_inner()
        .users
        .into_iter()
        .map(|user| (user.id.clone(), user))
        .collect())
}

async fn set_role(sources: &Sources, email: &str, roles: Vec<String>) -> Result<()> {
    let operator = Operator::open(sources).await?;
    let id = find(&operator, email).await?;
    let account = operator
        .auth
        .set_roles(id, roles.into_iter().collect())
        .await
        .map_err(problem)?;
    let roles: Vec<&str> = account.roles.iter().map(String::as_str).collect();
    crate::print(&format!("{id}  {email}  {}", roles.join(",")));
    Ok(())
}

async fn set_password(sources: &Sources, email: &str, password_stdin: bool) -> Result<()> {
    let password = password(password_stdin)?;
    let operator = Operator::open(sources).await?;
    let id = find(&operator, email).await?;
    operator
        .auth
        .set_password(id, &password.text)
        .await
        .map_err(problem)?;
    crate::print(&format!("{id}  {email}"));
    password.show();
    Ok(())
}

async fn find(operator: &Operator, email: &str) -> Result<Uuid> {
    let account = operator.auth.find_account(email).await.map_err(problem)?;
    Ok(account
        .with_context(|| format!("{email} has no account"))?
        .id)
}

struct NewPassword {
    text: String,
    generated: bool,
}

impl NewPassword {
    fn show(&self) {
        if self.generated {
            crate::print(&format!("password: {}", self.text));
        }
    }
}

/// Never from the command line, where every process of the machine could read it.
fn password(from_stdin: bool) -> Result<NewPassword> {
    if !from_stdin {
        return Ok(NewPassword {
            text: random_text(PASSWORD_BYTES)?,
            generated: true,
        });
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .context("reading the password")?;
    let text = line.trim_end_matches(['\r', '\n']).to_owned();
    Ok(NewPassword {
        text,
        generated: false,
    })
}
