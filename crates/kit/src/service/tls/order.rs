//! One order of a certificate, from the account to the chain.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
    Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::TlsError;
use super::acme::external_account;
use super::challenge::{Answer, Challenges};
use super::store::Store;
use crate::service::config::AcmeConfig;

/// Between two looks at the state of an order, at first.
const POLL: Duration = Duration::from_millis(500);

/// Why an order gave no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The authority says no, or cannot be reached.
    #[error("the authority: {0}")]
    Authority(#[from] instant_acme::Error),
    /// It offers no way that is known here, or something else than what RFC 8555 says.
    #[error("the authority: {0}")]
    Refused(String),
    /// Keys or certificates cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Making(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// What was got cannot be used or kept.
    #[error(transparent)]
    Keeping(#[from] TlsError),
    /// It took longer than is configured.
    #[error("it took longer than order_timeout_seconds")]
    TimedOut,
}

/// A chain and its key, in PEM.
pub(super) struct Ordered {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Orders a certificate for the configured names.
pub(super) async fn order(
    config: &AcmeConfig,
    store: &Store,
    challenges: &Arc<Challenges>,
) -> Result<Ordered, OrderError> {
    let account = account(config, store).await?;
    let names: Vec<Identifier> = config
        .domains
        .iter()
        .cloned()
        .map(Identifier::Dns)
        .collect();
    let mut order = match account.new_order(&NewOrder::new(&names)).await {
        Err(instant_acme::Error::Api(problem)) if is_unknown_account(&problem) => {
            // The next try makes a new one.
            store.forget_account()?;
            return Err(instant_acme::Error::Api(problem).into());
        }
        order => order?,
    };
    let patience = RetryPolicy::new()
        .initial_delay(POLL)
        .timeout(Duration::from_secs(config.order_timeout_seconds));
    // Answers stay until the order is ready.
    let answers = answer(&mut order, challenges).await?;
    let status = order.poll_ready(&patience).await?;
    if status != OrderStatus::Ready {
        let reason = reason(&mut order).await;
        return Err(OrderError::Refused(reason));
    }
    drop(answers);
    let (request, key) = request(&config.domains)?;
    order.finalize_csr(&request).await?;
    let chain = order.poll_certificate(&patience).await?;
    Ok(Ordered { chain, key })
}

/// An authority that was set up anew (RFC 8555, section 6.7).
fn is_unknown_account(problem: &Problem) -> bool {
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
}

/// The account of before, or a new one, which is kept before it is used.
async fn account(config: &AcmeConfig, store: &Store) -> Result<Account, OrderError> {
    let builder = match &config.ca_file {
        Some(file) => Account::builder_with_root(Path::new(file))?,
        None => Account::builder()?,
    };
    if let Some(credentials) = store.account()? {
        return Ok(builder.from_credentials(credentials).await?);
    }
    let external = external_account(config)?;
    let contact: Vec<&str> = config.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: config.accept_terms,
        only_return_existing: false,
    };
    let (account, credentials) = builder
        .create(&new, config.directory_url.clone(), external.as_ref())
        .await?;
    store.keep_account(&credentials)?;
    tracing::info!(id = account.id(), "a new account with the authority");
    Ok(account)
}

/// Puts the answer of each name in place and tells the authority to look.
async fn answer(
    order: &mut instant_acme::Order,
    challenges: &Arc<Challenges>,
) -> Result<Vec<Answer>, OrderError> {
    let mut answers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            other => {
                return Err(OrderError::Refused(format!(
                    "an authorization is {other:?}"
                )));
            }
        }
        let mut challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .ok_or_else(|| OrderError::Refused("it does not offer tls-alpn-01".into()))?;
        let name = challenge.identifier().to_string();
        let digest = challenge.key_authorization().digest();
        answers.push(challenges.answer(&name, digest.as_ref())?);
        challenge.set_ready().await?;
    }
    Ok(answers)
}

/// What the authority says of the names that it could not verify.
async fn reason(order: &mut instant_acme::Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        let errors = authorization.challenges.iter();
        let errors = errors.filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(errors.map(|error| format!("{name}: {error}")));
    }
    if reasons.is_empty() {
        "the order is not ready, and no reason is given".into()
    } else {
        reasons.join("; ")
    }
}

/// A request for a certificate (DER) with a new key (PEM).
fn request(names: &[String]) -> Result<(Vec<u8>, String), OrderError> {
    let made = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key)?;
        Ok((request.der().to_vec(), key.serialize_pem()))
    };
    made().map_err(|error| OrderError::Making(error.into()))
}
