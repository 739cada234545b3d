//! Sign-in flows. Their names carry a number: a flow that changed in the file has a new one, so that a flow which
//! is in use is never taken apart.

use futures::future::BoxFuture;
use reqwest::Method;
use serde_json::{Value, json};

use super::update::{items, make, text};
use crate::admin::Admin;
use crate::error::CallError;
use crate::http::Answer;

/// Makes the flows of the file that are missing; Keycloak's own are there in every realm.
pub(super) async fn ensure(
    admin: &Admin,
    realm: &str,
    wanted: &Value,
    added: &mut Vec<String>,
) -> Result<(), CallError> {
    let path = format!("{realm}/authentication/flows");
    let there: Vec<Value> = admin.get("list_flows", &path, &[]).await?;
    for flow in items(&wanted["authenticationFlows"]) {
        let alias = text(flow, "alias");
        let ours = flow["topLevel"] == json!(true) && flow["builtIn"] == json!(false);
        if !ours || there.iter().any(|known| text(known, "alias") == alias) {
            continue;
        }
        let top = json!({
            "alias": alias, "description": flow["description"], "providerId": flow["providerId"],
            "topLevel": true, "builtIn": false,
        });
        if !make(admin, "create_flow", &path, &top).await? {
            continue;
        }
        let builder = Builder {
            admin,
            realm,
            wanted,
            top: alias,
        };
        builder.fill(flow).await?;
        added.push(format!("flow {alias}"));
    }
    Ok(())
}

struct Builder<'a> {
    admin: &'a Admin,
    realm: &'a str,
    wanted: &'a Value,
    top: &'a str,
}

impl<'a> Builder<'a> {
    /// Puts the steps into a flow that is empty, in their order.
    fn fill(&'a self, flow: &'a Value) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(async move {
            let path = format!(
                "{}/authentication/flows/{}/executions",
                self.realm,
                encoded(text(flow, "alias"))
            );
            for step in items(&flow["authenticationExecutions"]) {
                let alias = text(step, "flowAlias");
                let inner = items(&self.wanted["authenticationFlows"])
                    .find(|flow| !alias.is_empty() && text(flow, "alias") == alias);
                match inner {
                    Some(inner) => {
                        let body = json!({
                            "alias": alias, "description": inner["description"], "type": inner["providerId"],
                        });
                        let path = format!("{path}/flow");
                        let made = self
                            .admin
                            .change("create_flow_step", Method::POST, &path, Some(&body))
                            .await?;
                        self.set(step, &made).await?;
                        self.fill(inner).await?;
                    }
                    None => {
                        let body = json!({ "provider": step["authenticator"] });
                        let path = format!("{path}/execution");
                        let made = self
                            .admin
                            .change("create_flow_step", Method::POST, &path, Some(&body))
                            .await?;
                        self.set(step, &made).await?;
                        self.configure(step, &made).await?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether the step is required: it is made as disabled. A made flow answers with the flow's id, a made step with
    /// the step's.
    async fn set(&self, step: &Value, made: &Answer) -> Result<(), CallError> {
        let path = format!(
            "{}/authentication/flows/{}/executions",
            self.realm,
            encoded(self.top)
        );
        let steps: Vec<Value> = self.admin.get("list_flow_steps", &path, &[]).await?;
        let id = id_of(made);
        let known = steps
            .iter()
            .find(|known| text(known, "id") == id || text(known, "flowId") == id);
        let Some(known) = known else {
            return Err(CallError::Unreadable {
                operation: "list_flow_steps",
                cause: "a step that was made is not there".into(),
            });
        };
        let mut known = known.clone();
        known["requirement"] = step["requirement"].clone();
        known["priority"] = step["priority"].clone();
        self.admin
            .change("update_flow_step", Method::PUT, &path, Some(&known))
            .await
            .map(|_| ())
    }

    async fn configure(&self, step: &Value, made: &Answer) -> Result<(), CallError> {
        let alias = text(step, "authenticatorConfig");
        let config = items(&self.wanted["authenticatorConfig"])
            .find(|config| !alias.is_empty() && text(config, "alias") == alias);
        let Some(config) = config else { return Ok(()) };
        let path = format!(
            "{}/authentication/executions/{}/config",
            self.realm,
            id_of(made)
        );
        self.admin
            .change("configure_flow_step", Method::POST, &path, Some(config))
            .await
            .map(|_| ())
    }
}

fn id_of(made: &Answer) -> &str {
    let location = made.location.as_deref().unwrap_or_default();
    location.rsplit('/').next().unwrap_or_default()
}

/// For a path: our flows are called by letters, digits and spaces.
fn encoded(alias: &str) -> String {
    alias.replace(' ', "%20")
}
