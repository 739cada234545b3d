//! Office documents are ZIP archives of XML. Sizes that an archive declares are not believed:
//! what counts is what is really unpacked.

use std::cell::Cell;
use std::io::{BufReader, Cursor, Read};
use std::rc::Rc;

use zip::ZipArchive;
use zip::result::ZipError;

use super::broken;
use crate::{Failure, Limits, Reason};

/// The beginning of an OLE compound file: Office documents before 2007, and encrypted ones since.
const COMPOUND_FILE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// An archive with an allowance of unpacked bytes for all its entries together.
pub(super) struct Archive<'b> {
    zip: ZipArchive<Cursor<&'b [u8]>>,
    allowance: Rc<Cell<u64>>,
}

/// An entry, read until the allowance is used up; then it fails.
pub(super) struct Entry<'a, 'b> {
    file: zip::read::ZipFile<'a, Cursor<&'b [u8]>>,
    allowance: Rc<Cell<u64>>,
}

/// Marks the error of an entry that is too large.
const USED_UP: &str = "the archive unpacks to more than is allowed";

impl Read for Entry<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        let left = self.allowance.get().checked_sub(read as u64);
        self.allowance
            .set(left.ok_or_else(|| std::io::Error::other(USED_UP))?);
        Ok(read)
    }
}

impl<'b> Archive<'b> {
    pub(super) fn open(bytes: &'b [u8], limits: &Limits) -> Result<Self, Failure> {
        if bytes.starts_with(COMPOUND_FILE) {
            let name: Vec<u8> = "EncryptedPackage"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
            let encrypted = bytes.windows(name.len()).any(|window| window == name);
            return Err(if encrypted {
                Failure::new(Reason::Encrypted, "an encrypted Office document")
            } else {
                Failure::new(Reason::Unsupported, "an Office document from before 2007")
            });
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| failure(&error))?;
        if zip.len() > limits.archive_entries {
            let most = limits.archive_entries;
            return Err(Failure::new(
                Reason::TooLarge,
                format!("more than {most} entries"),
            ));
        }
        Ok(Self {
            zip,
            allowance: Rc::new(Cell::new(limits.unpacked_bytes)),
        })
    }

    /// An entry; none where there is no such name.
    pub(super) fn entry(
        &mut self,
        name: &str,
    ) -> Result<Option<BufReader<Entry<'_, 'b>>>, Failure> {
        let allowance = Rc::clone(&self.allowance);
        match self.zip.by_name(name) {
            Ok(file) => Ok(Some(BufReader::new(Entry { file, allowance }))),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    /// An entry that must be there.
    pub(super) fn needed(&mut self, name: &str) -> Result<BufReader<Entry<'_, 'b>>, Failure> {
        self.entry(name)?
            .ok_or_else(|| broken(format!("no {name} in it")))
    }
}

fn failure(error: &ZipError) -> Failure {
    match error {
        ZipError::UnsupportedArchive(text) if text.contains("Password") => {
            Failure::new(Reason::Encrypted, *text)
        }
        ZipError::InvalidPassword => Failure::new(Reason::Encrypted, "an encrypted archive"),
        other => broken(format!("not an archive: {other}")),
    }
}

/// What an error in the middle of an entry means.
pub(super) fn reading(error: &std::io::Error) -> Failure {
    if error.to_string().contains(USED_UP) {
        Failure::new(Reason::TooLarge, USED_UP)
    } else {
        broken(error.to_string())
    }
}
