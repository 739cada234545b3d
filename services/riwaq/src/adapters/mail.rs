//! Mail: a folder or SMTP.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use riwaq_clock::SharedClock;
use riwaq_kit::Secret;
use riwaq_mail::Mail;
use riwaq_mail_folder::FolderMail;
use riwaq_mail_smtp::SmtpMail;

use crate::config::{Config, MailEngine};

/// The mail alone.
pub(crate) fn mail(
    config: &Config,
    clock: &SharedClock,
) -> Result<(Arc<dyn Mail>, Option<FolderMail>)> {
    match config.mail.engine {
        MailEngine::Folder => {
            let folder = FolderMail::open(
                &config.data_dir.join("mail"),
                config.mail.folder.clone(),
                Arc::clone(clock),
            )
            .context("mail in a folder")?;
            Ok((Arc::new(folder.clone()), Some(folder)))
        }
        MailEngine::Smtp => {
            if config.mail.smtp.host.is_empty() {
                bail!("mail.smtp.host is not set, and mail.engine is smtp");
            }
            let password = config.mail.smtp_password.as_ref().map(Secret::expose);
            let smtp = SmtpMail::new(&config.mail.smtp, password, Arc::clone(clock))
                .context("mail.smtp")?;
            Ok((Arc::new(smtp), None))
        }
    }
}
