//! Vectors that PostgreSQL searches: whoever scans what it tells finds the same as whoever scans all of them. These tests
//! fail where PostgreSQL has no pgvector; `cargo xtask test` brings one that has, or leaves them out and says so.

use crate::{
    desk::{Desk, step, vector_of},
    subject::{Database, Postgres, Sqlite, Subject},
    support::Place,
};
use domain::{
    ChunkId, DocumentId, JobId, PhaseName, Step, UserId, WorkspaceId,
    ingest::{Checkpoint, Stage, control::Control},
    rag::{BUILTIN_MODEL as MODEL, RagConfig},
};
use measure::dice::Dice;
use services::ports::{ChunkChange, Claim, Index, JobStore, NewReindex, Passages, RagConfigs, StoredVector};
use sqlx::{AnyConnection, AssertSqlSafe, Executor, Row, raw_sql};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use storage::move_installation;

async fn library() -> Desk<Postgres> {
    let d = Desk::new(Postgres::fresh().await);
    assert!(d.s.store.searches_vectors(), "the PostgreSQL of INSIGHTHUB_TEST_POSTGRES_URL has no pgvector");
    d
}

/// Takes a document from its claim to its end, with these vectors.
async fn finish(d: &Desk<Postgres>, claim: &Claim, vectors: &[Vec<f32>]) -> Vec<ChunkId> {
    d.work_until(claim, vectors.len() as u32, Stage::Embedding).await;
    d.check(claim, step(Step::CreatingEmbeddings)).await.unwrap();
    let chunks = d.jobs.unembedded(claim.document_id, u32::MAX >> 1).await.unwrap();
    assert_eq!(chunks.len(), vectors.len());
    let vectors = chunks.iter().zip(vectors).map(|(c, v)| (c.id, v.clone())).collect();
    d.check(claim, Checkpoint::Embedded { vectors }).await.unwrap();
    d.work(&Claim { stage: Stage::Indexing, ..claim.clone() }, 0).await;
    chunks.iter().map(|c| c.id).collect()
}

/// A document that is ready, with these vectors.
async fn put(
    d: &Desk<Postgres>,
    user: UserId,
    workspace: WorkspaceId,
    vectors: &[Vec<f32>],
) -> (DocumentId, Vec<ChunkId>) {
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    let ids = finish(d, &claim, vectors).await;
    (claim.document_id, ids)
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    vector
}

fn random(dice: &mut Dice, dims: usize) -> Vec<f32> {
    unit((0..dims).map(|_| (dice.unit() - 0.5) as f32).collect())
}

/// Some way to add up the products.
type Sum = fn(&[f32], &[f32]) -> f64;

/// Different orders and precisions: what is found by each of them has to be among the few.
const SUMS: [Sum; 4] = [
    |a, b| f64::from(a.iter().zip(b).fold(0.0f32, |sum, (x, y)| sum + x * y)),
    |a, b| f64::from(a.iter().zip(b).rev().fold(0.0f32, |sum, (x, y)| x.mul_add(*y, sum))),
    |a, b| {
        let mut sums = [0.0f32; 8];
        a.iter().zip(b).enumerate().for_each(|(n, (x, y))| sums[n % 8] += x * y);
        f64::from(sums.iter().sum::<f32>())
    },
    |a, b| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum(),
];

/// The ids of the nearest, of equals those with the smaller ids.
fn nearest(of: &[StoredVector], query: &[f32], k: usize, sum: Sum) -> Vec<ChunkId> {
    let same = of.iter().filter(|v| v.vector.len() == query.len() && *v.model == *MODEL);
    let mut scored: Vec<(f64, ChunkId)> = same.map(|v| (sum(&v.vector, query), v.chunk_id)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.into_iter().take(k).map(|(_, id)| id).collect()
}

async fn few(d: &Desk<Postgres>, workspace: WorkspaceId, query: &[f32], k: u32) -> Option<Vec<StoredVector>> {
    d.s.store.candidates(workspace, MODEL, query, k).await.unwrap()
}

fn ids(vectors: &[StoredVector]) -> BTreeSet<ChunkId> {
    vectors.iter().map(|v| v.chunk_id).collect()
}

/// Asks both ways; answers how many there were to scan.
async fn assert_the_same(d: &Desk<Postgres>, workspace: WorkspaceId, query: &[f32], k: u32) -> usize {
    let (_, all) = d.s.store.vectors(workspace).await.unwrap();
    let few = few(d, workspace, query, k).await.expect("the database tells");
    for (n, sum) in SUMS.into_iter().enumerate() {
        let (by_few, by_all) = (nearest(&few, query, k as usize, sum), nearest(&all, query, k as usize, sum));
        assert_eq!(by_few, by_all, "k {k}, {} numbers, sum {n}", query.len());
    }
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for vector in &few {
        let own = all.iter().find(|v| v.chunk_id == vector.chunk_id).expect("it is one of them");
        assert_eq!((&own.model, bits(&own.vector)), (&vector.model, bits(&vector.vector)));
    }
    few.len()
}

/// Every vector has a copy, which is equal to it; answers how many there are.
async fn assert_all_copied(conn: &mut AnyConnection) -> usize {
    let rows = sqlx::query(
        "SELECT v.vector AS vector, CAST(s.embedding AS TEXT) AS copy, s.dims AS dims FROM chunk_vectors v \
         LEFT JOIN searchable_vectors s ON s.chunk_id = v.chunk_id",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    for row in &rows {
        let bytes: &[u8] = row.try_get("vector").unwrap();
        let vector: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
        let copy: &str = row.try_get("copy").expect("a copy");
        let copy: Vec<f32> =
            copy.trim_matches(['[', ']']).split(',').map(|number| number.parse().unwrap()).collect();
        assert_eq!(copy, vector);
        assert_eq!(row.try_get::<i64, _>("dims").unwrap(), vector.len() as i64);
    }
    rows.len()
}

/// Asks until the database tells: the copies are made beside everything else.
async fn awaited(d: &Desk<Postgres>, workspace: WorkspaceId, query: &[f32]) -> Vec<StoredVector> {
    let asking = async {
        loop {
            if let Some(few) = few(d, workspace, query, 9).await {
                return few;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), asking).await.expect("the copies are made")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_scans_the_few_finds_what_a_scan_of_all_finds() {
    let d = library().await;
    let user = d.s.user().await;
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let workspace = d.s.workspace(user, RagConfig::default()).await;
        let dims = *dice.one_of(&[1usize, 2, 7, 48, 384]);
        // Some point where they like, some lie close together, some are the same.
        let mut vectors: Vec<Vec<f32>> = vec![];
        for _ in 0..200 {
            let kind = if vectors.is_empty() { 0 } else { dice.below(4) };
            let vector = match kind {
                0 | 1 => random(&mut dice, dims),
                2 => {
                    let by = 10f64.powi(-(dice.below(8) as i32)) as f32;
                    let near = dice.one_of(&vectors).clone();
                    unit(near.into_iter().map(|x| x + by * (dice.unit() as f32 - 0.5)).collect())
                }
                _ => dice.one_of(&vectors).clone(),
            };
            // So short a vector may have had the length 0.
            vectors.push(if vector.iter().all(|x| x.is_finite()) { vector } else { vec![1.0; dims] });
        }
        put(&d, user, workspace, &vectors).await;
        for k in [1, 3, 40] {
            for _ in 0..3 {
                let query =
                    if dice.below(2) == 0 { random(&mut dice, dims) } else { dice.one_of(&vectors).clone() };
                assert_the_same(&d, workspace, &query, k).await;
            }
        }
        assert_eq!(assert_the_same(&d, workspace, &vectors[0], 500).await, 200, "more than there are");
        assert_eq!(few(&d, workspace, &vectors[0], 0).await.map(|few| few.len()), Some(0));
    }
    assert_eq!(assert_all_copied(&mut d.s.place.connect().await).await, 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_of_many_are_told_and_all_that_are_as_near_as_the_last_one() {
    let d = library().await;
    let (user, workspace) = d.home().await;
    let mut dice = Dice::new(7);
    let mut vectors: Vec<Vec<f32>> = (0..900).map(|_| random(&mut dice, 64)).collect();
    let query = random(&mut dice, 64);
    put(&d, user, workspace, &vectors).await;
    let told = assert_the_same(&d, workspace, &query, 8).await;
    assert!((8..72).contains(&told), "{told} of 900");
    // More of them are equally near than anybody fetches at first: which of them are taken is not for the database to say.
    let (_, same) = put(&d, user, workspace, &vec![query.clone(); 150]).await;
    let (_, all) = d.s.store.vectors(workspace).await.unwrap();
    assert_eq!(all.len(), 1_050);
    let told = few(&d, workspace, &query, 8).await.expect("told");
    assert_eq!(ids(&told), same.into_iter().collect::<BTreeSet<_>>());
    assert_the_same(&d, workspace, &query, 8).await;
    assert_the_same(&d, workspace, &query, 151).await;
    vectors.truncate(20);
    for vector in &vectors {
        assert_the_same(&d, workspace, vector, 40).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_searches_find_is_told() {
    let d = library().await;
    let (user, workspace) = d.home().await;
    let (other, elsewhere) = d.home().await;
    let mut dice = Dice::new(3);
    let mut some = |n: usize| (0..n).map(|_| random(&mut dice, 3)).collect::<Vec<_>>();
    let query = some(1).remove(0);
    put(&d, other, elsewhere, &some(5)).await;
    let (gone, _) = put(&d, user, workspace, &some(5)).await;
    let (off, _) = put(&d, user, workspace, &some(5)).await;
    let (document, chunks) = put(&d, user, workspace, &some(5)).await;
    assert_eq!(assert_the_same(&d, workspace, &query, 99).await, 15);
    // Of one that is on its way nothing is found yet.
    d.upload(user, workspace, &["half.txt"]).await;
    let half = d.claim_one("w").await;
    d.work_until(&half, 4, Stage::Indexing).await;
    assert_eq!(assert_the_same(&d, workspace, &query, 99).await, 15);

    let mut conn = d.s.place.connect().await;
    let sql = format!(
        "DELETE FROM documents WHERE id = '{gone}'; UPDATE documents SET enabled = 0 WHERE id = '{off}'"
    );
    conn.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap();
    let change = |chunk: ChunkId| ChunkChange {
        user,
        document,
        chunk,
        words: None,
        enabled: None,
        vector: None,
        now: d.now(),
    };
    let disabled = ChunkChange { enabled: Some(false), ..change(chunks[0]) };
    d.s.store.change_passage(disabled).await.unwrap();
    // Another vector of the same passage takes the place of its copy, too.
    let vector = Some((MODEL.to_owned(), query.clone()));
    d.s.store.change_passage(ChunkChange { vector, ..change(chunks[1]) }).await.unwrap();
    let told = few(&d, workspace, &query, 99).await.expect("told");
    assert_eq!(ids(&told), chunks[1..].iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(assert_the_same(&d, workspace, &query, 1).await, 1);
    assert_eq!(nearest(&told, &query, 1, SUMS[0]), [chunks[1]]);
    assert_eq!(
        d.s.store.candidates(workspace, "another", &query, 9).await.unwrap().map(|v| v.len()),
        Some(0)
    );
    // 5 elsewhere, 5 switched off, 5 here, 4 on their way; those that are gone took their copies along.
    assert_eq!(assert_all_copied(&mut conn).await, 19);
    let copies: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM searchable_vectors").fetch_one(&mut conn).await.unwrap();
    assert_eq!(copies, 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_of_another_model_and_of_another_length_are_not_compared() {
    let d = library().await;
    let (user, workspace) = d.home().await;
    let mut dice = Dice::new(11);
    let short: Vec<Vec<f32>> = (0..30).map(|_| random(&mut dice, 5)).collect();
    let long: Vec<Vec<f32>> = (0..40).map(|_| random(&mut dice, 9)).collect();
    put(&d, user, workspace, &short).await;
    put(&d, user, workspace, &long).await;
    for query in [&short[0], &long[0]] {
        assert_the_same(&d, workspace, query, 9).await;
        assert_eq!(
            few(&d, workspace, query, 99).await.expect("told").len(),
            if query.len() == 5 { 30 } else { 40 }
        );
    }
    assert_eq!(few(&d, workspace, &[1.0], 9).await.expect("told").len(), 0);
    // The next runs make vectors of another model and length, and until each is through the earlier ones are found.
    let config = RagConfig {
        embedding_model: "another".into(),
        chunk_size: 300,
        chunk_overlap: 50,
        ..RagConfig::default()
    };
    d.s.store.set_rag_config(user, workspace, config, d.now()).await.unwrap();
    let id = JobId::new(d.s.world().uuid());
    let again =
        NewReindex { id, user_id: user, workspace_id: workspace, command_id: None, created_at: d.now() };
    d.jobs.reindex(again).await.unwrap().expect("a job");
    let claims = d.claim("w", 9).await;
    assert_eq!(claims.len(), 2);
    let next: Vec<Vec<f32>> = (0..20).map(|_| random(&mut dice, 7)).collect();
    finish(&d, &claims[0], &next).await;
    let outline = d.s.store.outline(workspace, 0).await.unwrap().expect("an outline");
    assert_eq!(outline.models, [MODEL.into(), "another".into()] as [Arc<str>; 2]);
    finish(&d, &claims[1], &next).await;
    let outline = d.s.store.outline(workspace, 0).await.unwrap().expect("an outline");
    assert_eq!(outline.models, ["another".into()] as [Arc<str>; 1]);
    let told = d.s.store.candidates(workspace, "another", &next[0], 99).await.unwrap().expect("told");
    assert_eq!(ids(&told), ids(&d.s.store.vectors(workspace).await.unwrap().1));
    assert_eq!(told.len(), 40);
    for query in [&short[0], &long[0]] {
        assert_eq!(few(&d, workspace, query, 9).await.expect("told").len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outline_tells_what_a_large_workspace_has() {
    let d = library().await;
    let (user, workspace) = d.home().await;
    let store = &d.s.store;
    assert_eq!(store.outline(workspace, 0).await.unwrap(), None, "nothing takes no memory");
    let (_, chunks) = put(&d, user, workspace, &vec![vec![0.6, 0.8]; 6]).await;
    // Two numbers of four bytes, and an id of sixteen.
    assert_eq!(store.outline(workspace, 6 * 24).await.unwrap(), None);
    let outline = store.outline(workspace, 6 * 24 - 1).await.unwrap().expect("it is larger");
    assert_eq!(outline.version, store.index_version(workspace).await.unwrap());
    assert_eq!((outline.models.len(), &*outline.models[0], outline.bare), (1, MODEL, 0));
    // One whose embedding is left out in the middle leaves no copy behind either.
    let (job, documents) = d.upload(user, workspace, &["bare.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 5, Stage::Embedding).await;
    let vectors = d.next_vectors(claim.document_id).await;
    d.check(&claim, vectors).await.unwrap();
    let mut conn = d.s.place.connect().await;
    assert_eq!(assert_all_copied(&mut conn).await, 9);
    let skip = Control::CancelPhase(PhaseName::Embedding);
    d.jobs.control(user, job.job_id, skip, d.now()).await.unwrap();
    let claim = d.claim_one("w").await;
    d.work(&claim, 5).await;
    assert_eq!(assert_all_copied(&mut conn).await, 6);
    let outline = store.outline(workspace, 0).await.unwrap().expect("it is larger");
    assert_eq!((outline.models.len(), outline.bare), (1, 5));
    assert_eq!(outline.version, store.index_version(workspace).await.unwrap());
    let bare: Vec<ChunkId> = d.chunks(user, documents[0].id).await.iter().map(|c| c.id).collect();
    let asked = [chunks[0], bare[3], chunks[1], bare[0]];
    assert_eq!(store.without_vectors(&asked).await.unwrap(), [bare[3], bare[0]]);
    assert_eq!(few(&d, workspace, &[1.0, 0.0], 99).await.expect("told").len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_is_copied_with_its_vector() {
    let d = library().await;
    let (user, workspace) = d.home().await;
    let mut dice = Dice::new(5);
    let vectors: Vec<Vec<f32>> = (0..70).map(|_| random(&mut dice, 12)).collect();
    put(&d, user, workspace, &vectors).await;
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 70, Stage::Embedding).await;
    d.check(&claim, step(Step::CreatingEmbeddings)).await.unwrap();
    let passages = d.jobs.known(&claim, 99).await.unwrap();
    assert_eq!(passages.len(), 70);
    d.check(&claim, Checkpoint::Known { passages }).await.unwrap();
    d.work(&Claim { stage: Stage::Indexing, ..claim }, 0).await;
    assert_eq!(assert_all_copied(&mut d.s.place.connect().await).await, 140);
    assert_the_same(&d, workspace, &vectors[3], 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_wrote_that_does_without_is_missed_and_copied() {
    let mut d = library().await;
    let (user, workspace) = d.home().await;
    let mut dice = Dice::new(9);
    let vectors: Vec<Vec<f32>> = (0..150).map(|_| random(&mut dice, 6)).collect();
    put(&d, user, workspace, &vectors[..10]).await;
    let without = d.s.open_without_pgvector().await;
    assert!(!without.searches_vectors());
    assert_eq!(without.outline(workspace, 0).await.unwrap(), None);
    assert!(without.candidates(workspace, MODEL, &vectors[0], 9).await.unwrap().is_none());
    let other: Arc<dyn JobStore> = Arc::new(without.clone());
    let own = std::mem::replace(&mut d.jobs, other);
    put(&d, user, workspace, &vectors[10..]).await;
    d.jobs = own;
    // Without the 140 the answer would be another one: so there is none until they are there.
    awaited(&d, workspace, &vectors[100]).await;
    assert_the_same(&d, workspace, &vectors[100], 9).await;
    assert_eq!(assert_all_copied(&mut d.s.place.connect().await).await, 150);
    without.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_extension_is_made_where_it_is_not_and_what_was_there_before_is_copied() {
    let mut d = library().await;
    let (user, workspace) = d.home().await;
    let mut dice = Dice::new(13);
    let vectors: Vec<Vec<f32>> = (0..130).map(|_| random(&mut dice, 6)).collect();
    put(&d, user, workspace, &vectors).await;
    for taken in ["DROP EXTENSION vector CASCADE", "DROP TABLE searchable_vectors"] {
        d.s.store.close().await;
        d.s.place.connect().await.execute(taken).await.unwrap();
        // Servers that start at once do not get in one another's way.
        let others = futures::future::join_all((0..4).map(|_| d.s.open_another())).await;
        assert!(others.iter().all(|store| store.searches_vectors()), "{taken}");
        for store in others {
            store.close().await;
        }
        d.s.reopen().await;
        awaited(&d, workspace, &vectors[0]).await;
        assert_the_same(&d, workspace, &vectors[0], 9).await;
        assert_eq!(assert_all_copied(&mut d.s.place.connect().await).await, 130);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vector_that_pgvector_does_not_take_is_kept_and_the_workspace_scanned() {
    let d = library().await;
    let (user, workspace) = d.home().await;
    put(&d, user, workspace, &[vec![1.0, 0.0]]).await;
    assert_eq!(few(&d, workspace, &[1.0, 0.0], 9).await.expect("told").len(), 1);
    put(&d, user, workspace, &[vec![f32::NAN, 0.0], vec![0.0, 1.0]]).await;
    assert!(few(&d, workspace, &[1.0, 0.0], 1).await.is_none());
    assert_eq!(d.s.store.vectors(workspace).await.unwrap().1.len(), 3);
    let questions: [&[f32]; 2] = [&[f32::NAN, 0.0], &[]];
    for query in questions {
        assert!(few(&d, workspace, query, 1).await.is_none(), "nor is such a question");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_installation_is_searched_by_pgvector() {
    let desk = Desk::new(Sqlite::fresh().await);
    let (user, workspace) = desk.home().await;
    desk.upload(user, workspace, &["a.txt"]).await;
    let claim = desk.claim_one("w").await;
    desk.work(&claim, 80).await;
    assert!(!desk.s.store.searches_vectors());
    assert_eq!(desk.s.store.outline(workspace, 0).await.unwrap(), None);
    let chunks: Vec<ChunkId> = desk.chunks(user, claim.document_id).await.iter().map(|c| c.id).collect();
    let place = Place::postgres().await;
    move_installation(&desk.s.place.url(), &place.url()).await.unwrap();
    let there = Desk::new(Postgres(Database::of(place, desk.s.0.into_world()).await));
    let told = awaited(&there, workspace, &vector_of(chunks[0])).await;
    assert!(told.iter().all(|v| v.vector == vector_of(v.chunk_id)));
    assert_eq!(assert_all_copied(&mut there.s.place.connect().await).await, 80);
}
