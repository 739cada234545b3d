//! Mails about accounts: made when they are sent, from what is so then.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use riwaq_api::users::v1::User;
use riwaq_directory::{Account, AccountStatus, SharedDirectory};
use riwaq_kit::{ApiResult, Locale, Problem};
use riwaq_mail::{Address, Mail, MailError, Mailbox, Message};

use super::people::People;
use crate::config::{Config, seconds};
use crate::domain::link::Purpose;
use crate::events::{MailKind, MailRequest};
use crate::http::paths;
use crate::stores::links::{LinkFor, Links, NO_VERSION};
use crate::text::{MailText, Texts};

/// Makes and sends mails. Sending one again (its outcome was unknown) sends the same one: same
/// `Message-ID`, same link.
#[derive(Clone)]
pub(crate) struct Mailer {
    pub(crate) config: Arc<Config>,
    pub(crate) directory: SharedDirectory,
    pub(crate) people: People,
    pub(crate) links: Links,
    pub(crate) mail: Arc<dyn Mail>,
    pub(crate) texts: Arc<Texts>,
}

/// What a mail leads to.
struct MailedLink {
    address: String,
    valid_until: Option<DateTime<Utc>>,
}

impl Mailer {
    /// Sends the mail that was asked for at `asked_at`, if there is still reason to.
    pub(crate) async fn send(
        &self,
        mail_id: &str,
        asked_at: DateTime<Utc>,
        request: &MailRequest,
    ) -> ApiResult<()> {
        let Some(account) = self.directory.get(&[request.subject]).await?.pop() else {
            // Nobody's address was given: nothing is sent, and nobody was told so.
            return Ok(());
        };
        let Some(link) = self.link(mail_id, asked_at, request.kind, &account).await? else {
            return Ok(());
        };
        let Some(person) = self.people.get(account.id).await? else {
            return Err(Problem::unavailable("the account has no profile yet"));
        };
        let message = self.message(mail_id, request.kind, &person, &link)?;
        match self.mail.send(&message).await {
            Ok(()) => Ok(()),
            Err(error @ MailError::Temporary { .. }) => Err(Problem::unavailable(error)),
            Err(error) => Err(Problem::internal(error)),
        }
    }

    /// The address that the mail is about, good from now on; `None` when there is no reason to send it any more.
    async fn link(
        &self,
        mail_id: &str,
        asked_at: DateTime<Utc>,
        kind: MailKind,
        account: &Account,
    ) -> ApiResult<Option<MailedLink>> {
        let lifetimes = &self.config.lifetimes;
        let (purpose, status, path, lifetime) = match kind {
            MailKind::Activation { .. } => (
                Purpose::Activation,
                AccountStatus::Pending,
                paths::ACTIVATE,
                lifetimes.activation_mail_seconds,
            ),
            MailKind::Reset => (
                Purpose::Reset,
                AccountStatus::Active,
                paths::RESET,
                lifetimes.reset_seconds,
            ),
            MailKind::AlreadyRegistered => {
                let active = account.status == AccountStatus::Active;
                let address = self.config.address(paths::FORGOT);
                return Ok(active.then_some(MailedLink {
                    address,
                    valid_until: None,
                }));
            }
        };
        if account.status != status {
            return Ok(None);
        }
        let keeps_password = matches!(
            kind,
            MailKind::Activation {
                keeps_password: true
            }
        );
        let token = self.links.mailed_token(purpose, mail_id);
        let made_for = LinkFor {
            purpose,
            subject: account.id,
            account_version: if keeps_password {
                account.version
            } else {
                NO_VERSION
            },
            expires_at: asked_at + seconds(lifetime),
        };
        self.links.issue(&token, made_for).await?;
        let address = self.config.address(&format!("{path}?token={token}"));
        Ok(Some(MailedLink {
            address,
            valid_until: Some(made_for.expires_at),
        }))
    }

    fn message(
        &self,
        mail_id: &str,
        kind: MailKind,
        person: &User,
        link: &MailedLink,
    ) -> ApiResult<Message> {
        let locale = Locale::from_tag(&person.locale).unwrap_or(self.config.default_locale);
        let name = display_name(person, locale);
        let template = match kind {
            MailKind::Activation { .. } => "activation",
            MailKind::Reset => "reset",
            MailKind::AlreadyRegistered => "already_registered",
        };
        let valid_until = link
            .valid_until
            .map(|until| until.format("%Y-%m-%d %H:%M UTC").to_string());
        let mail = MailText {
            school: &self.config.school_name,
            name: &name,
            link: &link.address,
            valid_until,
        };
        let written = self.texts.mail(template, locale, &mail)?;
        let address: Address = person.email.parse().map_err(Problem::internal)?;
        Ok(Message {
            id: mail_id.to_owned(),
            from: self.config.mail_from.clone(),
            to: Mailbox::named(name, address),
            subject: written.subject,
            text: written.text,
            html: Some(written.html),
            locale: locale.tag().to_owned(),
        })
    }
}

/// The name as its person writes it in the language of the mail.
fn display_name(person: &User, locale: Locale) -> String {
    let arabic = [person.first_name_ar.as_str(), person.last_name_ar.as_str()].join(" ");
    let latin = [person.first_name.as_str(), person.last_name.as_str()].join(" ");
    let chosen = if locale == Locale::Ar && !arabic.trim().is_empty() {
        arabic
    } else {
        latin
    };
    // A header takes no control characters, and 200 bytes.
    let clean: String = chosen.trim().chars().filter(|c| !c.is_control()).collect();
    clean.chars().take(60).collect()
}
