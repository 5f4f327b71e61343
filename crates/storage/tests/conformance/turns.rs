//! Whose turn it is: what a person waits for goes before what is done in the background, what somebody puts first before
//! all else of the same person, and nothing waits for ever.

use crate::{desk::Desk, on_every_store, reindex::Configured};
use domain::{
    DocumentId, Event, Job, JobId, JobStatus, UserId, WorkspaceId,
    ingest::control::{Control, Retry, RetryScope},
    rag::RagConfig,
    status::Priority,
};
use services::ports::{NewReindex, StoreError};

const BACKGROUND: i64 = 600;

impl<S: Configured> Desk<S> {
    async fn reindexes(&self, user: UserId, workspace: WorkspaceId) -> Job {
        let id = JobId::new(self.s.world().uuid());
        let new = NewReindex {
            id,
            user_id: user,
            workspace_id: workspace,
            command_id: None,
            created_at: self.now(),
        };
        self.jobs.reindex(new).await.unwrap().expect("something is stale")
    }

    async fn first(&self, user: UserId, job: JobId) -> Result<Job, StoreError> {
        self.jobs.control(user, job, Control::First, self.now()).await
    }

    /// Whose documents the next claims are.
    async fn order(&self, claims: u32) -> Vec<JobId> {
        let mut order = vec![];
        for _ in 0..claims {
            order.extend(self.claim("w", 1).await.iter().map(|claim| claim.job_id));
        }
        order
    }
}

async fn what_a_person_waits_for_goes_before_the_background_for_some_minutes(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["old.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work(&claim, 2).await;
    let old: DocumentId = documents[0].id;
    let other = RagConfig { chunk_size: 300, chunk_overlap: 50, ..RagConfig::default() };
    d.s.configure(user, workspace, other).await;
    while d.jobs.compare(workspace, 10, d.now()).await.unwrap() > 0 {}
    let background = d.reindexes(user, workspace).await;
    assert_eq!((background.priority, background.queue_position), (Priority::Background, Some(0)));
    let (soon, _) = d.upload(user, workspace, &["soon.txt"]).await;
    assert_eq!((soon.priority, soon.queue_position), (Priority::Normal, Some(0)));
    assert_eq!(d.job(user, background.job_id).await.queue_position, Some(1));
    // However much is uploaded from then on, it has waited long enough.
    d.s.world().clock.advance_seconds(BACKGROUND);
    let (late, _) = d.upload(user, workspace, &["late.txt"]).await;
    assert_eq!(late.queue_position, Some(2));
    assert_eq!(d.order(3).await, [soon.job_id, background.job_id, late.job_id]);
    assert_eq!(d.document(user, old).await.job_id, Some(background.job_id));
}

async fn many_files_let_a_few_go_first(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let names: Vec<String> = (0..30).map(|n| format!("{n}.txt")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (many, _) = d.upload(user, workspace, &names).await;
    let (few, _) = d.upload(user, workspace, &["few.txt"]).await;
    assert_eq!(d.order(2).await, [few.job_id, many.job_id]);
}

async fn what_somebody_puts_first_goes_before_their_own_jobs_and_nobody_elses(s: impl Configured) {
    let d = Desk::new(s);
    let (ada, papers) = d.home().await;
    let (bob, letters) = d.home().await;
    let (a, _) = d.upload(ada, papers, &["1.txt", "2.txt"]).await;
    let (b, _) = d.upload(bob, letters, &["3.txt", "4.txt"]).await;
    let (c, _) = d.upload(ada, papers, &["5.txt"]).await;
    assert_eq!(c.queue_position, Some(2));
    let before = d.head(ada).await;
    let put = d.first(ada, c.job_id).await.unwrap();
    assert_eq!((put.priority, put.queue_position), (Priority::First, Some(0)));
    let told = d.events_after(ada, before).await;
    let [Event::JobUpdate(told)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((told.priority, told.queue_position), (Priority::First, Some(0)));
    // The others learn their places from the herald. Nobody else waits for it longer than for one of each person.
    d.jobs.tell_queue(10, d.now()).await.unwrap();
    assert_eq!(d.job(bob, b.job_id).await.queue_position, Some(1));
    assert_eq!(d.job(ada, a.job_id).await.queue_position, Some(2));
    // A second click changes nothing.
    let head = d.head(ada).await;
    assert_eq!(d.first(ada, c.job_id).await.unwrap().priority, Priority::First);
    assert_eq!(d.head(ada).await, head);
    assert!(matches!(d.first(bob, c.job_id).await, Err(StoreError::NotFound)));
    // Each person has one in hand in turn, whatever is put first.
    assert_eq!(d.order(4).await, [c.job_id, b.job_id, a.job_id, b.job_id]);
    // Put first once it runs: its next document goes before what was put first earlier.
    let (e, _) = d.upload(ada, papers, &["6.txt"]).await;
    d.first(ada, e.job_id).await.unwrap();
    d.first(ada, a.job_id).await.unwrap();
    assert_eq!(d.job(ada, a.job_id).await.priority, Priority::First);
    assert_eq!(d.order(2).await, [a.job_id, e.job_id]);
    d.jobs.control(ada, e.job_id, Control::Cancel { keep_results: true }, d.now()).await.unwrap();
    d.jobs.void_leases().await.unwrap();
    d.jobs.honour_requests(10, d.now()).await.unwrap();
    assert_eq!(d.job(ada, e.job_id).await.status, JobStatus::Cancelled);
    assert!(matches!(d.first(ada, e.job_id).await, Err(StoreError::Illegal(_))));
}

async fn of_those_with_equally_few_in_hand_whoever_was_served_longest_ago_goes_first(s: impl Configured) {
    let d = Desk::new(s);
    let (ada, papers) = d.home().await;
    let (bob, letters) = d.home().await;
    let (eve, notes) = d.home().await;
    let (a, _) = d.upload(ada, papers, &["1.txt", "2.txt", "3.txt", "4.txt"]).await;
    // One hand, which is always free when it takes the next one.
    let next = async || {
        let claim = d.claim_one("w").await;
        d.work(&claim, 1).await;
        claim.job_id
    };
    assert_eq!(next().await, a.job_id);
    let (b, _) = d.upload(bob, letters, &["5.txt", "6.txt"]).await;
    let (e, _) = d.upload(eve, notes, &["7.txt"]).await;
    for expected in [b.job_id, e.job_id, a.job_id, b.job_id, a.job_id] {
        assert_eq!(next().await, expected);
    }
    // Whoever has nothing to do for a while gets no more than the next turn for that.
    let (again, _) = d.upload(eve, notes, &["8.txt", "9.txt"]).await;
    for expected in [again.job_id, a.job_id, again.job_id] {
        assert_eq!(next().await, expected);
    }
}

async fn a_place_in_the_queue_knows_who_was_served_longest_ago(s: impl Configured) {
    let d = Desk::new(s);
    let (ada, papers) = d.home().await;
    let (bob, letters) = d.home().await;
    let (eve, notes) = d.home().await;
    let claims = async |n: u32| {
        for _ in 0..n {
            let claim = d.claim_one("w").await;
            d.work(&claim, 1).await;
        }
    };
    d.upload(ada, papers, &["1.txt"]).await;
    claims(1).await;
    let mut jobs = vec![];
    for (user, workspace) in [(ada, papers), (ada, papers), (bob, letters), (eve, notes), (bob, letters)] {
        jobs.push((user, d.upload(user, workspace, &["a.txt"]).await.0));
    }
    let [a, a2, b, e, b2] = jobs.as_slice() else { unreachable!() };
    let told: Vec<_> = jobs.iter().map(|(_, job)| job.queue_position.expect("it waits")).collect();
    assert_eq!(told, [0, 1, 0, 1, 3]);
    let mut order = vec![];
    for (user, job) in &jobs {
        order.push((d.job(*user, job.job_id).await.queue_position, job.job_id));
    }
    order.sort_unstable();
    let expected = [b, e, a, b2, a2].map(|(_, job)| job.job_id);
    assert_eq!(order.iter().map(|(_, id)| *id).collect::<Vec<_>>(), expected);
    assert_eq!(order.iter().map(|(place, _)| place.unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for expected in expected {
        let claim = d.claim_one("w").await;
        assert_eq!(claim.job_id, expected);
        d.work(&claim, 1).await;
    }
}

async fn a_job_that_is_retried_does_not_wait_for_a_later_one_of_the_same_person(s: impl Configured) {
    let d = Desk::new(s);
    let (ada, papers) = d.home().await;
    let (earlier, _) = d.upload(ada, papers, &["1.txt"]).await;
    d.jobs.control(ada, earlier.job_id, Control::Cancel { keep_results: true }, d.now()).await.unwrap();
    let (later, _) = d.upload(ada, papers, &["2.txt"]).await;
    assert_eq!(d.claim_one("w").await.job_id, later.job_id);
    let retry = Control::Retry(Retry { scope: RetryScope::All, ..Retry::failed() });
    let again = d.jobs.control(ada, earlier.job_id, retry, d.now()).await.unwrap();
    // The later one runs already, and its next document goes after those of the earlier one all the same.
    assert_eq!((again.status, again.queue_position), (JobStatus::Pending, Some(0)));
    assert_eq!(d.job(ada, earlier.job_id).await.queue_position, Some(0));
}

on_every_store!(
    a_job_that_is_retried_does_not_wait_for_a_later_one_of_the_same_person,
    of_those_with_equally_few_in_hand_whoever_was_served_longest_ago_goes_first,
    a_place_in_the_queue_knows_who_was_served_longest_ago,
    what_a_person_waits_for_goes_before_the_background_for_some_minutes,
    many_files_let_a_few_go_first,
    what_somebody_puts_first_goes_before_their_own_jobs_and_nobody_elses,
);
