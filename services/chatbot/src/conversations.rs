//! Conversations as they are kept.
//!
//! A conversation is deleted in steps that may be repeated: it is marked (and from then on nobody
//! sees it), its messages are deleted, then its own row. A crash in between is made good by
//! whoever lists the person's conversations next. An answer that is being given meanwhile looks
//! again after it has written itself, and takes itself back.

use riwaq_clock::SharedClock;
use riwaq_kit::{Code, ETag, IfMatch, Problem};
use riwaq_records::{Decision, Expect, Store};
use uuid::Uuid;

use crate::Config;
use crate::domain::{Answer, title_of};
use crate::records::{ConversationRow, MessageRow};

/// How often a change is tried when others change the same conversation.
const ATTEMPTS: usize = 8;
/// Messages that are deleted in one batch.
const BATCH: usize = 100;

#[derive(Debug)]
pub(crate) struct Conversations {
    store: Store,
    clock: SharedClock,
    conversations_max: usize,
    messages_max: usize,
    title_max_chars: usize,
}

/// A conversation with its messages, oldest first.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) row: ConversationRow,
    pub(crate) messages: Vec<MessageRow>,
}

impl Conversation {
    /// Changes with the title and with every message.
    pub(crate) fn etag(&self) -> ETag {
        etag(&self.row, self.messages.last().map_or(0, |last| last.at))
    }
}

fn etag(row: &ConversationRow, last_message_at: i64) -> ETag {
    ETag::opaque(&format!("v{}-{last_message_at}", row.version))
}

/// A page of a person's conversations, newest first; and those found half deleted.
#[derive(Debug)]
pub(crate) struct ConversationPage {
    pub(crate) rows: Vec<ConversationRow>,
    pub(crate) next: Option<Uuid>,
    pub(crate) to_purge: Vec<ConversationRow>,
}

impl Conversations {
    pub(crate) fn new(store: Store, clock: SharedClock, config: &Config) -> Self {
        Self {
            store,
            clock,
            conversations_max: config.conversations_max,
            messages_max: config.messages_max,
            title_max_chars: config.title_max_chars,
        }
    }

    /// Makes a conversation; again with the same id gives the one that is there.
    pub(crate) async fn create(
        &self,
        user_id: Uuid,
        conversation_id: Uuid,
        title: Option<String>,
    ) -> Result<ConversationRow, Problem> {
        let kept = self.store.scan::<ConversationRow>((user_id,)).all().await?;
        let again = kept
            .iter()
            .any(|row| row.conversation_id == conversation_id);
        if kept.len() >= self.conversations_max && !again {
            let most = self.conversations_max;
            return Err(Problem::conflict(format!(
                "there are {most} conversations already; delete some"
            )));
        }
        let now = self.clock.now();
        let row = ConversationRow {
            user_id,
            conversation_id,
            title,
            version: 1,
            deleted: false,
            created_at: now,
            updated_at: now,
        };
        match self.store.insert_if_absent(&row, conversation_id).await? {
            Decision::Applied => Ok(row),
            Decision::Refused { current } => current
                .map(|current| current.row)
                .filter(|row| !row.deleted)
                .ok_or_else(no_conversation),
        }
    }

    pub(crate) async fn page(
        &self,
        user_id: Uuid,
        mut after: Option<Uuid>,
        limit: usize,
    ) -> Result<ConversationPage, Problem> {
        let (mut rows, mut to_purge) = (Vec::new(), Vec::new());
        loop {
            let missing = limit - rows.len();
            let mut scan = self
                .store
                .scan::<ConversationRow>((user_id,))
                .limit(missing);
            if let Some(after) = after {
                scan = scan.after((after,));
            }
            let page = scan.page().await?;
            after = page.next.map(|(last,)| last);
            for row in page.rows {
                if row.deleted {
                    to_purge.push(row)
                } else {
                    rows.push(row)
                }
            }
            if after.is_none() || rows.len() >= limit {
                return Ok(ConversationPage {
                    rows,
                    next: after,
                    to_purge,
                });
            }
        }
    }

    /// The conversation's row; 404 also where it is another person's.
    pub(crate) async fn row(
        &self,
        user_id: Uuid,
        conversation_id: Uuid,
    ) -> Result<ConversationRow, Problem> {
        let row = self
            .store
            .get::<ConversationRow>((user_id, conversation_id))
            .await?;
        row.filter(|row| !row.deleted).ok_or_else(no_conversation)
    }

    pub(crate) async fn read(
        &self,
        user_id: Uuid,
        conversation_id: Uuid,
    ) -> Result<Conversation, Problem> {
        let row = self.row(user_id, conversation_id).await?;
        let messages = self.messages(conversation_id).await?;
        Ok(Conversation { row, messages })
    }

    async fn messages(&self, conversation_id: Uuid) -> Result<Vec<MessageRow>, Problem> {
        Ok(self
            .store
            .scan::<MessageRow>((conversation_id,))
            .all()
            .await?)
    }

    async fn last_message_at(&self, conversation_id: Uuid) -> Result<i64, Problem> {
        let last = self
            .store
            .scan::<MessageRow>((conversation_id,))
            .backward()
            .first()
            .await?;
        Ok(last.map_or(0, |last| last.at))
    }

    pub(crate) async fn rename(
        &self,
        user_id: Uuid,
        conversation_id: Uuid,
        if_match: &IfMatch,
        title: &str,
    ) -> Result<(ConversationRow, ETag), Problem> {
        let title = Some(title.to_owned());
        self.change(user_id, conversation_id, if_match, |row| {
            row.title.clone_from(&title)
        })
        .await
    }

    /// Marks it, then deletes its messages and itself.
    pub(crate) async fn delete(
        &self,
        user_id: Uuid,
        conversation_id: Uuid,
        if_match: &IfMatch,
    ) -> Result<(), Problem> {
        let (marked, _) = self
            .change(user_id, conversation_id, if_match, |row| row.deleted = true)
            .await?;
        self.purge(&marked).await
    }

    async fn change(
        &self,
        user_id: Uuid,
        conversation_id: Uuid,
        if_match: &IfMatch,
        change: impl Fn(&mut ConversationRow),
    ) -> Result<(ConversationRow, ETag), Problem> {
        for _ in 0..ATTEMPTS {
            let present = self.row(user_id, conversation_id).await?;
            let last_message_at = self.last_message_at(conversation_id).await?;
            if_match.check(&etag(&present, last_message_at))?;
            let mut changed = present.clone();
            change(&mut changed);
            if self.replace(&present, &mut changed).await? {
                let etag = etag(&changed, last_message_at);
                return Ok((changed, etag));
            }
            // Read again: with If-Match the next round says that it is stale.
        }
        Err(Problem::conflict(
            "others change the conversation all the time; try again",
        ))
    }

    async fn replace(
        &self,
        present: &ConversationRow,
        changed: &mut ConversationRow,
    ) -> Result<bool, Problem> {
        changed.version = present.version + 1;
        changed.updated_at = self.clock.now();
        let expect = Expect::column("version", present.version);
        let op_id = riwaq_aggregates::new_op_id();
        Ok(self
            .store
            .compare_and_set(changed, expect, op_id)
            .await?
            .is_applied())
    }

    /// Deletes the messages of a marked conversation, then the conversation.
    pub(crate) async fn purge(&self, marked: &ConversationRow) -> Result<(), Problem> {
        let now = self.clock.now_micros();
        loop {
            let page = self
                .store
                .scan::<MessageRow>((marked.conversation_id,))
                .limit(BATCH)
                .page()
                .await?;
            if page.rows.is_empty() {
                break;
            }
            let mut batch = self.store.batch();
            for row in &page.rows {
                let key = (row.conversation_id, row.at, row.message_id);
                batch = batch.delete_at::<MessageRow>(key, now.max(row.at))?;
            }
            batch.write().await?;
        }
        let key = (marked.user_id, marked.conversation_id);
        let expect = Expect::column("deleted", true);
        // Refused: another has done it.
        let _done = self
            .store
            .delete_if::<ConversationRow>(key, expect, riwaq_aggregates::new_op_id())
            .await?;
        Ok(())
    }

    /// Writes a question, and names the conversation after it where it has no name.
    pub(crate) async fn ask(
        &self,
        conversation: &Conversation,
        question_id: Uuid,
        content: &str,
        course_id: Option<Uuid>,
    ) -> Result<MessageRow, Problem> {
        // The answer needs room too.
        if conversation.messages.len() + 2 > self.messages_max {
            return Err(Problem::conflict(
                "the conversation is full; begin another one",
            ));
        }
        let row = &conversation.row;
        let last = conversation.messages.last().map_or(0, |last| last.at);
        let at = self.clock.now_micros().max(last + 1);
        let question = MessageRow::question(
            row.conversation_id,
            question_id,
            at,
            content.to_owned(),
            course_id,
        );
        self.store.put_at(&question, at).await?;
        self.take_back_if_deleted(row, &[&question]).await?;
        self.touch(row, Some(title_of(content, self.title_max_chars)))
            .await;
        Ok(question)
    }

    /// Writes the answer to a question.
    pub(crate) async fn answer(
        &self,
        row: &ConversationRow,
        question: &MessageRow,
        answer: Answer,
    ) -> Result<(), Problem> {
        let last = self.last_message_at(row.conversation_id).await?;
        let at = self.clock.now_micros().max(last + 1).max(question.at + 1);
        let message = MessageRow::answer(question, at, answer);
        self.store.put_at(&message, at).await?;
        self.take_back_if_deleted(row, &[&message, question])
            .await?;
        self.touch(row, None).await;
        Ok(())
    }

    /// Whoever deletes marks first and then looks for messages; whoever writes a message looks for
    /// the mark afterwards: one of the two sees the other.
    async fn take_back_if_deleted(
        &self,
        row: &ConversationRow,
        written: &[&MessageRow],
    ) -> Result<(), Problem> {
        let Err(problem) = self.row(row.user_id, row.conversation_id).await else {
            return Ok(());
        };
        if problem.code() == Code::NotFound {
            for message in written {
                let key = (message.conversation_id, message.at, message.message_id);
                self.store.delete_at::<MessageRow>(key, message.at).await?;
            }
        }
        Err(problem)
    }

    /// Notes that something was said, and the name if there is none. Not worth failing for.
    async fn touch(&self, row: &ConversationRow, name: Option<String>) {
        for _ in 0..ATTEMPTS {
            let Ok(present) = self.row(row.user_id, row.conversation_id).await else {
                return;
            };
            let mut changed = present.clone();
            changed.title = changed.title.or_else(|| name.clone());
            match self.replace(&present, &mut changed).await {
                Ok(false) => {}
                Ok(true) => return,
                Err(problem) => {
                    tracing::warn!(%problem, "a conversation's time of change was not noted");
                    return;
                }
            }
        }
    }
}

pub(crate) fn no_conversation() -> Problem {
    Problem::not_found("conversation")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use riwaq_clock::ManualClock;
    use riwaq_records::Memory;

    use super::*;

    const USER: Uuid = Uuid::from_u128(1);
    const ID: Uuid = Uuid::from_u128(2);

    fn kept() -> Conversations {
        let store = Store::new(Arc::new(Memory::with_tables(crate::tables()).unwrap()));
        let clock = ManualClock::at(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        Conversations::new(store, clock, &Config::default())
    }

    async fn asked(kept: &Conversations, questions: usize) -> ConversationRow {
        let row = kept.create(USER, ID, None).await.unwrap();
        for n in 0..questions {
            let conversation = kept.read(USER, ID).await.unwrap();
            kept.ask(&conversation, Uuid::from_u128(100 + n as u128), "x", None)
                .await
                .unwrap();
        }
        row
    }

    #[tokio::test]
    async fn a_deletion_that_a_crash_cut_off_is_finished_by_the_next_list() {
        let kept = kept();
        asked(&kept, 150).await;
        // Marked, and then the process died.
        kept.change(USER, ID, &IfMatch::ABSENT, |row| row.deleted = true)
            .await
            .unwrap();
        assert!(kept.read(USER, ID).await.is_err());
        let page = kept.page(USER, None, 10).await.unwrap();
        assert!(page.rows.is_empty());
        let [marked] = &page.to_purge[..] else {
            panic!("{page:?}")
        };
        kept.purge(marked).await.unwrap();
        kept.purge(marked).await.unwrap();
        assert!(kept.messages(ID).await.unwrap().is_empty());
        assert!(kept.page(USER, None, 10).await.unwrap().to_purge.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_left_of_what_is_said_in_a_deleted_conversation() {
        let kept = kept();
        asked(&kept, 1).await;
        let before = kept.read(USER, ID).await.unwrap();
        kept.delete(USER, ID, &IfMatch::ABSENT).await.unwrap();
        let refused = kept
            .ask(&before, Uuid::from_u128(7), "late", None)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        assert!(kept.messages(ID).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn messages_stay_in_order_though_the_clock_stands_still() {
        let kept = kept();
        asked(&kept, 5).await;
        let messages = kept.messages(ID).await.unwrap();
        let ids: Vec<u128> = messages
            .iter()
            .map(|message| message.message_id.as_u128())
            .collect();
        assert_eq!(ids, [100, 101, 102, 103, 104]);
    }

    #[tokio::test]
    async fn a_page_is_filled_beyond_deleted_ones() {
        let kept = kept();
        for n in 0..6_u128 {
            kept.create(USER, Uuid::from_u128(10 + n), None)
                .await
                .unwrap();
            if n % 2 == 0 {
                kept.change(USER, Uuid::from_u128(10 + n), &IfMatch::ABSENT, |row| {
                    row.deleted = true
                })
                .await
                .unwrap();
            }
        }
        let page = kept.page(USER, None, 2).await.unwrap();
        let ids: Vec<u128> = page
            .rows
            .iter()
            .map(|row| row.conversation_id.as_u128())
            .collect();
        assert_eq!(ids, [15, 13]);
        let rest = kept.page(USER, page.next, 2).await.unwrap();
        assert_eq!(
            rest.rows
                .iter()
                .map(|row| row.conversation_id.as_u128())
                .collect::<Vec<_>>(),
            [11]
        );
    }
}
