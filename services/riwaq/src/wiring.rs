//! How the roles of a process reach each other and the rest of the installation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, bail};
use axum::body::Body;
use http::Request;
use riwaq_aggregates::CursorKey;
use riwaq_api::{Binder, Bound, CallContext, Channel, ChannelOptions, Remote, SystemResolver};
use riwaq_blobs::{LinkKey, LinkSigner};
use riwaq_clock::SharedClock;
use riwaq_identity::{
    ClientCredentials, GrpcRevocations, GrpcRoles, HttpKeys, Identity, IdentityDeps, ServiceTokens,
};
use riwaq_kit::service::RequestLayer;
use riwaq_kit::{HttpService, Service, TaskGroup, context};
use tonic::service::Routes;
use tower::service_fn;
use url::Url;

use crate::adapters::Adapters;
use crate::config::Config;
use crate::issuer::Issuer;
use crate::roles::{PUBLIC, ROLES, Role};
use crate::secrets::Secrets;

/// What the portal's secret is derived for.
pub(crate) const PORTAL_SECRET: &str = "client of the portal";

/// What services are built from.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) secrets: Secrets,
    pub(crate) adapters: Adapters,
    pub(crate) identity: Identity,
    pub(crate) issuer: Issuer,
    /// The REST of each role but the public one.
    pub(crate) upstreams: BTreeMap<&'static str, HttpService>,
    /// Those of `upstreams` and of the services' tokens: the public role drains them as its own, and the end of any
    /// other process may cut them off.
    pub(crate) tasks: TaskGroup,
    channels: BTreeMap<&'static str, Channel>,
    tokens: Tokens,
}

/// What stays to be filled in once the services of this process are built.
pub(crate) struct Loose {
    binders: BTreeMap<&'static str, Binder>,
    slots: BTreeMap<&'static str, Arc<OnceLock<HttpService>>>,
    /// Channels stay bound as long as these live.
    bound: Vec<Bound>,
}

impl Parts {
    /// The parts of a process that hosts `here`; the other roles are reached by their configured addresses.
    pub(crate) fn new(
        config: Config,
        secrets: Secrets,
        adapters: Adapters,
        clock: SharedClock,
        here: &[&'static Role],
    ) -> Result<(Self, Loose)> {
        let mut loose = Loose {
            binders: BTreeMap::new(),
            slots: BTreeMap::new(),
            bound: Vec::new(),
        };
        let (mut channels, mut upstreams) = (BTreeMap::new(), BTreeMap::new());
        let tasks = TaskGroup::new();
        for role in ROLES.iter().filter(|role| role.name != PUBLIC) {
            if here.iter().any(|hosted| hosted.name == role.name) {
                let (channel, binder) = Channel::deferred();
                channels.insert(role.name, channel);
                loose.binders.insert(role.name, binder);
                let slot = Arc::new(OnceLock::new());
                upstreams.insert(role.name, later(role.name, Arc::clone(&slot)));
                loose.slots.insert(role.name, slot);
            } else if here.iter().any(|hosted| hosted.asks.contains(&role.name)) {
                let addresses = addresses(&config, role.name)?;
                channels.insert(
                    role.name,
                    remote_channel(&config, role.name, &addresses, &clock)?,
                );
                let http = riwaq_gateway::remote(
                    role.name,
                    &addresses,
                    Arc::new(SystemResolver),
                    clock.clone(),
                    tasks.clone(),
                )?;
                upstreams.insert(role.name, http);
            }
        }
        let auth = upstreams.get("auth").cloned();
        let auth = auth.unwrap_or_else(|| later("auth", Arc::default()));
        let issuer = Issuer::new(&config, auth, &clock)?;
        let tokens = Tokens::new(&secrets, &clock, issuer.clone(), &tasks);
        let identity = identity(&config, &clock, &channels, &tokens, here)?;
        let parts = Self {
            config,
            clock,
            secrets,
            adapters,
            identity,
            issuer,
            upstreams,
            tasks,
            channels,
            tokens,
        };
        Ok((parts, loose))
    }

    /// The channel on which role `from` calls role `to`, with its own tokens.
    pub(crate) fn channel(&self, from: &'static str, to: &str) -> Channel {
        match self.channels.get(to) {
            Some(channel) => channel.clone().with_tokens(self.tokens.of(from)),
            // A role's `asks` names whom it calls; a test holds the table to it.
            None => Channel::deferred().0,
        }
    }

    /// Signs the cursors of a role's lists.
    pub(crate) fn cursors(&self, role: &str) -> Result<CursorKey> {
        Ok(CursorKey::new(
            &self.secrets.derive(&format!("cursors of {role}")),
        )?)
    }

    /// Signs links to files.
    pub(crate) fn link_signer(&self) -> Result<LinkSigner> {
        Ok(LinkSigner::new(
            LinkKey::new(&self.secrets.derive("links to files"))?,
            None,
        ))
    }

    /// What this process is called on the event bus: no two that run are called alike.
    pub(crate) fn replica(&self, role: &str) -> String {
        format!("{role}-{}", riwaq_kit::new_id(self.clock.as_ref()))
    }
}

impl Loose {
    /// Binds a service of this process to the channel that stands for it.
    pub(crate) fn begin(&mut self, service: &Service, parts: &Parts) -> &'static str {
        if let (Some(binder), Some(routes)) =
            (self.binders.remove(service.name()), service.grpc_routes())
        {
            // What a listener would put around them: a step of the trace, a line of the log, a metric.
            let config = &parts.config.server;
            let layer = RequestLayer::new(service.name(), parts.clock.clone(), config.max_requests);
            let routes = Routes::from(routes.into_axum_router().layer(layer));
            let channel =
                Channel::local_with(routes, options(&parts.config, service.name(), &parts.clock));
            self.bound.push(binder.bind(&channel));
        }
        service.name()
    }

    /// Puts the hosted service where its REST is awaited.
    pub(crate) fn offer(&mut self, name: &str, http: HttpService) {
        if let Some(slot) = self.slots.remove(name) {
            let _ = slot.set(http);
        }
    }
}

/// An HTTP service of this process that is filled in later: services need each other to be built.
fn later(name: &'static str, slot: Arc<OnceLock<HttpService>>) -> HttpService {
    HttpService::new(service_fn(move |request: Request<Body>| {
        let service = slot.get().cloned();
        async move {
            match service {
                Some(service) => service.call(request).await,
                None => Err(format!("{name} has not started yet").into()),
            }
        }
    }))
}

fn addresses(config: &Config, role: &str) -> Result<Vec<Url>> {
    let peers = &config.peers;
    let configured = match role {
        "auth" => &peers.auth,
        "users" => &peers.users,
        "courses" => &peers.courses,
        "files" => &peers.files,
        "search" => &peers.search,
        "chatbot" => &peers.chatbot,
        _ => bail!("{role} has no address"),
    };
    let parts = configured
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let urls: Vec<Url> = parts
        .map(|part| Url::parse(part).with_context(|| format!("peers.{role}: {part}")))
        .collect::<Result<_>>()?;
    if urls.is_empty() {
        bail!(
            "peers.{role} is not set: this role must know where {role} answers, as http://host:port"
        );
    }
    Ok(urls)
}

fn remote_channel(
    config: &Config,
    role: &str,
    addresses: &[Url],
    clock: &SharedClock,
) -> Result<Channel> {
    let remote = Remote::new(
        addresses
            .iter()
            .map(|url| url.as_str().trim_end_matches('/')),
    );
    Ok(Channel::remote(remote, options(config, role, clock))?)
}

fn options(config: &Config, name: &str, clock: &SharedClock) -> ChannelOptions {
    let mut options = ChannelOptions::named(name);
    options.policy.deadline_ms = config.calls.deadline_ms;
    options.clock = clock.clone();
    options.context = CallContext {
        inject: context::inject,
        time_left: riwaq_api::deadline::inherited,
    };
    options
}

fn identity(
    config: &Config,
    clock: &SharedClock,
    channels: &BTreeMap<&'static str, Channel>,
    tokens: &Tokens,
    here: &[&'static Role],
) -> Result<Identity> {
    let (Some(auth), Some(users)) = (channels.get("auth"), channels.get("users")) else {
        bail!("a role that verifies tokens asks auth and users");
    };
    let issuer = &tokens.issuer;
    // A process of several roles asks as the public one.
    let asking = if let [only] = here { only.name } else { PUBLIC };
    let deps = IdentityDeps {
        clock: clock.clone(),
        keys: Arc::new(HttpKeys::new(issuer.http(), issuer.keys(), clock.clone())),
        revocations: Arc::new(GrpcRevocations(auth.clone().with_tokens(tokens.of(asking)))),
        roles: Arc::new(GrpcRoles(users.clone().with_tokens(tokens.of(asking)))),
    };
    Ok(Identity::new(config.identity.clone(), deps))
}

/// The tokens of the roles of this process, one source for each.
struct Tokens {
    clock: SharedClock,
    secrets: Secrets,
    issuer: Issuer,
    tasks: TaskGroup,
    sources: Mutex<BTreeMap<&'static str, Arc<ServiceTokens>>>,
}

impl Tokens {
    fn new(secrets: &Secrets, clock: &SharedClock, issuer: Issuer, tasks: &TaskGroup) -> Self {
        Self {
            clock: clock.clone(),
            secrets: secrets.clone(),
            issuer,
            tasks: tasks.clone(),
            sources: Mutex::default(),
        }
    }

    fn of(&self, role: &'static str) -> Arc<ServiceTokens> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let source = sources.entry(role).or_insert_with(|| {
            let credentials = ClientCredentials {
                token_endpoint: self.issuer.tokens(),
                client_id: format!("riwaq-{role}"),
                client_secret: client_secret(&self.secrets, role),
            };
            let (clock, tasks) = (self.clock.clone(), self.tasks.clone());
            let http = self.issuer.http();
            Arc::new(ServiceTokens::new(http, credentials, clock, tasks))
        });
        Arc::clone(source)
    }
}

/// What a role signs in with at the issuer.
pub(crate) fn client_secret(secrets: &Secrets, role: &str) -> String {
    secrets
        .derive_text(&format!("client riwaq-{role}"))
        .expose()
        .to_owned()
}
