//! Configurations as databases keep them: a person's default, what is stale also after a stop, what searches find meanwhile.

use super::*;
use crate::subject::Database;
use domain::Event;
use services::ports::{Checks, Cut, CutWords, Deletions, EventLog, Index, Workspaces};
use std::ops::DerefMut;

async fn reopened<S: Configured + DerefMut<Target = Database>>(d: Desk<S>) -> Desk<S> {
    let Desk { mut s, .. } = d;
    s.reopen().await;
    Desk::new(s)
}

async fn a_default_is_kept_told_and_taken_back(mut s: impl Configured + DerefMut<Target = Database>) {
    let (user, other) = (s.user().await, s.user().await);
    assert_eq!(s.store.default_config(user).await.unwrap(), None);
    let base = s.store.head(user).await.unwrap();
    let set = async |s: &Database, config| {
        s.store.set_default_config(user, config, s.world().now()).await.unwrap();
    };
    set(&s, None).await;
    assert_eq!(s.store.head(user).await.unwrap(), base, "nothing changed");
    for _ in 0..2 {
        set(&s, Some(short())).await;
    }
    s.reopen().await;
    assert_eq!(s.store.default_config(user).await.unwrap(), Some(short()));
    assert_eq!(s.store.default_config(other).await.unwrap(), None);
    set(&s, None).await;
    assert_eq!(s.store.default_config(user).await.unwrap(), None);
    let told: Vec<_> = s
        .store
        .after(user, base, 9)
        .await
        .unwrap()
        .iter()
        .map(|e| match e.event() {
            Some(Event::SettingsChanged(s)) => {
                s.rag_config.map(|shown| (shown.config.chunk_size, shown.is_default))
            }
            other => panic!("another event: {other:?}"),
        })
        .collect();
    assert_eq!(told, [Some((300, false)), Some((1000, true))], "each change once");
    let nobody = UserId::new(s.world().uuid());
    let refused = s.store.set_default_config(nobody, Some(short()), s.world().now()).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
}

async fn what_was_not_told_before_a_stop_is_found_after_it(s: impl Configured + DerefMut<Target = Database>) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let ids = d.ready(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    d.s.configure(user, workspace, short()).await;
    assert_eq!(d.s.store.rag_config(user, workspace).await.unwrap(), Some(short()));
    assert_eq!(d.jobs.compare(workspace, 1, d.now()).await.unwrap(), 1);
    let stale = d.s.store.stale_documents(user, workspace, &short()).await.unwrap();
    assert_eq!(stale.len(), 3, "whether or not they were told");
    assert!(stale.iter().all(|s| s.version == 1 && s.characters == 1_000));
    let d = reopened(d).await;
    assert_eq!(d.s.store.untold(9).await.unwrap(), [workspace]);
    assert_eq!(d.tell_all(workspace).await, 2);
    assert_eq!(d.s.store.untold(9).await.unwrap(), []);
    for id in ids {
        assert!(d.document(user, id).await.stale);
    }
    // A job of them too.
    d.reindex(user, workspace).await.expect("a job");
    assert_eq!(d.s.store.stale_documents(user, workspace, &short()).await.unwrap(), []);
    let d = reopened(d).await;
    assert_eq!(d.claim("w", 9).await.len(), 3);
}

async fn what_a_check_marked_is_embedded_anew(s: impl Configured + DerefMut<Target = Database>) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let ids = d.ready(user, workspace, &["a.txt", "gone.txt"]).await;
    d.s.store.delete_document(user, ids[1], d.now()).await.unwrap();
    for id in &ids {
        // One may go while it is looked at.
        d.s.store.mark_stale(*id, d.now()).await.unwrap();
        d.s.store.write_words(*id).await.unwrap();
    }
    assert!(d.document(user, ids[0]).await.stale);
    d.reindex(user, workspace).await.expect("a job");
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 2, Stage::Embedding).await;
    // The passages are the same, but nobody knows whether their vectors are.
    assert_eq!(d.jobs.known(&claim, 9).await.unwrap(), []);
    d.work_until(&services::ports::Claim { stage: Stage::Embedding, ..claim }, 2, Stage::Done).await;
    assert!(!d.document(user, ids[0]).await.stale);
}

async fn a_check_is_told_where_the_passages_that_are_found_were_cut(
    s: impl Configured + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready(user, workspace, &["a.txt"]).await[0];
    let found = d.chunks(user, id).await;
    let expected: Vec<Cut> = found
        .iter()
        .map(|c| Cut {
            char_start: c.char_start,
            char_end: c.char_end,
            words: CutWords::Hash(format!("hash of {}", c.text)),
        })
        .collect();
    assert_eq!(expected.len(), 2);
    assert_eq!(d.s.store.cuts(id, 1).await.unwrap(), expected);
    assert_eq!(d.s.store.cuts(id, 2).await.unwrap(), [], "of no other version");
    // Those of a run that is under way are not found yet.
    d.s.configure(user, workspace, short()).await;
    d.reindex(user, workspace).await.expect("a job");
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 5, Stage::Indexing).await;
    assert_eq!(d.s.store.cuts(id, 1).await.unwrap(), expected);
    d.work_until(&services::ports::Claim { stage: Stage::Indexing, ..claim }, 5, Stage::Done).await;
    assert_eq!(d.s.store.cuts(id, 1).await.unwrap().len(), 5);
}

async fn somebody_elses_configuration_is_not_there(s: impl Configured + DerefMut<Target = Database>) {
    let (ada, bob) = (s.user().await, s.user().await);
    let workspace = s.workspace(ada, RagConfig::default()).await;
    let refused = s.store.set_rag_config(bob, workspace, short(), s.world().now()).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    assert_eq!(s.store.stale_documents(bob, workspace, &short()).await.unwrap(), []);
    assert_eq!(s.store.rag_config(ada, workspace).await.unwrap(), Some(RagConfig::default()));
    assert!(s.store.untold(9).await.unwrap().is_empty());
}

async fn searches_find_the_earlier_passages_until_the_new_ones_are_through(
    s: impl Configured + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready(user, workspace, &["a.txt"]).await[0];
    let found = async || {
        let store = &d.s.store;
        let words = store.keyword(workspace, "passage", 50).await.unwrap();
        let mut by_word: Vec<_> = words.into_iter().map(|h| h.chunk_id).collect();
        by_word.sort_unstable();
        let (version, vectors) = store.vectors(workspace).await.unwrap();
        let mut by_vector: Vec<_> = vectors.iter().map(|v| v.chunk_id).collect();
        by_vector.sort_unstable();
        assert_eq!(by_word, by_vector);
        let live = store.hits(user, &by_word).await.unwrap();
        assert_eq!(live.len(), by_word.len());
        let models: std::collections::BTreeSet<String> =
            vectors.iter().map(|v| v.model.to_string()).collect();
        (by_word, version, models)
    };
    let before = found().await;
    assert_eq!(before.0.len(), 2);
    let another = RagConfig { embedding_model: "another".into(), ..short() };
    d.s.configure(user, workspace, another).await;
    d.reindex(user, workspace).await.expect("a job");
    assert_eq!(found().await, before);
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 5, Stage::Indexing).await;
    assert_eq!(found().await, before);
    d.work_until(&services::ports::Claim { stage: Stage::Indexing, ..claim }, 5, Stage::Done).await;
    let after = found().await;
    assert_eq!(after.0.len(), 5);
    assert!(after.1 > before.1 && after.0.iter().all(|c| !before.0.contains(c)));
    assert_eq!(after.2.into_iter().collect::<Vec<_>>(), ["another"]);
    assert_eq!(d.chunks(user, id).await.len(), 5);
    // Of the earlier ones nothing is left.
    assert_eq!(d.s.store.hits(user, &before.0).await.unwrap().len(), 0);
}

on_every_database!(
    a_default_is_kept_told_and_taken_back,
    what_was_not_told_before_a_stop_is_found_after_it,
    what_a_check_marked_is_embedded_anew,
    a_check_is_told_where_the_passages_that_are_found_were_cut,
    somebody_elses_configuration_is_not_there,
    searches_find_the_earlier_passages_until_the_new_ones_are_through,
);
