//! Lists in pages, continued from signed cursors.

use riwaq_aggregates::records::Store;
use riwaq_aggregates::{Act, CursorKey, CursorScope, Draft, Error};
use uuid::Uuid;

use crate::lab::Lab;
use crate::world::{NoteByOwner, World, note};

const SCOPE: CursorScope<'static> = CursorScope {
    list: "notes",
    query: "owner=sara",
    user: "sara",
};

/// A page of sara's notes behind the cursor, newest id first, and the cursor of the next one.
async fn page(
    store: &Store,
    room: Uuid,
    key: &CursorKey,
    cursor: Option<&str>,
) -> Result<(Vec<Uuid>, Option<String>), Error> {
    let mut scan = store
        .scan::<NoteByOwner>((room, "sara".to_owned()))
        .limit(4);
    if let Some(cursor) = cursor {
        let after: Uuid = key.open(SCOPE, cursor)?;
        scan = scan.after((after,));
    }
    let page = scan.page().await?;
    let next = page.next.map(|(last,)| key.seal(SCOPE, &last));
    let ids = page.rows.into_iter().map(|row| row.id).collect();
    Ok((ids, next.transpose()?))
}

async fn create(world: &World, numbers: impl IntoIterator<Item = u128>) {
    for number in numbers {
        let draft = Draft::new("created", note("sara"));
        let id = world.id(number);
        world.notes.create(&id, Act::system(), draft).await.unwrap();
    }
}

pub async fn a_list_goes_on_behind_its_cursor_while_others_write(lab: Lab) {
    let world = World::new(lab.engine().await).await;
    let (store, room) = (world.truth(), world.engine.room);
    let key = CursorKey::new(&[5; 32]).unwrap();
    create(&world, (2..=22).step_by(2)).await;
    let (mut seen, cursor) = page(&store, room, &key, None).await.unwrap();
    let mut cursor = cursor.unwrap();
    // One before the cursor, one behind it.
    create(&world, [23, 7]).await;
    // The same secret on another replica.
    let key = CursorKey::new(&[5; 32]).unwrap();
    loop {
        let (ids, next) = page(&store, room, &key, Some(&cursor)).await.unwrap();
        seen.extend(ids);
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    let numbers = [22, 20, 18, 16, 14, 12, 10, 8, 7, 6, 4, 2];
    assert_eq!(seen, numbers.map(|number| world.id(number)));
}

pub async fn a_cursor_that_was_altered_or_is_anothers_shows_no_page(lab: Lab) {
    let world = World::new(lab.engine().await).await;
    let (store, room) = (world.truth(), world.engine.room);
    let key = CursorKey::new(&[5; 32]).unwrap();
    create(&world, 1..=5).await;
    let (_, cursor) = page(&store, room, &key, None).await.unwrap();
    let cursor = cursor.unwrap();
    let omars = CursorScope {
        user: "omar",
        ..SCOPE
    };
    let bad = [
        key.seal(omars, &world.id(2)).unwrap(),
        CursorKey::new(&[6; 32])
            .unwrap()
            .seal(SCOPE, &world.id(2))
            .unwrap(),
        cursor[1..].to_owned(),
        format!("{cursor}A"),
        String::new(),
    ];
    for bad in bad {
        let refused = page(&store, room, &key, Some(&bad)).await.unwrap_err();
        assert_eq!(refused, Error::BadCursor, "{bad:?}");
    }
    let (ids, next) = page(&store, room, &key, Some(&cursor)).await.unwrap();
    assert_eq!((ids, next), (vec![world.id(1)], None));
}
