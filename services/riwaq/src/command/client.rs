//! `riwaq client`: programs that sign in as themselves.

use std::collections::BTreeSet;

use anyhow::Result;
use riwaq_auth::{Grant, NewClient};

use super::demo::problem;
use super::operator::Operator;
use crate::cli::Client;

pub(crate) async fn run(command: Client) -> Result<()> {
    let Client::Create { sources, name } = command;
    let operator = Operator::open(&sources).await?;
    let client = NewClient {
        client_id: name.clone(),
        name,
        confidential: true,
        redirect_uris: Vec::new(),
        post_logout_redirect_uris: Vec::new(),
        grants: BTreeSet::from([Grant::ClientCredentials]),
        roles: BTreeSet::new(),
    };
    let created = operator.auth.create_client(client).await.map_err(problem)?;
    crate::print(&format!("client_id: {}", created.client_id));
    if let Some(secret) = created.client_secret {
        crate::print(&format!("client_secret: {secret}"));
        crate::print("The secret is shown this once.");
    }
    Ok(())
}
