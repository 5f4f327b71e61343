use super::*;
use crate::samples::{document, id, job, person, step, workspace};
use domain::{
    Epoch, WorkspaceStatus,
    chat::ConversationChange,
    event::{ConversationChanged, SessionsChanged, SettingsChanged, WorkspaceDeleted},
    pages::Since,
    resource::{Page, STALLED, Warning},
};

fn page(documents: Vec<Document>, next: Option<&str>) -> WorkspacePage {
    WorkspacePage {
        since: Since { epoch: Epoch("e".into()), seq: 10 },
        workspace: workspace(1, 1),
        documents: Page { items: documents, next: next.map(str::to_owned) },
        jobs: vec![job(50, 1, JobStatus::Running)],
    }
}

/// Runs a test with stores, as an app would.
fn with(test: impl FnOnce(Stores)) {
    let owner = Owner::new();
    owner.with(|| test(Stores::new()));
}

/// Counts how often a signal was set.
fn count_changes<T: Send + Sync + 'static>(signal: ArcRwSignal<T>) -> Memo<u32> {
    let count = Memo::new_with_compare(
        move |before: Option<&u32>| {
            signal.track();
            before.map_or(0, |n| n + 1)
        },
        |_, _| true,
    );
    assert_eq!(count.get_untracked(), 0);
    count
}

fn ids(stores: Stores) -> Vec<DocumentId> {
    stores.document_ids(id(1)).get_untracked()
}

#[test]
fn an_event_touches_the_document_that_it_is_about_and_no_other() {
    with(|stores| {
        use DocumentStatus::{Pending, Processing, Ready};
        stores.put_workspace_page(&page(vec![document(8, 3, Pending), document(7, 2, Ready)], None));
        let (one, other) = (count_changes(stores.document(id(8))), count_changes(stores.document(id(7))));
        let list = count_changes(stores.document_ids(id(1)));
        stores.apply(Event::DocumentStatus(document(8, 11, Processing)));
        assert_eq!((one.get_untracked(), other.get_untracked(), list.get_untracked()), (1, 0, 0));
        stores.apply(Event::DocumentStatus(document(8, 11, Processing)));
        stores.apply(Event::DocumentStatus(document(8, 5, Pending)));
        assert_eq!(one.get_untracked(), 1, "an old or doubled event changes nothing");
    });
}

#[test]
fn a_row_shows_the_progress_that_its_newest_step_told() {
    with(|stores| {
        stores.put_workspace_page(&page(vec![document(8, 3, DocumentStatus::Processing)], None));
        stores.apply(Event::FileProgress(step(8, 12, 25.0)));
        let shown = stores.document(id(8)).get_untracked().expect("there");
        assert_eq!((shown.progress, shown.message.as_deref()), (25.0, Some("Reading 25")));
        assert_eq!(stores.steps(id(8)).get_untracked().map(|s| s.len()), Some(1));
    });
}

#[test]
fn new_documents_are_listed_first_and_deleted_ones_leave() {
    with(|stores| {
        stores.put_workspace_page(&page(vec![document(7, 2, DocumentStatus::Ready)], None));
        stores.apply(Event::DocumentStatus(document(9, 12, DocumentStatus::Pending)));
        assert_eq!(ids(stores), [id::<DocumentId>(9), id(7)]);
        stores.apply(Event::DocumentDeleted(crate::samples::deleted(7, 13)));
        assert_eq!(ids(stores), [id::<DocumentId>(9)]);
        assert_eq!(stores.document(id(7)).get_untracked(), None);
        stores.put_workspace_page(&page(vec![document(7, 2, DocumentStatus::Ready)], None));
        assert_eq!(
            ids(stores),
            [id::<DocumentId>(9)],
            "a page that was read before the deletion brings nothing back"
        );
        stores.apply(Event::DocumentStatus(document(7, 14, DocumentStatus::Ready)));
        assert_eq!(ids(stores), [id::<DocumentId>(9), id(7)], "somebody undid it: it is in its old place");
        stores.apply(Event::DocumentDeleted(crate::samples::deleted(7, 13)));
        assert_eq!(ids(stores), [id::<DocumentId>(9), id(7)], "old news");
    });
}

#[test]
fn a_document_that_is_told_while_the_first_page_of_its_list_is_on_its_way_is_listed() {
    with(|stores| {
        use DocumentStatus::{Pending, Ready};
        // The page was read before these were told, and nobody has looked at the list yet.
        stores.apply(Event::DocumentStatus(document(9, 12, Pending)));
        stores.apply(Event::DocumentStatus(document(3, 13, Ready)));
        stores.apply(Event::DocumentStatus(Document { workspace_id: id(2), ..document(8, 14, Pending) }));
        stores.put_workspace_page(&page(vec![document(7, 2, Ready)], Some("7")));
        assert_eq!(ids(stores), [id::<DocumentId>(9), id(7)], "an older one stands in the next part");
    });
}

#[test]
fn a_jobs_counters_do_not_wake_the_badges_of_its_documents() {
    with(|stores| {
        stores.put_workspace_page(&page(vec![], None));
        let (badges, panel) = (count_changes(stores.job_state(id(50))), count_changes(stores.job(id(50))));
        stores.apply(Event::JobUpdate(Job { progress: 10.0, ..job(50, 11, JobStatus::Running) }));
        assert_eq!((badges.get_untracked(), panel.get_untracked()), (0, 1));
        stores.apply(Event::JobUpdate(job(50, 12, JobStatus::Paused)));
        assert_eq!((badges.get_untracked(), panel.get_untracked()), (1, 2));
    });
}

#[test]
fn the_panel_shows_the_running_job_then_a_waiting_one_then_the_newest() {
    with(|stores| {
        let shown = || stores.panel_job(id(1)).get_untracked();
        stores.apply(Event::JobComplete(job(60, 1, JobStatus::Completed)));
        assert_eq!(shown(), Some(id(60)));
        stores.apply(Event::JobUpdate(job(50, 2, JobStatus::Pending)));
        assert_eq!(shown(), Some(id(50)));
        stores.apply(Event::JobUpdate(job(51, 3, JobStatus::Running)));
        stores.apply(Event::JobUpdate(job(52, 4, JobStatus::Pending)));
        assert_eq!(shown(), Some(id(51)));
        stores.apply(Event::JobError(job(51, 5, JobStatus::Failed)));
        assert_eq!(shown(), Some(id(52)));
        assert_eq!(stores.active_jobs().len(), 2);
        assert_eq!(stores.completed_jobs().len(), 1);
    });
}

#[test]
fn whoever_shows_the_jobs_of_a_workspace_is_told_of_each_new_one_and_of_nothing_else() {
    with(|stores| {
        stores.apply(Event::JobComplete(job(50, 1, JobStatus::Completed)));
        let list = stores.jobs_of(id(1));
        let place = |n: u64| (crate::samples::at(n), id::<JobId>(n));
        assert_eq!(list.get_untracked(), [place(50)]);
        let told = count_changes(list.clone());
        stores.apply(Event::JobUpdate(job(51, 2, JobStatus::Pending)));
        assert_eq!((list.get_untracked(), told.get_untracked()), (vec![place(50), place(51)], 1));
        stores.apply(Event::JobUpdate(job(51, 3, JobStatus::Running)));
        stores.apply(Event::JobUpdate(Job { kb_id: id(2), ..job(52, 4, JobStatus::Running) }));
        assert_eq!(told.get_untracked(), 1, "known already, and of another workspace");
        stores.replace(&Snapshot::default());
        assert!(list.with_untracked(Vec::is_empty));
    });
}

#[test]
fn a_fresh_snapshot_replaces_all_and_loses_no_event_that_came_meanwhile() {
    with(|stores| {
        use DocumentStatus::{Processing, Ready};
        stores.put_workspace_page(&page(vec![document(8, 300, Processing), document(7, 200, Ready)], None));
        let gone = stores.document(id(7));
        stores.hold();
        stores.apply(Event::DocumentStatus(document(8, 12, Ready)));
        stores.apply(Event::DocumentStatus(document(9, 13, Processing)));
        assert_eq!(stores.document(id(8)).get_untracked().map(|d| d.status), Some(Processing));
        // Another life of the log: its numbers are lower than those before.
        let fresh = Snapshot {
            workspace: Some(page(vec![document(8, 11, Processing)], None)),
            ..Snapshot::default()
        };
        stores.replace(&fresh);
        assert_eq!(stores.document(id(8)).get_untracked().map(|d| d.status), Some(Ready));
        assert_eq!(ids(stores), [id::<DocumentId>(9), id(8)]);
        assert_eq!(gone.get_untracked(), None);
    });
}

#[test]
fn after_all_was_read_anew_pages_are_told_and_what_was_read_before_is_not_taken_any_more() {
    with(|stores| {
        let shell = |workspaces: &[u64]| Shell {
            since: Since { epoch: Epoch("e".into()), seq: 10 },
            user: person(),
            workspaces: workspaces.iter().map(|n| workspace(*n, 1)).collect(),
            jobs: vec![],
            max_file_bytes: 1,
        };
        let shown = || stores.workspace_ids().get_untracked();
        let old = shell(&[1, 2]);
        stores.put_shell(&old);
        let export = Export {
            id: id(70),
            status: domain::ExportStatus::Running,
            bytes: 0,
            error: None,
            created_at: crate::samples::at(1),
            completed_at: None,
            expires_at: None,
        };
        let change = SettingsChanged { export: Some(export), rev: 3, ..SettingsChanged::of(person()) };
        stores.apply(Event::SettingsChanged(change));
        assert!(stores.export().get_untracked().is_some());
        let anew = count_changes(stores.anew());
        // One was deleted while nobody could tell, and the export is through.
        stores.replace(&Snapshot { shell: Some(shell(&[1])), ..Snapshot::default() });
        assert_eq!((shown(), anew.get_untracked()), (vec![id::<WorkspaceId>(1)], 1));
        assert_eq!(stores.export().get_untracked(), None, "what was read anew is newer");
        // The next page comes with the shell of the first.
        stores.put_shell(&old);
        assert_eq!(shown(), [id::<WorkspaceId>(1)]);
    });
}

#[test]
fn what_ended_within_a_gap_is_told_as_an_end_of_which_the_stream_tells() {
    with(|stores| {
        stores.apply(Event::JobUpdate(job(50, 2, JobStatus::Running)));
        stores.hold();
        // Its end comes by the stream as well, since it fell between the two.
        stores.apply(Event::JobComplete(job(50, 9, JobStatus::Completed)));
        let ended = vec![job(50, 9, JobStatus::Completed)];
        stores.replace(&Snapshot { ended: ended.clone(), ..Snapshot::default() });
        let news = stores.news().try_update(std::mem::take).unwrap_or_default();
        assert_eq!(news, [News::Ended(ended[0].clone())]);
        assert_eq!(stores.ends().try_update(std::mem::take), Some(ended));
        assert!(stores.active_jobs().is_empty());
    });
}

#[test]
fn signing_out_leaves_nothing() {
    with(|stores| {
        stores.put_workspace_page(&page(vec![document(8, 3, DocumentStatus::Ready)], Some("more")));
        assert_eq!(stores.completed_documents(id(1)).len(), 1);
        stores.clear();
        assert!(ids(stores).is_empty() && stores.active_jobs().is_empty());
        assert_eq!(stores.next(id(1)).get_untracked(), None);
        assert!(!stores.knows_document(id(8)));
    });
}

#[test]
fn a_document_that_was_taken_off_comes_back_with_the_next_event() {
    with(|stores| {
        stores.put_workspace_page(&page(vec![document(8, 3, DocumentStatus::Pending)], None));
        stores.clear_document(id(8));
        assert!(ids(stores).is_empty());
        stores.apply(Event::DocumentStatus(document(8, 4, DocumentStatus::Processing)));
        assert_eq!(ids(stores), [id::<DocumentId>(8)]);
        assert_eq!(stores.active_documents(id(1)).len(), 1);
    });
}

#[test]
fn who_shows_conversations_learns_which_to_read_anew() {
    with(|stores| {
        let changed = |name: &str, rev: u64| {
            Event::ConversationChanged(ConversationChanged {
                conversation_id: name.parse().expect("an id"),
                workspace_id: id(1),
                turn_id: None,
                status: ConversationChange::Renamed,
                rev,
            })
        };
        stores.apply(changed("a", 3));
        stores.apply(changed("b", 4));
        assert_eq!((stores.talks().get_untracked(), stores.talk("a"), stores.talk("b")), (2, 1, 2));
        stores.apply(changed("a", 2));
        stores.apply(changed("b", 4));
        assert_eq!((stores.talks().get_untracked(), stores.talk("c")), (2, 0), "nothing new");
        // Whatever was missed before a snapshot may have been about any of them.
        stores.replace(&Snapshot::default());
        assert_eq!((stores.talks().get_untracked(), stores.talk("a"), stores.talk("c")), (3, 3, 3));
        stores.apply(changed("a", 5));
        assert_eq!((stores.talk("a"), stores.talk("b")), (4, 3));
    });
}

#[test]
fn a_conversation_that_is_brought_back_is_gone_no_more() {
    with(|stores| {
        let changed = |status: ConversationChange, rev: u64| {
            Event::ConversationChanged(ConversationChanged {
                conversation_id: "a".parse().expect("an id"),
                workspace_id: id(1),
                turn_id: None,
                status,
                rev,
            })
        };
        stores.apply(changed(ConversationChange::Deleted, 3));
        assert!(stores.is_talk_gone("a") && !stores.is_talk_gone("b"));
        stores.apply(changed(ConversationChange::Created, 4));
        stores.apply(changed(ConversationChange::Deleted, 3));
        assert!(!stores.is_talk_gone("a"), "what is told late changes nothing");
    });
}

#[test]
fn a_workspace_is_doomed_while_it_is_deleted_and_once_it_is_gone_and_not_while_it_is_unknown() {
    with(|stores| {
        let is_doomed = Memo::new(move |_| stores.is_workspace_doomed(id(1)));
        assert!(!is_doomed.get_untracked());
        let told = |status, rev| Event::WorkspaceStatus(Workspace { status, ..workspace(1, rev) });
        for (status, rev, told_so) in [
            (WorkspaceStatus::Deleting, 5, true),
            (WorkspaceStatus::Ready, 6, false),
            (WorkspaceStatus::Deleting, 7, true),
        ] {
            stores.apply(told(status, rev));
            assert_eq!(is_doomed.get_untracked(), told_so);
        }
        stores.apply(Event::WorkspaceDeleted(WorkspaceDeleted { id: id(1), rev: 8 }));
        assert!(stores.workspace(id(1)).get_untracked().is_none());
        assert!(is_doomed.get_untracked());
        assert!(!stores.is_workspace_doomed(id(2)));
    });
}

#[test]
fn what_is_worth_a_word_is_told_once() {
    with(|stores| {
        let news = || stores.news().try_update(std::mem::take).unwrap_or_default();
        let stalled = |rev: u64, why: &str| Document {
            warnings: vec![Warning { code: STALLED.into(), message: why.into() }],
            ..document(8, rev, DocumentStatus::Processing)
        };
        stores.apply(Event::DocumentStatus(document(8, 1, DocumentStatus::Processing)));
        assert_eq!(news(), []);
        stores.apply(Event::DocumentStatus(stalled(2, "Once.")));
        assert_eq!(news(), [News::Stalled(stalled(2, "Once."))]);
        stores.apply(Event::DocumentStatus(stalled(3, "Twice.")));
        assert_eq!(news(), [], "it has not got on since");
        stores.apply(Event::DocumentStatus(document(8, 4, DocumentStatus::Processing)));
        stores.apply(Event::DocumentStatus(stalled(5, "Again.")));
        assert_eq!(news(), [News::Stalled(stalled(5, "Again."))]);
        stores.apply(Event::DocumentStatus(stalled(5, "Again.")));
        assert_eq!(news(), [], "an event that comes twice tells nothing new");

        let sessions = |rev: u64, signed_in: Option<&str>| {
            let sessions = Some(SessionsChanged { signed_in: signed_in.map(str::to_owned) });
            Event::SettingsChanged(SettingsChanged { sessions, rev, ..SettingsChanged::of(person()) })
        };
        stores.apply(sessions(6, Some("Firefox on Linux")));
        stores.apply(sessions(7, None));
        let device = "Firefox on Linux".to_owned();
        assert_eq!(news(), [News::SignedIn { user: person().id, device, rev: 6 }]);
        assert_eq!(stores.sessions_rev().get_untracked(), 7);
        stores.apply(Event::SettingsChanged(SettingsChanged { rev: 8, ..SettingsChanged::of(person()) }));
        assert_eq!(stores.sessions_rev().get_untracked(), 7, "that was about something else");
    });
}

#[test]
fn every_end_of_a_job_that_was_under_way_is_there_to_be_said_aloud() {
    with(|stores| {
        let ends = || {
            let all = stores.ends().try_update(std::mem::take).unwrap_or_default();
            all.into_iter().map(|job| job.status).collect::<Vec<_>>()
        };
        for n in 50..53 {
            stores.apply(Event::JobUpdate(job(n, 2, JobStatus::Pending)));
        }
        stores.apply(Event::JobComplete(job(50, 3, JobStatus::Completed)));
        stores.apply(Event::JobError(job(51, 4, JobStatus::Failed)));
        stores.apply(Event::JobError(job(51, 4, JobStatus::Failed)));
        stores.apply(Event::JobUpdate(job(52, 5, JobStatus::Cancelled)));
        assert_eq!(ends(), [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled]);
        // What had ended before and is told again, since a document of it was deleted, ends no second time.
        stores.apply(Event::JobComplete(job(50, 6, JobStatus::Completed)));
        stores.apply(Event::JobUpdate(job(53, 7, JobStatus::Cancelled)));
        assert_eq!(ends(), []);
    });
}
