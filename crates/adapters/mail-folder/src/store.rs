//! The files: `{microseconds since 1970}-{unique}.eml`, so that names sort by time.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use chrono::{DateTime, Utc};
use mail_parser::{HeaderName, Message, MessageParser, MimeHeaders};
use riwaq_mail::mime::ID_HEADER;
use uuid::Uuid;

use crate::StoredMail;
use crate::links::links;

const ENDING: &str = ".eml";
const UNFINISHED: &str = ".part";

/// Makes the folder and clears what a crash left unfinished.
pub(crate) fn open(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .file_name()
            .and_then(OsStr::to_str)
            .is_some_and(|name| name.ends_with(UNFINISHED))
        {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

pub(crate) fn write(
    folder: &Path,
    now: DateTime<Utc>,
    message_id: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let local = message_id.split('@').next().unwrap_or_default();
    // The same message sent again is one more file: it was one more mail.
    let name = format!(
        "{:020}-{local}-{}",
        now.timestamp_micros(),
        Uuid::now_v7().simple()
    );
    let unfinished = folder.join(format!("{name}{UNFINISHED}"));
    let mut file = File::create_new(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(format!("{name}{ENDING}")))?;
    // The name itself is durable only when the folder is.
    File::open(folder)?.sync_all()
}

pub(crate) fn prune(folder: &Path, keep: usize) -> io::Result<()> {
    for name in names(folder)?.into_iter().skip(keep) {
        match fs::remove_file(folder.join(name)) {
            // Another sender pruned it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Whatever else lies in the folder is neither listed nor deleted.
fn is_ours(name: &str) -> bool {
    let time = name
        .strip_suffix(ENDING)
        .and_then(|name| name.split('-').next());
    time.is_some_and(|time| time.len() == 20 && time.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Newest first.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(
            entry?
                .file_name()
                .into_string()
                .ok()
                .filter(|name| is_ours(name)),
        );
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

pub(crate) fn list(folder: &Path, limit: usize) -> io::Result<Vec<StoredMail>> {
    let mut mails = Vec::new();
    for name in names(folder)? {
        if mails.len() >= limit {
            break;
        }
        let bytes = match fs::read(folder.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        match stored(&name, &bytes) {
            Some(mail) => mails.push(mail),
            None => tracing::warn!(name, "a file in the mail folder is no mail of ours"),
        }
    }
    Ok(mails)
}

fn stored(name: &str, bytes: &[u8]) -> Option<StoredMail> {
    let micros: i64 = name.split('-').next()?.parse().ok()?;
    let parser = MessageParser::default()
        .with_minimal_headers()
        .header_text(HeaderName::Other(ID_HEADER.into()));
    let message = parser.parse(bytes)?;
    let text = body(&message, "plain")?;
    let html = body(&message, "html");
    Some(StoredMail {
        id: message.header(ID_HEADER)?.as_text()?.to_owned(),
        to: message.to()?.first()?.address()?.to_owned(),
        subject: message.subject()?.to_owned(),
        links: links(&text, html.as_deref()),
        text,
        html,
        at: DateTime::from_timestamp_micros(micros)?,
    })
}

/// The part as it is: the parser's own `body_html` would make HTML of a plain text.
fn body(message: &Message<'_>, subtype: &str) -> Option<String> {
    let is_wanted = |part: &&mail_parser::MessagePart<'_>| {
        part.content_type()
            .is_some_and(|t| t.subtype() == Some(subtype))
    };
    let part = message.parts.iter().find(is_wanted)?;
    Some(part.text_contents()?.replace("\r\n", "\n"))
}
