//! Calls about people.

use reqwest::{Method, StatusCode};
use riwaq_directory::{LoginField, LoginName};
use uuid::Uuid;

use crate::account::Person;
use crate::admin::{Admin, Repeatable};
use crate::error::CallError;
use crate::wire::{CredentialRep, ImportRep, PASSWORD, UserRep};

/// Ids in one question: the line of a request has 4,096 bytes.
const IDS_AT_ONCE: usize = 60;

/// The people of a realm.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    admin: Admin,
    realm: String,
}

impl Users {
    pub(crate) fn new(admin: Admin, realm_name: &str) -> Self {
        Self {
            admin,
            realm: format!("/admin/realms/{realm_name}"),
        }
    }

    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The realm's path.
    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    pub(crate) fn path(&self, id: Uuid) -> String {
        format!("{}/users/{id}", self.realm)
    }

    pub(crate) async fn get(&self, id: Uuid) -> Result<Option<Person>, CallError> {
        let rep = self.admin.find("get_user", &self.path(id), &[]).await?;
        Ok(rep.and_then(Person::from_rep))
    }

    /// Those of the ids that are somebody's, in no order.
    pub(crate) async fn get_many(&self, ids: &[Uuid]) -> Result<Vec<Person>, CallError> {
        if let [id] = ids {
            return Ok(self.get(*id).await?.into_iter().collect());
        }
        let mut people = Vec::new();
        for ids in ids.chunks(IDS_AT_ONCE) {
            let list: Vec<String> = ids.iter().map(Uuid::to_string).collect();
            let search = format!("id:{}", list.join(" "));
            let max = ids.len().to_string();
            let query = [("search", search.as_str()), ("max", max.as_str())];
            people.extend(self.query("get_users", &query).await?);
        }
        Ok(people)
    }

    /// Whoever has this name.
    pub(crate) async fn find(&self, name: &LoginName) -> Result<Option<Person>, CallError> {
        let field = match name.field() {
            LoginField::Email => "email",
            LoginField::Username => "username",
        };
        let query = [(field, name.folded()), ("exact", "true"), ("max", "2")];
        let found = self.query("find_user", &query).await?;
        Ok(found.into_iter().find(|person| match name.field() {
            LoginField::Email => person.has_email(name),
            LoginField::Username => person.has_username(Some(name)),
        }))
    }

    /// People by their place in Keycloak's order.
    pub(crate) async fn page(&self, first: usize, max: usize) -> Result<Vec<UserRep>, CallError> {
        let (first, max) = (first.to_string(), max.to_string());
        let query = [
            ("first", first.as_str()),
            ("max", max.as_str()),
            ("briefRepresentation", "false"),
        ];
        let path = format!("{}/users", self.realm);
        self.admin.get("list_users", &path, &query).await
    }

    async fn query(
        &self,
        operation: &'static str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Person>, CallError> {
        let path = format!("{}/users", self.realm);
        let found: Vec<UserRep> = self.admin.get(operation, &path, query).await?;
        Ok(found.into_iter().filter_map(Person::from_rep).collect())
    }

    /// Whether a password is set, here or in the federation.
    pub(crate) async fn has_password(&self, id: Uuid) -> Result<bool, CallError> {
        let path = self.path(id);
        let credentials: Vec<CredentialRep> = self
            .admin
            .find("get_credentials", &format!("{path}/credentials"), &[])
            .await?
            .unwrap_or_default();
        Ok(credentials.iter().any(|kept| kept.r#type == PASSWORD))
    }

    /// Makes somebody, under their id, in one transaction. Not repeated here: its outcome is looked at.
    pub(crate) async fn import(&self, person: &Person) -> Result<(), CallError> {
        let path = format!("{}/partialImport", self.realm);
        let import = ImportRep::of(&person.rep);
        let call = crate::admin::Call {
            operation: "import_user",
            method: Method::POST,
            path: &path,
            query: &[],
            body: Some(&import),
            repeatable: Repeatable::No,
        };
        self.admin.call(call).await.map(|_| ())
    }

    /// Writes somebody whole, in one transaction.
    pub(crate) async fn put(&self, person: &Person) -> Result<(), CallError> {
        let path = self.path(person.id);
        self.admin
            .change("update_user", Method::PUT, &path, Some(&person.rep))
            .await
            .map(|_| ())
    }

    /// Whether there was anybody.
    pub(crate) async fn delete(&self, id: Uuid) -> Result<bool, CallError> {
        let nothing: Option<&()> = None;
        absent_is_false(
            self.admin
                .change("delete_user", Method::DELETE, &self.path(id), nothing)
                .await
                .map(|_| ()),
        )
    }

    /// Ends every session; tokens from before are refused by Keycloak. Whether there was anybody.
    pub(crate) async fn log_out(&self, id: Uuid) -> Result<bool, CallError> {
        let path = format!("{}/logout", self.path(id));
        let nothing: Option<&()> = None;
        absent_is_false(
            self.admin
                .change("end_sessions", Method::POST, &path, nothing)
                .await
                .map(|_| ()),
        )
    }
}

fn absent_is_false(outcome: Result<(), CallError>) -> Result<bool, CallError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.is(StatusCode::NOT_FOUND) => Ok(false),
        Err(error) => Err(error),
    }
}
