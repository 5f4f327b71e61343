//! Failures that stand at present, by what they have in common. On both databases.

use crate::{
    desk::{Desk, JobSubject, failed},
    on_every_database,
    reindex::Configured,
    subject::Database,
};
use domain::{
    DocumentId, Event, JobId, PhaseName, UserId, Workspace, WorkspaceId,
    errors::Left,
    ingest::{
        Checkpoint, Failure, Stage,
        control::{Control, DocumentControl, Retry},
    },
    rag::RagConfig,
};
use services::ports::{ErrorFilter, Errors, HistoryOf, HistoryQuery, NewReindex, PageQuery, Workspaces};
use std::{collections::BTreeSet, ops::DerefMut};

fn broken(code: &str) -> Checkpoint {
    let (message, hint) = (format!("It broke by {code}."), Some("Try again.".to_owned()));
    Checkpoint::Failed(Failure { code: code.to_owned(), message, hint, retryable: false })
}

impl<S: JobSubject + DerefMut<Target = Database>> Desk<S> {
    /// Code, phase and count of each group.
    async fn groups(&self, user: UserId, filter: &ErrorFilter) -> Vec<(String, PhaseName, u64)> {
        let groups = self.s.store.error_groups(user, filter, 100).await.unwrap();
        groups.into_iter().map(|group| (group.code, group.phase, group.count)).collect()
    }

    /// A job of documents that fail, each in its own way.
    async fn failures(&self, user: UserId, workspace: WorkspaceId, how: &[(&str, Stage)]) -> Vec<DocumentId> {
        let names: Vec<String> = (0..how.len()).map(|n| format!("{n}.txt")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (_, documents) = self.upload(user, workspace, &names).await;
        for (code, stage) in how {
            let claim = self.claim_one("w").await;
            self.work_until(&claim, 2, *stage).await;
            self.check(&claim, broken(code)).await.unwrap();
        }
        documents.iter().map(|document| document.id).collect()
    }
}

async fn failures_are_counted_by_what_they_have_in_common(s: impl JobSubject + DerefMut<Target = Database>) {
    let d = Desk::new(s);
    let (ada, papers) = d.home().await;
    let letters = d.s.workspace(ada, domain::rag::RagConfig::default()).await;
    let (bob, other) = d.home().await;
    d.failures(bob, other, &[("unreadable", Stage::Loading)]).await;
    let how =
        [("unreadable", Stage::Loading), ("unreadable", Stage::Loading), ("model_missing", Stage::Embedding)];
    let first = d.failures(ada, papers, &how).await;
    d.failures(ada, letters, &[("unreadable", Stage::Loading), ("full", Stage::Indexing)]).await;
    let any = ErrorFilter::default();
    let unreadable = |n| ("unreadable".to_owned(), PhaseName::Loading, n);
    let missing = || ("model_missing".to_owned(), PhaseName::Embedding, 1);
    let full = || ("full".to_owned(), PhaseName::Indexing, 1);
    assert_eq!(d.groups(ada, &any).await, [unreadable(3), full(), missing()]);
    let groups = d.s.store.error_groups(ada, &any, 100).await.unwrap();
    assert_eq!((groups[0].workspaces, groups[0].workspace_id), (2, None));
    assert_eq!((groups[2].workspaces, groups[2].workspace_id), (1, Some(papers)));
    assert_eq!(groups[2].message, "It broke by model_missing.");
    assert_eq!((groups[2].mime_type.as_str(), groups[2].hint.as_deref()), ("text/plain", Some("Try again.")));
    assert!(groups[0].oldest_at < groups[0].newest_at);

    let of = async |filter: ErrorFilter| d.groups(ada, &filter).await;
    assert_eq!(of(ErrorFilter { workspace: Some(papers), ..any.clone() }).await, [unreadable(2), missing()]);
    assert_eq!(of(ErrorFilter { workspace: Some(other), ..any.clone() }).await, []);
    assert_eq!(of(ErrorFilter { code: Some("full".into()), ..any.clone() }).await, [full()]);
    assert_eq!(of(ErrorFilter { phase: Some(PhaseName::Embedding), ..any.clone() }).await, [missing()]);
    assert_eq!(of(ErrorFilter { mime_type: Some("text/html".into()), ..any.clone() }).await, []);
    let since = Some(groups[1].newest_at);
    assert_eq!(of(ErrorFilter { since, ..any.clone() }).await, [full()]);
    let of_papers = ErrorFilter { workspace: Some(papers), code: Some("unreadable".into()), ..any.clone() };
    let found = d.s.store.failed_documents(ada, &of_papers, 10).await.unwrap();
    assert_eq!(found, [(papers, first[1]), (papers, first[0])]);
    assert_eq!(d.s.store.failed_documents(ada, &any, 2).await.unwrap().len(), 2);
}

async fn what_was_put_aside_counts_again_when_it_fails_again(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let ids = d.failures(user, workspace, &[("unreadable", Stage::Loading), ("full", Stage::Loading)]).await;
    let (any, aside) = (ErrorFilter::default(), ErrorFilter { resolved: true, ..ErrorFilter::default() });
    let one = ErrorFilter { code: Some("full".into()), ..any.clone() };
    assert_eq!(d.s.store.resolve_errors(user, &one, d.now()).await.unwrap(), 1);
    assert_eq!(d.s.store.resolve_errors(user, &one, d.now()).await.unwrap(), 0);
    let stranger = d.s.user().await;
    assert_eq!(d.s.store.resolve_errors(stranger, &any, d.now()).await.unwrap(), 0);
    assert_eq!(d.groups(user, &any).await.len(), 1);
    assert_eq!(d.groups(user, &aside).await, [("full".to_owned(), PhaseName::Loading, 1)]);

    let job = d.document(user, ids[1]).await.job_id.unwrap();
    d.jobs.control(user, job, Control::Retry(Retry::document(ids[1])), d.now()).await.unwrap();
    assert_eq!(d.groups(user, &aside).await, [], "it waits, and has not failed");
    let claim = d.claim_one("w").await;
    d.check(&claim, failed("Once more.")).await.unwrap();
    assert_eq!(d.groups(user, &any).await, [("unreadable".to_owned(), PhaseName::Loading, 2)]);
    // What somebody cancelled did not fail.
    d.jobs.control(user, job, Control::Retry(Retry::failed()), d.now()).await.unwrap();
    for id in ids {
        let cancel = DocumentControl::Cancel { keep_results: true };
        d.jobs.control_document(user, id, cancel, d.now()).await.unwrap();
    }
    assert_eq!(d.groups(user, &any).await, []);
}

async fn what_is_put_aside_is_told_once_of_each_workspace_that_had_some(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, papers) = d.home().await;
    let letters = d.s.workspace(user, RagConfig::default()).await;
    let fine = d.s.workspace(user, RagConfig::default()).await;
    for workspace in [papers, letters] {
        d.failures(user, workspace, &[("unreadable", Stage::Loading), ("full", Stage::Loading)]).await;
    }
    d.failures(user, fine, &[("full", Stage::Loading)]).await;
    let turns = async || {
        let query =
            HistoryQuery { limit: PageQuery::MAX, after: None, newest_first: false, transitions: true };
        d.history.history(user, HistoryOf::Workspace(papers), query).await.unwrap().items
    };
    let (head, turned) = (d.head(user).await, turns().await);

    let unreadable = ErrorFilter { code: Some("unreadable".into()), ..ErrorFilter::default() };
    assert_eq!(d.s.store.resolve_errors(user, &unreadable, d.now()).await.unwrap(), 2);
    let workspace = |event: Event| match event {
        Event::WorkspaceStatus(workspace) => workspace,
        other => panic!("nothing else is told: {other:?}"),
    };
    let mut told: Vec<Workspace> = d.events_after(user, head).await.into_iter().map(workspace).collect();
    told.sort_by_key(|workspace| workspace.id);
    let mut stored = vec![];
    for id in BTreeSet::from([papers, letters]) {
        stored.push(d.s.store.workspace(user, id).await.unwrap().unwrap());
    }
    assert_eq!(told, stored);
    for workspace in &told {
        assert_eq!(workspace.counts.failed, 2, "they stay failed");
        assert!(workspace.rev > head);
    }
    assert_eq!(turns().await, turned, "it is no turn of the workspace");

    let head = d.head(user).await;
    assert_eq!(d.s.store.resolve_errors(user, &unreadable, d.now()).await.unwrap(), 0);
    assert_eq!(d.head(user).await, head, "what was put aside before is not told again");
    let stranger = d.s.user().await;
    let before = d.head(stranger).await;
    assert_eq!(d.s.store.resolve_errors(stranger, &ErrorFilter::default(), d.now()).await.unwrap(), 0);
    assert_eq!((d.head(user).await, d.head(stranger).await), (head, before));
}

async fn what_could_not_be_indexed_anew_is_missing_until_it_is(
    s: impl Configured + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let left = async || d.s.store.left_over(user, None, None, 10).await.unwrap();
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work(&claim, 2).await;
    d.s.configure(user, workspace, RagConfig { chunk_size: 300, chunk_overlap: 50, ..RagConfig::default() })
        .await;
    while d.jobs.compare(workspace, 9, d.now()).await.unwrap() > 0 {}
    let reindex = async || {
        let id = JobId::new(d.s.world().uuid());
        let new =
            NewReindex { id, user_id: user, workspace_id: workspace, command_id: None, created_at: d.now() };
        d.jobs.reindex(new).await.unwrap().expect("it is stale");
        d.claim_one("w").await
    };
    let claim = reindex().await;
    d.work_until(&claim, 4, Stage::Embedding).await;
    assert_eq!(left().await, []);
    d.check(&claim, failed("The model is away.")).await.unwrap();
    let missing = left().await;
    assert_eq!(
        missing.iter().map(|left| (&left.what, left.workspace_id, left.count)).collect::<Vec<_>>(),
        [(&Left::Documents, workspace, 1)]
    );
    assert_eq!(d.groups(user, &ErrorFilter::default()).await, [], "it did not fail: it is found as before");
    let claim = reindex().await;
    d.work(&claim, 3).await;
    assert_eq!(left().await, []);
}

on_every_database!(
    what_could_not_be_indexed_anew_is_missing_until_it_is,
    failures_are_counted_by_what_they_have_in_common,
    what_was_put_aside_counts_again_when_it_fails_again,
    what_is_put_aside_is_told_once_of_each_workspace_that_had_some,
);
