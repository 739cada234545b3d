//! Pages of all accounts. Keycloak counts places in its order by user name; people come and go between two
//! pages, so a cursor remembers who was seen last, and looks for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use riwaq_directory::{AccountPage, DirectoryError, MAX_LIST};
use uuid::Uuid;

use crate::account::Person;
use crate::directory::KeycloakDirectory;
use crate::error::CallError;
use crate::wire::UserRep;

/// How many of those who were seen last are remembered.
const REMEMBERED: usize = 8;
/// How many places are looked at in one go.
const STRIDE: usize = 200;
const FORMAT: u8 = 1;

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    /// The place after the last one that was shown.
    place: u32,
    /// Who was there, the last one last.
    seen: Vec<Uuid>,
}

impl Cursor {
    fn encode(&self) -> String {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.place.to_be_bytes());
        for id in &self.seen {
            bytes.extend(id.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, ids) = bytes.split_at_checked(5)?;
        let whole = ids.len() % 16 == 0 && (1..=REMEMBERED).contains(&(ids.len() / 16));
        if head[0] != FORMAT || !whole {
            return None;
        }
        let place = u32::from_be_bytes(head[1..].try_into().ok()?);
        let seen = ids.chunks(16).filter_map(|id| Uuid::from_slice(id).ok());
        Some(Self {
            place,
            seen: seen.collect(),
        })
    }

    /// After a page: who is remembered of it and of the pages before.
    fn after(earlier: &[Uuid], place: usize, page: &[UserRep]) -> Self {
        let shown = page.iter().filter_map(|rep| Uuid::try_parse(&rep.id).ok());
        let all: Vec<Uuid> = earlier.iter().copied().chain(shown).collect();
        Self {
            place: u32::try_from(place).unwrap_or(u32::MAX),
            seen: all[all.len().saturating_sub(REMEMBERED)..].to_vec(),
        }
    }
}

impl KeycloakDirectory {
    pub(crate) async fn page(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<AccountPage, DirectoryError> {
        if !(1..=MAX_LIST).contains(&limit) {
            return Err(DirectoryError::invalid(
                "limit",
                format!("from 1 to {MAX_LIST}"),
            ));
        }
        let cursor = after
            .map(|text| Cursor::decode(text).ok_or(DirectoryError::BadCursor))
            .transpose()?;
        let (begin, page) = match &cursor {
            None => (0, self.users.page(0, limit).await?),
            Some(cursor) => self.go_on(cursor, limit).await?,
        };
        let is_last = page.len() < limit;
        let seen = cursor.map(|cursor| cursor.seen).unwrap_or_default();
        let next = Cursor::after(&seen, begin + page.len(), &page);
        let people: Vec<Person> = page.into_iter().filter_map(Person::from_rep).collect();
        Ok(AccountPage {
            accounts: self.accounts(people).await?,
            next: (!is_last).then(|| next.encode()),
        })
    }

    /// The page after those who were seen, and the place where it begins.
    async fn go_on(
        &self,
        cursor: &Cursor,
        limit: usize,
    ) -> Result<(usize, Vec<UserRep>), CallError> {
        let place = cursor.place as usize;
        let first = place.saturating_sub(cursor.seen.len());
        // Nearly always everybody is where they were: one question.
        let window = self.users.page(first, place - first + limit).await?;
        if let Some(at) = last_seen(&window, &cursor.seen) {
            let begin = first + at + 1;
            let mut page = window.into_iter().skip(at + 1).collect::<Vec<_>>();
            page.truncate(limit);
            if page.len() < limit {
                page = self.users.page(begin, limit).await?;
            }
            return Ok((begin, page));
        }
        let begin = match self.search(first, &cursor.seen).await? {
            Some(place) => place + 1,
            // Nobody of them is left: from the beginning, since nobody may be left out.
            None => 0,
        };
        Ok((begin, self.users.page(begin, limit).await?))
    }

    /// The place of somebody who was seen: people before them have gone, or have come.
    async fn search(&self, from: usize, seen: &[Uuid]) -> Result<Option<usize>, CallError> {
        let mut end = from;
        while end > 0 {
            let first = end.saturating_sub(STRIDE);
            let window = self.users.page(first, end - first).await?;
            if let Some(at) = last_seen(&window, seen) {
                return Ok(Some(first + at));
            }
            end = first;
        }
        let mut first = from;
        loop {
            let window = self.users.page(first, STRIDE).await?;
            if let Some(at) = last_seen(&window, seen) {
                return Ok(Some(first + at));
            }
            if window.len() < STRIDE {
                return Ok(None);
            }
            first += STRIDE;
        }
    }
}

/// The last place in the window of somebody who was seen.
fn last_seen(window: &[UserRep], seen: &[Uuid]) -> Option<usize> {
    window
        .iter()
        .rposition(|rep| Uuid::try_parse(&rep.id).is_ok_and(|id| seen.contains(&id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: std::ops::Range<u128>) -> Vec<UserRep> {
        ids.map(|n| UserRep {
            id: Uuid::from_u128(n).to_string(),
            ..UserRep::default()
        })
        .collect()
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let cursor = Cursor::after(&[], 3, &page(0..3));
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor.clone()));
        for bad in ["", "AA", "garbage", "\0", "💥"] {
            assert_eq!(Cursor::decode(bad), None, "{bad:?}");
        }
        let mut long = cursor.encode();
        long.push_str("AAAA");
        assert_eq!(Cursor::decode(&long), None);
    }

    #[test]
    fn the_last_ones_are_remembered_over_small_pages() {
        let mut cursor = Cursor::after(&[], 1, &page(0..1));
        for n in 1..20 {
            cursor = Cursor::after(&cursor.seen, 1, &page(n..n + 1));
        }
        let expected: Vec<Uuid> = (12..20).map(Uuid::from_u128).collect();
        assert_eq!(cursor.seen, expected);
        assert_eq!(last_seen(&page(10..16), &cursor.seen), Some(5));
        assert_eq!(last_seen(&page(30..40), &cursor.seen), None);
    }
}
