//! Listing for operators.

use super::*;
use crate::MAX_LIST;

async fn all(directory: &SharedDirectory, limit: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..1000 {
        let page = directory.list(after.as_deref(), limit).await.unwrap();
        assert!(page.accounts.len() <= limit);
        ids.extend(page.accounts.into_iter().map(|account| account.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return ids,
        }
    }
    panic!("the listing does not end");
}

pub(super) async fn every_account_is_listed_once_whatever_the_page_size(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    for n in 1..=12 {
        directory.create(student(n)).await.unwrap();
    }
    directory.delete(id(5)).await.unwrap();
    let expected: BTreeSet<Uuid> = (1..=12).filter(|n| *n != 5).map(id).collect();
    for limit in [1, 2, 10, 11, 12, MAX_LIST] {
        let listed = all(&directory, limit).await;
        assert_eq!(listed.len(), expected.len(), "each once, pages of {limit}");
        assert_eq!(
            listed.into_iter().collect::<BTreeSet<_>>(),
            expected,
            "pages of {limit}"
        );
    }
}

pub(super) async fn bad_limits_and_cursors_are_refused(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    for limit in [0, MAX_LIST + 1, usize::MAX] {
        let result = directory.list(None, limit).await;
        assert!(
            matches!(result, Err(DirectoryError::Invalid { field: "limit", .. })),
            "{limit}: {result:?}"
        );
    }
    for cursor in ["", "garbage", "\0", "../..", "💥"] {
        let result = directory.list(Some(cursor), 10).await;
        assert!(
            matches!(result, Err(DirectoryError::BadCursor)),
            "{cursor:?}: {result:?}"
        );
    }
}

pub(super) async fn an_empty_directory_lists_nothing(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    assert_eq!(all(&directory, 10).await, Vec::<Uuid>::new());
}
