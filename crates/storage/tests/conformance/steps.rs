//! The steps that documents went through, of which timelines are drawn: those of one document, and those of a whole job.

use crate::{
    desk::{Desk, JobSubject, failed, step},
    on_every_store,
};
use domain::{
    DocumentId, Event, JobId, Step,
    event::{FileProgress, StepStatus},
    ingest::Stage,
};

async fn the_steps_of_a_document_are_those_that_it_went_through(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    assert!(d.steps(user, documents[0].id).await.is_empty());
    let claims = d.claim("w", 2).await;
    d.work_until(&claims[0], 5, Stage::Embedding).await;
    d.check(&claims[0], step(Step::CreatingEmbeddings)).await.unwrap();
    d.work(&claims[1], 2).await;
    let steps = d.steps(user, documents[0].id).await;
    let seen: Vec<_> = steps.iter().map(|s| (s.step.clone(), s.status)).collect();
    assert_eq!(
        seen,
        [
            (Step::ExtractingText, StepStatus::Complete),
            (Step::ChunkingText, StepStatus::Complete),
            (Step::DuplicateCheck, StepStatus::Complete),
            (Step::CreatingEmbeddings, StepStatus::InProgress),
        ]
    );
    assert!(steps.windows(2).all(|w| w[0].started_at < w[1].started_at && w[0].timestamp <= w[1].started_at));
    assert!(steps.iter().all(|s| s.document_id == documents[0].id && s.rev > 0));
    d.check(&claims[0], failed("It broke.")).await.unwrap();
    let last = d.steps(user, documents[0].id).await.pop().unwrap();
    assert_eq!(
        (last.step, last.status, last.message.as_str()),
        (Step::CreatingEmbeddings, StepStatus::Error, "It broke.")
    );
}

async fn documents_that_began_first_are_drawn_however_much_was_told_of_them(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace_id) = d.home().await;
    let world = d.s.world();
    let (job, other) = (JobId::new(world.uuid()), JobId::new(world.uuid()));
    let ids: Vec<DocumentId> = (0..3).map(|_| DocumentId::new(world.uuid())).collect();
    let now = d.now();
    let told = |document_id: DocumentId, job: JobId, step: &str| {
        Event::FileProgress(FileProgress {
            document_id,
            workspace_id,
            job_id: Some(job),
            attempt: 1,
            filename: "long.txt".to_owned(),
            step: Step::from(step),
            message: String::new(),
            status: StepStatus::InProgress,
            progress: 1.0,
            timestamp: now,
            started_at: now,
            extra: serde_json::Value::Null,
            rev: 0,
            file_id: document_id,
        })
    };
    // More than are read at a time; what is told in another job is none of them.
    let mut events = vec![told(ids[0], other, "loading")];
    events.extend((0..1_050).map(|n| told(ids[1], job, &format!("part_{}", n % 3))));
    events.push(told(ids[0], job, "loading"));
    events.push(told(ids[2], job, "loading"));
    events.push(told(ids[1], job, "part_last"));
    d.log.append(user, events, now).await.unwrap();

    let drawn = async |most: u32| {
        let steps = d.documents.steps_of_job(user, job, most).await.unwrap();
        let mut documents: Vec<_> = steps.iter().map(|s| s.document_id).collect();
        documents.dedup();
        assert!(steps.iter().all(|s| s.job_id == Some(job)));
        let first = steps.iter().filter(|s| s.document_id == ids[1]).map(|s| s.step.as_str().to_owned());
        (documents, first.collect::<Vec<_>>())
    };
    let all = ["part_0", "part_1", "part_2", "part_last"].map(str::to_owned).to_vec();
    assert_eq!(drawn(1).await, (vec![ids[1]], all.clone()));
    assert_eq!(drawn(2).await, (vec![ids[1], ids[0]], all.clone()));
    assert_eq!(drawn(50).await, (vec![ids[1], ids[0], ids[2]], all));
}

on_every_store!(
    the_steps_of_a_document_are_those_that_it_went_through,
    documents_that_began_first_are_drawn_however_much_was_told_of_them,
);
