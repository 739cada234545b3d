//! Putting the service together.

use std::sync::Arc;

use chrono::TimeDelta;
use riwaq_kit::{ApiResult, Problem};

use crate::app::{Auth, BuildError, Deps};
use crate::config::{Config, seconds};
use crate::configured::configured_clients;
use crate::domain::attempts::SlowDown;
use crate::events::Publisher;
use crate::flows::accounts::Accounts;
use crate::flows::activation::Activation;
use crate::flows::mailer::Mailer;
use crate::flows::people::People;
use crate::flows::registration::Registration;
use crate::flows::reset::Reset;
use crate::flows::sign_in::SignIn;
use crate::flows::tokens::Tokens;
use crate::http::browser::FormGuard;
use crate::keys::KeyKeeper;
use crate::stores::attempts::AttemptLog;
use crate::stores::clients::Clients;
use crate::stores::codes::Codes;
use crate::stores::intents::Intents;
use crate::stores::links::Links;
use crate::stores::revocations::Revocations;
use crate::stores::sessions::Sessions;
use crate::stores::subjects::Subjects;
use crate::text::Texts;

/// How much longer than a token lives its revocation is kept: what verifiers allow for clocks.
const REVOCATION_MARGIN: TimeDelta = TimeDelta::seconds(30);

/// Stores and keys, before the flows that use them.
struct Parts {
    config: Arc<Config>,
    people: People,
    keys: Arc<KeyKeeper>,
    subjects: Subjects,
    revocations: Revocations,
    links: Links,
    accounts: Accounts,
    mails: AttemptLog,
}

impl Parts {
    fn new(config: Arc<Config>, deps: &Deps) -> ApiResult<Self> {
        let (store, clock) = (&deps.store, &deps.clock);
        let sealing = deps
            .secret
            .sealing("signing keys")
            .ok_or_else(|| Problem::internal("the signing keys' key cannot be made"))?;
        let keys = KeyKeeper::new(
            store.clone(),
            clock.clone(),
            sealing,
            config.keys.clone(),
            config.access_token_algorithm,
        );
        let skew = TimeDelta::milliseconds(i64::from(config.clock_skew_milliseconds));
        let subjects = Subjects::new(store.clone(), clock.clone(), skew, deps.issuing.is_own());
        let lifetime = seconds(config.lifetimes.access_token_seconds) + skew + REVOCATION_MARGIN;
        let revocations = Revocations::new(
            store.clone(),
            deps.events.clone(),
            clock.clone(),
            deps.identity.clone(),
            lifetime,
        );
        let links = Links::new(
            store.clone(),
            clock.clone(),
            subjects.clone(),
            deps.secret.mac("mailed tokens"),
        );
        let accounts = Accounts {
            directory: deps.directory.clone(),
            intents: Intents::new(store.clone(), clock.clone()),
            subjects: subjects.clone(),
            revocations: revocations.clone(),
            publisher: Publisher::new(deps.events.clone(), clock.clone()),
        };
        let mails = attempt_log(deps, "mail", config.mails.clone());
        Ok(Self {
            people: People::new(deps.users.clone()),
            keys: Arc::new(keys),
            config,
            subjects,
            revocations,
            links,
            accounts,
            mails,
        })
    }
}

fn attempt_log(deps: &Deps, kind: &'static str, policy: SlowDown) -> AttemptLog {
    AttemptLog::new(
        deps.store.clone(),
        deps.clock.clone(),
        deps.secret.mac("attempts"),
        kind,
        policy,
    )
}

impl Parts {
    fn tokens(&self, deps: &Deps) -> Tokens {
        let (store, clock) = (&deps.store, &deps.clock);
        let code_lifetime = seconds(self.config.lifetimes.code_seconds);
        Tokens {
            config: self.config.clone(),
            clock: clock.clone(),
            keys: self.keys.clone(),
            directory: deps.directory.clone(),
            sessions: Sessions::new(store.clone(), clock.clone()),
            codes: Codes::new(store.clone(), clock.clone(), code_lifetime),
            subjects: self.subjects.clone(),
            revocations: self.revocations.clone(),
            refresh_key: deps.secret.mac("refresh tokens"),
        }
    }

    fn mailer(&self, deps: &Deps, texts: &Arc<Texts>) -> Mailer {
        Mailer {
            config: self.config.clone(),
            directory: deps.directory.clone(),
            people: self.people.clone(),
            links: self.links.clone(),
            mail: deps.mail.clone(),
            texts: texts.clone(),
        }
    }

    fn activation(&self, deps: &Deps) -> Activation {
        Activation {
            config: self.config.clone(),
            clock: deps.clock.clone(),
            accounts: self.accounts.clone(),
            links: self.links.clone(),
        }
    }

    fn reset(&self, deps: &Deps) -> Reset {
        Reset {
            clock: deps.clock.clone(),
            accounts: self.accounts.clone(),
            links: self.links.clone(),
            mails: self.mails.clone(),
        }
    }

    fn registration(&self, deps: &Deps) -> Registration {
        Registration {
            config: self.config.clone(),
            clock: deps.clock.clone(),
            accounts: self.accounts.clone(),
            people: self.people.clone(),
            mails: self.mails.clone(),
        }
    }
}

impl Auth {
    /// Puts the service together. Reads nothing yet.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: Config, deps: Deps) -> Result<Self, BuildError> {
        config.validate()?;
        let configured = configured_clients(&deps.clients)?;
        let parts = Parts::new(Arc::new(config), &deps)?;
        let texts = Arc::new(Texts::new()?);
        let tokens = parts.tokens(&deps);
        let attempts = attempt_log(&deps, "sign-in", parts.config.sign_in.clone());
        Ok(Self {
            clients: Clients::new(deps.store.clone(), deps.clock.clone(), configured),
            sign_in: SignIn::new(deps.directory.clone(), attempts),
            forms: FormGuard::new(deps.secret.mac("forms"), parts.config.is_secure()),
            mailer: parts.mailer(&deps, &texts),
            activation: parts.activation(&deps),
            reset: parts.reset(&deps),
            registration: parts.registration(&deps),
            codes: tokens.codes.clone(),
            sessions: tokens.sessions.clone(),
            tokens,
            texts,
            config: parts.config,
            keys: parts.keys,
            accounts: parts.accounts,
            people: parts.people,
            clock: deps.clock,
            identity: deps.identity,
            tasks: deps.tasks,
            issuing: deps.issuing,
            mailbox: deps.mailbox,
            events: deps.events,
        })
    }
}
