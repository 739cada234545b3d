//! Login names: uniqueness, folding, moving.

use super::*;
use crate::AccountChange;

fn rename(mail: Option<&str>, user: Option<Option<&str>>) -> AccountChange {
    AccountChange {
        email: mail.map(email),
        username: user.map(|user| user.map(username)),
        ..AccountChange::default()
    }
}

async fn owner(directory: &SharedDirectory, login: &str) -> Option<Uuid> {
    directory
        .find_by_login(login)
        .await
        .unwrap()
        .map(|account| account.id)
}

pub(super) async fn both_names_find_the_account(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .create(named(1, "zoe@example.org", Some("zoe")))
        .await
        .unwrap();
    directory
        .create(named(2, "ali@example.org", None))
        .await
        .unwrap();
    assert_eq!(owner(&directory, "zoe@example.org").await, Some(id(1)));
    assert_eq!(owner(&directory, "zoe").await, Some(id(1)));
    assert_eq!(owner(&directory, "ali@example.org").await, Some(id(2)));
    assert_eq!(owner(&directory, "ali").await, None);
}

pub(super) async fn case_and_composition_do_not_matter(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .create(named(1, "Zoé.Straße@Example.ORG", Some("أحمد")))
        .await
        .unwrap();
    for same in [
        "zoé.strasse@example.org",
        "ZOE\u{301}.STRASSE@EXAMPLE.ORG",
        " ｚｏé.straße＠example.org ",
        "أحمد",
    ] {
        assert_eq!(owner(&directory, same).await, Some(id(1)), "{same}");
    }
    assert_eq!(
        conflict_field(
            directory
                .create(named(2, "zoe\u{301}.straße@example.org", None))
                .await
        ),
        "email"
    );
    assert_eq!(
        owner(&directory, "zoe.strasse@example.org").await,
        None,
        "an accent does matter"
    );
}

pub(super) async fn a_taken_name_conflicts_by_field_and_frees_the_other(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .create(named(1, "zoe@example.org", Some("zoe")))
        .await
        .unwrap();
    assert_eq!(
        conflict_field(
            directory
                .create(named(2, "ZOE@example.org", Some("other")))
                .await
        ),
        "email"
    );
    assert_eq!(
        conflict_field(
            directory
                .create(named(3, "other@example.org", Some("Zoe")))
                .await
        ),
        "username"
    );
    // Nothing of the two refused accounts is left.
    assert_eq!(directory.get(&[id(2), id(3)]).await.unwrap(), vec![]);
    directory
        .create(named(4, "other@example.org", Some("other")))
        .await
        .unwrap();
}

pub(super) async fn a_changed_name_frees_the_old_one(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .create(named(1, "old@example.org", Some("old")))
        .await
        .unwrap();
    directory
        .update(id(1), rename(Some("new@example.org"), Some(Some("new"))))
        .await
        .unwrap();
    assert_eq!(owner(&directory, "old@example.org").await, None);
    assert_eq!(owner(&directory, "old").await, None);
    assert_eq!(owner(&directory, "new@example.org").await, Some(id(1)));
    directory
        .create(named(2, "old@example.org", Some("old")))
        .await
        .unwrap();
    directory
        .update(id(1), rename(None, Some(None)))
        .await
        .unwrap();
    assert_eq!(owner(&directory, "new").await, None);
    directory
        .update(id(2), rename(None, Some(Some("new"))))
        .await
        .unwrap();
    assert_eq!(owner(&directory, "new").await, Some(id(2)));
}

pub(super) async fn a_name_can_go_back_and_forth(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .create(named(1, "a@example.org", None))
        .await
        .unwrap();
    directory
        .create(named(2, "b@example.org", None))
        .await
        .unwrap();
    let mut last = 1;
    for _ in 0..3 {
        for to in ["c@example.org", "a@example.org"] {
            let version = directory
                .update(id(1), rename(Some(to), None))
                .await
                .unwrap()
                .version;
            assert!(version > last);
            last = version;
            assert_eq!(owner(&directory, to).await, Some(id(1)));
        }
    }
    // Two people exchange their addresses over a third.
    directory
        .update(id(1), rename(Some("c@example.org"), None))
        .await
        .unwrap();
    directory
        .update(id(2), rename(Some("a@example.org"), None))
        .await
        .unwrap();
    directory
        .update(id(1), rename(Some("b@example.org"), None))
        .await
        .unwrap();
    assert_eq!(owner(&directory, "a@example.org").await, Some(id(2)));
    assert_eq!(owner(&directory, "b@example.org").await, Some(id(1)));
    assert_eq!(owner(&directory, "c@example.org").await, None);
}

pub(super) async fn deletion_frees_the_names(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .create(named(1, "zoe@example.org", Some("zoe")))
        .await
        .unwrap();
    directory.delete(id(1)).await.unwrap();
    assert_eq!(owner(&directory, "zoe@example.org").await, None);
    assert_eq!(owner(&directory, "zoe").await, None);
    directory
        .create(named(2, "zoe@example.org", Some("zoe")))
        .await
        .unwrap();
    assert_eq!(owner(&directory, "zoe").await, Some(id(2)));
    // A late repetition of the deletion does not touch the new owner.
    directory.delete(id(1)).await.unwrap();
    assert_eq!(owner(&directory, "zoe@example.org").await, Some(id(2)));
}

pub(super) async fn hostile_login_texts_are_nobodys(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .create(named(1, "zoe@example.org", Some("zoe")))
        .await
        .unwrap();
    let huge = "z".repeat(1 << 20);
    let texts = [
        "",
        " ",
        "\0",
        "zoe\0",
        "zoe\u{200B}",
        "zoe\u{202E}",
        "zo%",
        "z*",
        "' or 1=1 --",
        "@",
        "@@",
        "../zoe",
        "zoe@example.org\0",
        "zoe@example.org@evil.example",
        "\u{FEFF}zoe",
        huge.as_str(),
    ];
    for text in texts {
        assert_eq!(
            owner(&directory, text).await,
            None,
            "{:?}",
            text.chars().take(40).collect::<String>()
        );
    }
}

pub(super) async fn a_refused_rename_changes_nothing(factory: &dyn Factory) {
    let directory = factory.fresh().await.open().await;
    directory
        .create(named(1, "a@example.org", Some("a")))
        .await
        .unwrap();
    let before = directory
        .create(named(2, "b@example.org", Some("b")))
        .await
        .unwrap();
    let mut change = rename(Some("free@example.org"), Some(Some("A")));
    change.roles = Some(roles(&["admin"]));
    assert_eq!(
        conflict_field(directory.update(id(2), change).await),
        "username"
    );
    assert_eq!(directory.get(&[id(2)]).await.unwrap(), vec![before]);
    assert_eq!(owner(&directory, "b@example.org").await, Some(id(2)));
    assert_eq!(owner(&directory, "free@example.org").await, None);
    directory
        .create(named(3, "free@example.org", None))
        .await
        .expect("the name of the refused change is free");
}
