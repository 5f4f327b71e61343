//! From settings to a running server and back: builds the services, starts what the role asks for, and stops it in an
//! order in which nothing is lost.

use crate::{
    adapters::{
        Argon2Hasher, ByContent, ChatModel, FileBlobs, FilePlace, FormSeal, Models, Noting, ObjectBlobs,
        OsSecrets, RemoteModel, RemoteReranker, SystemClock, TimeOrderedIds, WebFetcher,
    },
    backup::refuse_half_restored,
    cli::Role,
    config::{self, Config},
    connections,
    data_dir::{lock, make_data_dir},
    demo::{self, Demo},
    http::{self, AppState, Shared, Site},
    neighbours::{carrier_of, common, look_for_other_carriers, shared_folder, with_files},
    pages,
};
use chat::{Answers, Retrieval};
use ingest::{
    chunk::Cutter,
    crawl::{self, CrawlerOptions},
    extract::Extractor,
    pipeline::{self, Tools, WorkerOptions},
};
use messaging::{
    InProcessBus,
    rabbit::{self, House, RabbitBus},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use services::{
    Door, HeardReports, Seals, Services, Turns, Wording,
    live::Hub,
    ports::{BlobError, Blobs, Bus, Clock, CrossEncoder, Embedder, Ids, LanguageModel, Secrets, Wordsmith},
};
use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use storage::{Engine, FILES_KEY, OpenError, OpenOptions, Store};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections that read the database at once.
const READERS: u32 = 8;
/// A file without a document is an orphan when it is older than this; where other servers upload to the same place, than
/// any upload takes.
const ORPHAN_AGE: Duration = Duration::from_secs(3_600);
pub(crate) const SHARED_ORPHAN_AGE: Duration = Duration::from_secs(86_400);
/// How long a stop waits until the broker has what was committed.
const CARRIED: Duration = Duration::from_secs(5);
/// How long a stop waits until it is written what was used last.
const USES: Duration = Duration::from_secs(2);
/// Servers that share a database look into it so often for events of others: without a broker that is how they hear of them;
/// with one it finds what the broker lost without a word, as when a server was too slow for its queue.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_BESIDE_BROKER: Duration = Duration::from_secs(10);
/// Upper bounds of the buckets of request times, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot prepare the data directory {}: {cause}", path.display())]
    DataDir { path: PathBuf, cause: io::Error },
    #[error("cannot prepare the folder of the files {}: {cause}", path.display())]
    Files { path: PathBuf, cause: io::Error },
    #[error("another insighthub is using the data directory {}", path.display())]
    InUse { path: PathBuf },
    #[error("{0}; DATABASE_URL is {1}")]
    Database(#[source] OpenError, String),
    #[error("cannot listen on {addr}: {cause}")]
    Listen { addr: SocketAddr, cause: io::Error },
    #[error("{0}")]
    Refused(String),
    #[error("{what} ended although nobody asked it to; the log says why")]
    Ended { what: &'static str },
    #[error(
        "the database was put back to an older state under this server; start it again, and it begins a new life of the log"
    )]
    PutBack,
    #[error("something does not agree, see above")]
    Unsound,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The use cases with the store behind them.
pub(crate) struct Built {
    pub(crate) services: Services,
    pub(crate) store: Store,
    embedder: Arc<Models>,
    /// Where a language model reads passages for the graph.
    reader: Option<Arc<dyn LanguageModel>>,
    forms: FormSeal,
}

/// Chooses who stands behind each port. Migrates the database.
pub(crate) async fn build(config: &Config, bus: Arc<dyn Bus>) -> Result<Built, StartError> {
    make_data_dir(config)?;
    refuse_half_restored(config)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn Ids> = Arc::new(TimeOrderedIds::new(clock.clone()));
    let secrets: Arc<dyn Secrets> = Arc::new(OsSecrets);
    let options = OpenOptions {
        url: config.database_url.clone(),
        bus: bus.clone(),
        clock: clock.clone(),
        secrets: secrets.clone(),
        high_water: Some(config.data_dir.join("high-water")),
        readers: READERS,
        pgvector: config.pgvector,
    };
    let embedder = Models::new(&config.models_dir, config.embeddings.clone(), clock.clone());
    let embedder = Arc::new(embedder.map_err(StartError::Refused)?);
    let fetcher = WebFetcher::new(config.crawl_allow.clone()).map_err(StartError::Refused)?;
    let llm = config.llm.clone().map(ChatModel::new).transpose().map_err(StartError::Refused)?;
    let llm = llm.map(|model| Arc::new(model) as Arc<dyn Wordsmith>);
    let store = Store::open(options)
        .await
        .map_err(|e| StartError::Database(e, config::masked(&config.database_url)))?;
    let device_key = kept_secret(&store, "device_key", secrets.bytes32()).await?;
    // Marks were made of the other one at first, so where there is none yet it is that.
    let files_key = kept_secret(&store, FILES_KEY, device_key).await?;
    let blobs = files(config, &files_key, &clock, &ids)?;
    let seals = Arc::new(Seals::new(device_key, secrets.bytes32()));
    let form_key = kept_secret(&store, "form_key", secrets.bytes32()).await?;
    let forms = FormSeal::new(&form_key, secrets.clone())
        .ok_or_else(|| StartError::Refused("the key of the forms is of no use".to_owned()))?;
    let whole = Arc::new(store.clone());
    let noting: Arc<dyn Embedder> = Arc::new(Noting::new(embedder.clone(), whole.clone()));
    let wording = Arc::new(Wording::new(whole.clone(), llm, config.llm_file_names));
    let reranker = config.rerank.clone().map(RemoteReranker::new).transpose().map_err(StartError::Refused)?;
    let reranker = reranker.map(|model| Arc::new(model) as Arc<dyn CrossEncoder>);
    let retriever = Arc::new(Retrieval::new(whole.clone(), noting.clone(), reranker, config.vector_cache));
    let model = config.llm.clone().map(|server| RemoteModel::new(server, clock.clone()));
    let model = model.transpose().map_err(StartError::Refused)?;
    let turns = Arc::new(Turns::new(&*ids));
    let model = model.map(|model| Arc::new(model) as Arc<dyn LanguageModel>);
    let answerer = Arc::new(Answers::new(model));
    let services = Services {
        accounts: whole.clone(),
        sessions: whole.clone(),
        api_keys: whole.clone(),
        exports: whole.clone(),
        deletions: whole.clone(),
        bulks: whole.clone(),
        errors: whole.clone(),
        workspaces: whole.clone(),
        documents: whole.clone(),
        sent_files: whole.clone(),
        partial_files: whole.clone(),
        jobs: whole.clone(),
        crawls: whole.clone(),
        events: whole.clone(),
        history: whole.clone(),
        index: whole.clone(),
        blobs,
        embedder: noting.clone(),
        chunker: Arc::new(Cutter::new(embedder.clone(), noting)),
        rag_configs: whole.clone(),
        file_types: Arc::new(ByContent),
        fetcher: Arc::new(fetcher),
        hub: Hub::new(whole.clone(), bus.clone(), config.limits.streams, clock.clone()),
        bus,
        clock,
        ids,
        secrets,
        hasher: Arc::new(Argon2Hasher::new(cores)),
        retriever,
        passages: whole.clone(),
        cases: whole.clone(),
        chats: whole.clone(),
        answerer,
        turns,
        door: Arc::new(Door::new(config.limits.bad_sign_ins, config.limits.sign_ups)),
        seals,
        in_use: Arc::default(),
        uploads: Arc::default(),
        key_drafts: Arc::default(),
        wording,
        limits: config.limits.clone(),
    };
    // With a circuit of its own: what goes wrong with many passages at once must not bar those who ask.
    let reader = config
        .llm
        .clone()
        .filter(|_| config.llm_graph)
        .map(|server| RemoteModel::new(server, services.clock.clone()));
    let reader = reader.transpose().map_err(StartError::Refused)?;
    let reader = reader.map(|model| Arc::new(model) as Arc<dyn LanguageModel>);
    Ok(Built { services, store, embedder, reader, forms })
}

/// What all servers of the database keep under that name; `drawn`, when there was nothing yet.
pub(crate) async fn kept_secret(
    store: &Store,
    name: &'static str,
    drawn: [u8; 32],
) -> Result<[u8; 32], StartError> {
    let kept = store.kept_secret(name, drawn).await;
    kept.map_err(|e| StartError::Refused(format!("the database cannot be written: {e}")))
}

/// Where files lie. Two servers on one database are one installation, and share them.
fn files(
    config: &Config,
    secret: &[u8; 32],
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
) -> Result<Arc<dyn Blobs>, StartError> {
    match &config.files {
        FilePlace::Folder(folder) => {
            let blobs = FileBlobs::open(folder.clone(), ids.clone());
            Ok(Arc::new(blobs.map_err(|cause| StartError::Files { path: folder.clone(), cause })?))
        }
        FilePlace::Bucket(server) => {
            let scratch = config.data_dir.join("scratch");
            let blobs = ObjectBlobs::open(server, scratch, secret, clock.clone(), ids.clone());
            Ok(Arc::new(blobs.map_err(StartError::Refused)?))
        }
    }
}

/// Removes what transfers of an earlier life left half-written. A store that is away just now is no reason not to start:
/// people can read, and the sweeper comes later.
async fn clear_unfinished(blobs: &dyn Blobs, age: Duration) -> Result<(), StartError> {
    match blobs.clear_unfinished(age).await {
        Ok(()) => Ok(()),
        Err(BlobError::Away(cause)) => {
            tracing::warn!(error = format!("{cause:?}"), "the store of the files does not answer, or fails");
            Ok(())
        }
        Err(BlobError::Refused(cause)) => Err(StartError::Refused(format!(
            "the files cannot be used: {cause}; INSIGHTHUB_BLOB_URL names where"
        ))),
        Err(e) => Err(StartError::Refused(format!("the files cannot be used: {e}"))),
    }
}

/// The bus to other servers, when there is a broker.
fn broker(config: &Config, role: Role) -> Option<Arc<RabbitBus>> {
    let broker = config.broker.clone()?;
    let ids = TimeOrderedIds::new(Arc::new(SystemClock));
    Some(RabbitBus::new(rabbit::Options {
        url: broker.url,
        exchange: broker.exchange,
        node: ids.uuid().to_string(),
        serves: role.serves_people(),
        works: role.works(),
    }))
}

/// What that bus needs of the rest.
fn house(services: &Services, store: &Store) -> House {
    let whole = Arc::new(store.clone());
    House {
        epoch: services.events.epoch(),
        outbox: whole.clone(),
        outside: whole.clone(),
        reports: Arc::new(HeardReports { services: services.clone(), outside: whole }),
        clock: services.clock.clone(),
        secrets: services.secrets.clone(),
    }
}

/// `insighthub serve`: until a signal comes. A second signal ends the process at once.
pub async fn serve(config: Config, role: Role, with_demo: bool) -> Result<(), StartError> {
    serve_beside(config, role, with_demo, |_| std::future::ready(())).await
}

/// The same with work of somebody else's beside it, which begins when the address is known and is dropped when the server
/// stops: a bench drives the hub of a whole server from within.
pub async fn serve_beside<W>(
    config: Config,
    role: Role,
    with_demo: bool,
    beside: impl FnOnce(Services) -> W,
) -> Result<(), StartError>
where
    W: Future<Output = ()> + Send + 'static,
{
    if with_demo {
        if role != Role::All {
            return Err(StartError::Refused("a demonstration needs the role `all`".to_owned()));
        }
        demo::may_be_served(&config).map_err(StartError::Refused)?;
    }
    make_data_dir(&config)?;
    // Held until the process ends.
    let lock = lock(&config)?;
    // Before anything that counts: what was said earlier is not kept.
    let metrics = start_metrics()?;
    let broker = broker(&config, role);
    let bus: Arc<dyn Bus> = match &broker {
        Some(broker) => broker.clone(),
        None => InProcessBus::new(),
    };
    let Built { services, store, embedder, reader, forms } = build(&config, bus).await?;
    let folder = shared_folder(&config, &store, services.secrets.bytes32()).await?;
    // Where other servers may share the files, only what nobody can be writing any more goes.
    let age = if lock.is_some() { Duration::ZERO } else { SHARED_ORPHAN_AGE };
    clear_unfinished(&*services.blobs, age).await?;
    let listener = TcpListener::bind(config.addr)
        .await
        .map_err(|cause| StartError::Listen { addr: config.addr, cause })?;
    let addr = listener.local_addr()?;
    let (leaving, stopping) = (CancellationToken::new(), CancellationToken::new());
    watch_signals(config.drain, leaving.clone(), stopping.clone())?;

    let background = TaskTracker::new();
    let ended_early = CancellationToken::new();
    if store.engine() == Engine::Sqlite && role.serves_people() {
        // Nobody else uses this database: whoever worked on an answer is dead.
        match services.end_turns_of_before().await {
            Ok(0) => {}
            Ok(turns) => {
                tracing::info!(turns, "answers that an earlier run left unfinished are marked as interrupted")
            }
            Err(e) => return Err(StartError::Refused(format!("unfinished answers could not be ended: {e}"))),
        }
    }
    background.spawn(until(stopping.clone(), services.hub.run()));
    background.spawn(until(stopping.clone(), services.clone().run_turn_keeper()));
    // Until everything else has come to its end, since all of it may still have something to tell.
    let carrying = CancellationToken::new();
    let carried = broker.map(|broker| tokio::spawn(broker.run(house(&services, &store), carrying.clone())));
    background.spawn(until(stopping.clone(), services.clone().run_session_sweeper()));
    background.spawn(until(stopping.clone(), services.clone().run_use_keeper()));
    if store.engine() == Engine::Postgres {
        background.spawn(until(stopping.clone(), services.clone().run_end_watch()));
        let period = if carried.is_some() { LOOK_BESIDE_BROKER } else { LOOK };
        background.spawn(until(stopping.clone(), services.hub.clone().look_every(period)));
        let looking = look_for_other_carriers(store.clone(), carrier_of(&config));
        background.spawn(until(stopping.clone(), looking));
    }
    // In every role: reports of outside workers come to those that serve people.
    background.spawn(until(stopping.clone(), services.clone().run_last_words()));
    background.spawn(until(stopping.clone(), services.clone().run_interruption_herald()));
    background.spawn(until(stopping.clone(), services.clone().run_request_herald()));
    background.spawn(until(stopping.clone(), services.clone().run_bulk_worker()));
    let demo = with_demo.then(|| Demo::new(services.clone(), &config.data_dir));
    if role.works() {
        if store.engine() == Engine::Sqlite {
            // Nobody else uses this database (see `lock`): whoever held a lease is dead.
            match services.jobs.void_leases().await {
                Ok(0) => {}
                Ok(leases) => tracing::info!(leases, "work that an earlier run left unfinished goes on"),
                Err(e) => return Err(StartError::Refused(format!("the leases could not be voided: {e}"))),
            }
            if let Err(e) = services.exports.void_export_leases().await {
                return Err(StartError::Refused(format!("the leases could not be voided: {e}")));
            }
        }
        background.spawn(until(stopping.clone(), services.clone().run_provisioner()));
        background.spawn(until(stopping.clone(), services.clone().run_queue_herald()));
        let (exporter, deleter) = (services.clone().run_exporter(), services.clone().run_deleter());
        background.spawn(until(stopping.clone(), with_files(folder.clone(), exporter)));
        background.spawn(until(stopping.clone(), with_files(folder.clone(), deleter)));
        background.spawn(until(stopping.clone(), services.clone().run_stale_herald()));
        background.spawn(until(stopping.clone(), services.clone().run_log_keeper()));
        background.spawn(until(stopping.clone(), services.clone().run_wordsmith()));
        let age = if lock.is_some() { ORPHAN_AGE } else { SHARED_ORPHAN_AGE };
        let sweeper = services.clone().run_sweeper(age, store.went_back_at());
        background.spawn(until(stopping.clone(), with_files(folder.clone(), sweeper)));
        let extractor =
            Extractor::this_program(ingest::extract::Limits::for_files(config.limits.file_bytes))?;
        let tools = Tools { extractor, tokenizers: embedder, reader };
        let options = WorkerOptions { documents: config.workers, ..WorkerOptions::default() };
        let worker_services = demo.as_ref().map_or_else(|| services.clone(), Demo::for_worker);
        let crawler_services = services.clone();
        let (token, ended, found) = (stopping.clone(), ended_early.clone(), common(folder.clone()));
        background.spawn(async move {
            let _ended = ended.drop_guard();
            if token.run_until_cancelled(found).await.is_some() {
                crawl::run(crawler_services, CrawlerOptions::default(), token).await;
            }
        });
        let (token, ended, found) = (stopping.clone(), ended_early.clone(), common(folder.clone()));
        background.spawn(async move {
            // A guard, so that a panic counts as well.
            let _ended = ended.drop_guard();
            if token.run_until_cancelled(found).await.is_some() {
                pipeline::run(worker_services, tools, options, token).await;
            }
        });
    }
    // In every role as well, and after the leases of an earlier run were voided.
    let watchdog = services.clone().run_watchdog(config.stall_seconds, role.works());
    background.spawn(until(stopping.clone(), watchdog));

    let sockets = TaskTracker::new();
    let site = Site::open(config.site_root.clone(), &config::beside_the_executable("hash.txt"));
    let found = site.is_there();
    background.spawn(until(stopping.clone(), upkeep(metrics.clone())));
    let app = AppState::new(Shared {
        services: services.clone(),
        public_url: config.public_url.clone(),
        leaving,
        stopping: stopping.clone(),
        sockets: sockets.clone(),
        metrics,
        site,
        proxies: config.trusted_proxies.clone(),
        forms,
        folder,
        patience: config.patience,
    });
    let router = if role.serves_people() {
        http::full(app.clone(), pages::routes(&app))
    } else {
        http::operations_only(app)
    };
    announce(addr, role, &config, found);
    if let Some(demo) = demo {
        // Whoever started it may have stopped reading after the address.
        let line = format!("demo: sign in as {} with the password {}", demo::EMAIL, demo::PASSWORD);
        let _ = writeln!(io::stdout(), "{line}");
        background.spawn(until(stopping.clone(), demo.run()));
    }
    background.spawn(until(stopping.clone(), beside(services.clone())));

    let server = tokio::spawn(connections::serve(listener, router, config.patience, stopping.clone()));

    let put_back = tokio::select! {
        () = stopping.cancelled() => false,
        () = ended_early.cancelled() => false,
        () = store.put_back() => true,
    };
    let unasked = !stopping.is_cancelled();
    stopping.cancel();
    tracing::info!("stopping: no new requests; work in hand is being finished");
    services.hub.close();
    sockets.close();
    background.close();
    let deadline = Instant::now() + Duration::from_secs(config.shutdown_seconds);
    let all = async {
        // Before the connections end: who follows an answer hears that it was interrupted.
        services.turns.close().await;
        sockets.wait().await;
        background.wait().await;
        server.await
    };
    match timeout_at(deadline, all).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the listener panicked"),
        Err(_) => {
            tracing::warn!("not everything ended in time; what is unfinished goes on at the next start")
        }
    }
    // Into a database that was put back this server writes nothing.
    if !put_back && timeout(USES, services.write_uses()).await.is_err() {
        tracing::warn!("when some sessions and API keys were used last was not written");
    }
    carrying.cancel();
    if let Some(carried) = carried
        && timeout(CARRIED, carried).await.is_err()
    {
        tracing::warn!(
            "not everything was sent to the broker; another server does it, or this one at its next start"
        );
    }
    store.close().await;
    tracing::info!("stopped");
    if put_back {
        return Err(StartError::PutBack);
    }
    if unasked { Err(StartError::Ended { what: "the worker" }) } else { Ok(()) }
}

/// Runs until the server stops; for work that may be dropped at any await.
async fn until(stopping: CancellationToken, work: impl Future<Output = ()>) {
    stopping.run_until_cancelled(work).await;
}

fn announce(addr: SocketAddr, role: Role, config: &Config, site_found: bool) {
    // One line on standard output, for people and for scripts that start it on port 0.
    println!("listening on http://{addr}");
    tracing::info!(%addr, ?role, data_dir = %config.data_dir.display(), "InsightHub is running");
    if role.serves_people() && !site_found {
        tracing::warn!(
            site = %config.site_root.display(),
            "the web assets are not there: pages will come without style and script; build them with `cargo xtask build`"
        );
    }
}

fn watch_signals(drain: Duration, leaving: CancellationToken, stopping: CancellationToken) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // A file that grows over a limit of this process is an error of its writer, as on a full disk, and no end of all.
    let outgrown = signal(SignalKind::from_raw(libc::SIGXFSZ))?;
    tokio::spawn(async move {
        let _outgrown = outgrown;
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        leaving.cancel();
        if !drain.is_zero() {
            tracing::info!(seconds = drain.as_secs(), "about to stop: not ready any more, but still serving");
            tokio::select! {
                () = tokio::time::sleep(drain) => {}
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        stopping.cancel();
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        eprintln!("insighthub: stopped at once; unfinished work goes on at the next start");
        std::process::exit(1);
    });
    Ok(())
}

fn start_metrics() -> Result<PrometheusHandle, StartError> {
    let timed =
        ["insighthub_http_request_seconds", "insighthub_relay_seconds", "insighthub_broker_confirm_seconds"];
    timed
        .into_iter()
        .try_fold(PrometheusBuilder::new(), |builder, name| {
            builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), &BUCKETS)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|e| StartError::Refused(format!("the metrics could not be started: {e}")))
}

/// Folds samples into their buckets, so that memory stays flat when nobody scrapes.
async fn upkeep(metrics: PrometheusHandle) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        metrics.run_upkeep();
    }
}
