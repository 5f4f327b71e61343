//! Files that come in parts, on both databases: announced, extended, whole, or forgotten.

use crate::{
    desk::{Desk, JobSubject, new_document},
    on_every_database,
    subject::Database,
};
use domain::{DocumentId, OnDuplicate, UserId, WorkspaceId, rag::RagConfig};
use services::ports::{Documents, NewDocument, PartialFile, PartialFiles, SentFiles, StoreError};
use std::{collections::BTreeSet, ops::Deref};

pub fn file(s: &Database, user_id: UserId, workspace_id: WorkspaceId) -> PartialFile {
    let id = DocumentId::new(s.world().uuid());
    PartialFile {
        id,
        user_id,
        workspace_id,
        filename: "part.txt".to_owned(),
        size_bytes: 100,
        received_bytes: 0,
        content_hash: None,
        on_duplicate: OnDuplicate::KeepBoth,
        alone: true,
        blob_key: format!("users/{user_id}/documents/{id}"),
        metadata: Some("filename cGFydC50eHQ=,of  its own".to_owned()),
        updated_at: s.world().now(),
    }
}

fn whole(file: &PartialFile) -> NewDocument {
    NewDocument {
        sent_ahead: true,
        size_bytes: file.size_bytes,
        blob_key: file.blob_key.clone(),
        ..new_document(file.id, &file.filename)
    }
}

async fn a_file_is_extended_from_where_it_stands_and_from_nowhere_else(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let (bob, _) = desk.home().await;
    let new = file(s, ada, papers);
    let kept = s.store.announce_file(new.clone(), None).await.unwrap();
    assert_eq!(kept, new);
    let now = s.world().now();
    let turn = s.store.begin_part(ada, kept.id, 0, now).await.unwrap().unwrap();
    assert!(s.store.extend_file(ada, kept.id, turn, 0, 40, now).await.unwrap());
    assert!(!s.store.extend_file(ada, kept.id, turn, 0, 60, now).await.unwrap(), "somebody was faster");
    assert!(!s.store.extend_file(ada, kept.id, turn, 40, 101, now).await.unwrap(), "it has 100 bytes");
    assert!(!s.store.extend_file(bob, kept.id, turn, 40, 60, now).await.unwrap(), "it is somebody else's");
    let found = s.store.partial_file(ada, kept.id).await.unwrap().unwrap();
    assert_eq!((found.received_bytes, found.updated_at), (40, now));
    assert_eq!(s.store.partial_file(bob, kept.id).await.unwrap(), None);
    assert_eq!(s.store.announced_metadata(ada, kept.id).await.unwrap(), new.metadata);
    assert_eq!(s.store.announced_metadata(bob, kept.id).await.unwrap(), None);
    assert!(s.store.existing(&[kept.id]).await.unwrap().contains(&kept.id), "its file is no orphan");
}

async fn of_two_who_send_at_once_only_the_later_one_goes_on(s: impl JobSubject + Deref<Target = Database>) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let (bob, _) = desk.home().await;
    let (kept, now) = (s.store.announce_file(file(s, ada, papers), None).await.unwrap(), s.world().now());
    let first = s.store.begin_part(ada, kept.id, 0, now).await.unwrap().unwrap();
    assert_eq!(s.store.begin_part(bob, kept.id, 0, now).await.unwrap(), None, "it is somebody else's");
    assert_eq!(s.store.begin_part(ada, kept.id, 1, now).await.unwrap(), None, "it does not stand there");
    let second = s.store.begin_part(ada, kept.id, 0, now).await.unwrap().unwrap();
    assert!(second > first, "{second} after {first}");
    assert!(
        !s.store.extend_file(ada, kept.id, first, 0, 40, now).await.unwrap(),
        "somebody else goes on from there"
    );
    assert!(s.store.extend_file(ada, kept.id, second, 0, 20, now).await.unwrap());
    assert!(s.store.extend_file(ada, kept.id, second, 20, 40, now).await.unwrap(), "the turn goes on");
    assert_eq!(s.store.begin_part(ada, kept.id, 0, now).await.unwrap(), None, "that was noted");
    // Where the database was put back meanwhile, turns that it forgot have kept parts as well.
    let later = now.plus_seconds(60);
    let third = s.store.begin_part(ada, kept.id, 40, later).await.unwrap().unwrap();
    assert_eq!(third, later.micros() as u64, "later than whatever began before");
    let fourth = s.store.begin_part(ada, kept.id, 40, now).await.unwrap().unwrap();
    assert!(fourth > third, "the clock of another server is behind");
}

async fn the_same_command_announces_one_file(s: impl JobSubject + Deref<Target = Database>) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let (bob, _) = desk.home().await;
    let key = || Some("key".to_owned());
    let first = s.store.announce_file(file(s, ada, papers), key()).await.unwrap();
    let again = s.store.announce_file(file(s, ada, papers), key()).await.unwrap();
    assert_eq!(again, first);
    let all = first.size_bytes;
    for (person, size, known) in [(ada, all, true), (ada, 7, false), (bob, all, false)] {
        assert_eq!(s.store.has_announced(person, "key", &first.filename, size).await.unwrap(), known);
    }
    let other = PartialFile { size_bytes: 7, ..file(s, ada, papers) };
    let other = s.store.announce_file(other, key()).await;
    assert!(matches!(other, Err(StoreError::OtherCommand)), "{other:?}");
    let notes = desk.s.workspace(ada, RagConfig::default()).await;
    let elsewhere = s.store.announce_file(file(s, ada, notes), key()).await;
    assert!(matches!(elsewhere, Err(StoreError::OtherCommand)), "{elsewhere:?}");
    let not_his = s.store.announce_file(file(s, bob, papers), None).await;
    assert!(matches!(not_his, Err(StoreError::NotFound)), "{not_his:?}");
}

async fn a_whole_file_waits_for_its_upload_and_knows_whether_it_is_alone(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    for alone in [true, false] {
        let kept = s.store.announce_file(PartialFile { alone, ..file(s, ada, papers) }, None).await.unwrap();
        assert!(s.store.whole_file(ada, kept.id).await.unwrap().is_none(), "it is not whole yet");
        s.store.complete_file(ada, whole(&kept), s.world().now()).await.unwrap();
        let again = s.store.complete_file(ada, whole(&kept), s.world().now()).await;
        assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
        assert_eq!(s.store.partial_file(ada, kept.id).await.unwrap(), None);
        let found = s.store.whole_file(ada, kept.id).await.unwrap().unwrap();
        assert_eq!((found.document.id, found.workspace_id, found.alone), (kept.id, papers, alone));
        assert_eq!(s.store.announced_metadata(ada, kept.id).await.unwrap(), kept.metadata, "it went along");
        let named = s.store.sent_files(ada, papers, &[kept.id]).await.unwrap();
        assert_eq!(named.len(), 1, "an upload may name it");
    }
}

async fn a_file_that_came_whole_and_became_nothing_is_found_and_no_other(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let now = s.world().now();
    let later = now.plus_seconds(1);
    let mut left = vec![];
    for (alone, came, is_whole) in
        [(true, 100, true), (true, 100, false), (true, 40, false), (false, 100, true), (false, 100, false)]
    {
        let announced = PartialFile { alone, updated_at: now, ..file(s, ada, papers) };
        let kept = s.store.announce_file(announced, None).await.unwrap();
        let turn = s.store.begin_part(ada, kept.id, 0, now).await.unwrap().unwrap();
        assert!(s.store.extend_file(ada, kept.id, turn, 0, came, now).await.unwrap());
        if is_whole {
            s.store.complete_file(ada, whole(&kept), now).await.unwrap();
        }
        if alone && came == 100 {
            left.push((ada, kept.id));
        }
    }
    let found = async |before| {
        let found = s.store.left_files(before).await.unwrap();
        found.into_iter().filter(|(user, _)| *user == ada).collect::<BTreeSet<_>>()
    };
    assert_eq!(found(now).await, BTreeSet::new(), "somebody may be about to make their jobs");
    assert_eq!(found(later).await, left.iter().copied().collect());
    s.store.drop_file(ada, left[0].1).await.unwrap();
    assert_eq!(found(later).await, BTreeSet::from([left[1]]));
}

async fn what_nobody_goes_on_with_is_forgotten(s: impl JobSubject + Deref<Target = Database>) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let (bob, _) = desk.home().await;
    let given_up = s.store.announce_file(file(s, ada, papers), None).await.unwrap();
    let old = s.store.announce_file(file(s, ada, papers), None).await.unwrap();
    let fresh = s.store.announce_file(file(s, ada, papers), None).await.unwrap();
    let not_his = s.store.forget_file(bob, given_up.id).await;
    assert!(matches!(not_his, Err(StoreError::NotFound)), "{not_his:?}");
    assert_eq!(s.store.forget_file(ada, given_up.id).await.unwrap(), given_up.blob_key);
    let later = s.world().now().plus_seconds(3_600);
    let turn = s.store.begin_part(ada, fresh.id, 0, later).await.unwrap().unwrap();
    assert!(s.store.extend_file(ada, fresh.id, turn, 0, 10, later).await.unwrap());
    assert_eq!(s.store.forget_old_files(later).await.unwrap(), 1);
    assert_eq!(s.store.partial_file(ada, old.id).await.unwrap(), None);
    assert!(s.store.partial_file(ada, fresh.id).await.unwrap().is_some());
}

on_every_database!(
    a_file_is_extended_from_where_it_stands_and_from_nowhere_else,
    of_two_who_send_at_once_only_the_later_one_goes_on,
    the_same_command_announces_one_file,
    a_whole_file_waits_for_its_upload_and_knows_whether_it_is_alone,
    a_file_that_came_whole_and_became_nothing_is_found_and_no_other,
    what_nobody_goes_on_with_is_forgotten,
);
