//! The benches: which there are, and what each wants.

/// A comparison of a bench executable's two roles.
pub(super) struct Comparison {
    /// As `bench NAME` and the closing line have it.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) package: &'static str,
    pub(super) target: &'static str,
    pub(super) ours: &'static str,
    pub(super) peer: &'static str,
    /// The least ratio of ours to the peer's.
    pub(super) goal: f64,
    /// The goals are those of a machine with two cores; a bench that would use more is held to two.
    pub(super) two_cores: bool,
    /// The peer is a PostgreSQL, which runs while the rounds do.
    pub(super) postgres: bool,
}

/// A bench executable that takes its turns by itself, since its sides share a server or a round has several figures,
/// and words its own lines.
pub(super) struct Whole {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) package: &'static str,
    pub(super) target: &'static str,
    /// What the executable is told besides.
    pub(super) args: &'static [&'static str],
    /// Pages are asked for: the server's site has to lie beside it.
    pub(super) site: bool,
    pub(super) postgres: Database,
}

/// Which PostgreSQL a bench wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Database {
    None,
    /// The system's own, as most people have it.
    Ordinary,
    /// That of the tests: with pgvector, where one can be had.
    OfTests,
}

pub(super) const WHOLES: [Whole; 19] = [
    Whole {
        name: "R8",
        about: "how soon a job that embeds is paused, resumed, cancelled: answered within 250 ms, stopped within 2 s",
        package: "server",
        target: "r8",
        args: &[],
        site: false,
        postgres: Database::None,
    },
    Whole {
        name: "S7",
        about: "time of a refused sign-in, unknown address against known: medians within 2 %",
        package: "server",
        target: "s7",
        args: &[],
        site: false,
        postgres: Database::None,
    },
    Whole {
        name: "S8",
        about: "how long a signed-out browser still hears or does anything: at most 1 s",
        package: "server",
        target: "s8",
        args: &[],
        site: false,
        postgres: Database::None,
    },
    Whole {
        name: "S8-several",
        about: "the same where the browser is at another server of the same PostgreSQL, without a broker",
        package: "server",
        target: "s8",
        args: &["--several"],
        site: false,
        postgres: Database::Ordinary,
    },
    Whole {
        name: "chat",
        about: "100 answers at once: first step, and first word over that of the bare model, at p99",
        package: "server",
        target: "chat",
        args: &[],
        site: false,
        postgres: Database::None,
    },
    live("P1", "deliveries a second at p99 <= 100 ms, one room of 500, against Socket.IO and Bun", &["p1"]),
    live("P1-rooms", "the same for 5,000 rooms of one", &["p1-rooms"]),
    live("P2", "staleness of 200 things at four times what the peer bears, against Socket.IO", &["p2"]),
    live(
        "P3",
        "memory of 10,000 idle sockets, and their return within ten seconds, against Socket.IO",
        &["p3"],
    ),
    live("P4", "a change over its commit to 200 watchers, against BullMQ and Socket.IO", &["p4"]),
    queue(
        "P6",
        "jobs with nothing to do through the queue a second, against BullMQ and Celery on Redis",
        &["p6"],
    ),
    queue(
        "P7",
        "from the kill of a worker until its job moves again, against BullMQ and Celery on Redis",
        &["p7"],
    ),
    Whole {
        postgres: Database::Ordinary,
        ..queue(
            "P7-several",
            "from the kill of a worker until another one has taken its job over",
            &["p7-several"],
        )
    },
    Whole {
        name: "P8",
        about: "events over RabbitMQ: confirms together against each, and 3,000/s from node to node at p99 <= 60 ms",
        package: "messaging",
        target: "p8",
        args: &[],
        site: false,
        postgres: Database::Ordinary,
    },
    Whole {
        name: "P15",
        about: "the ten nearest of 50,000 passages of a workspace, exactly, against sqlite-vec",
        package: "server",
        target: "p15",
        args: &[],
        site: false,
        postgres: Database::None,
    },
    Whole {
        name: "footprint",
        about: "what a document leaves in PostgreSQL: bytes, commits, events, messages",
        package: "server",
        target: "footprint",
        args: &[],
        site: false,
        postgres: Database::OfTests,
    },
    Whole {
        name: "pgvector",
        about: "the ten nearest of 50,000 passages that do not fit into memory: by pgvector, read anew, and in memory",
        package: "server",
        target: "pgvector",
        args: &[],
        site: false,
        postgres: Database::OfTests,
    },
    Whole {
        site: true,
        ..live(
            "P9",
            "pages of 50 documents rendered a second at p99 <= 25 ms, against Next.js at ten times that",
            &["p9"],
        )
    },
    Whole {
        site: true,
        ..live(
            "P9-memory",
            "memory at the end of a million renders, against that after 100,000",
            &["p9-memory"],
        )
    },
];

/// One of the measurements of the queue.
const fn queue(name: &'static str, about: &'static str, args: &'static [&'static str]) -> Whole {
    Whole { name, about, package: "server", target: "queue", args, site: false, postgres: Database::None }
}

/// One of the measurements of the live stream.
const fn live(name: &'static str, about: &'static str, args: &'static [&'static str]) -> Whole {
    Whole { name, about, package: "server", target: "live", args, site: false, postgres: Database::None }
}

pub(super) const COMPARISONS: [Comparison; 7] = [
    Comparison {
        name: "P5",
        about: "durable status changes a second, 64 callers, against one transaction each",
        package: "storage",
        target: "p5",
        ours: "ours",
        peer: "peer",
        goal: 5.0,
        two_cores: true,
        postgres: false,
    },
    Comparison {
        name: "P5-alone",
        about: "status changes a second of a lone caller, against a plain commit each",
        package: "storage",
        target: "p5",
        ours: "lone-ours",
        peer: "lone-peer",
        // At most 1.1 times as long, as a rate.
        goal: 0.909,
        two_cores: true,
        postgres: false,
    },
    Comparison {
        name: "P5-postgres",
        about: "durable status changes a second, 64 callers, against pgbench with 32 clients on PostgreSQL",
        package: "storage",
        target: "p5",
        ours: "ours",
        peer: "pgbench",
        goal: 3.0,
        two_cores: true,
        postgres: true,
    },
    Comparison {
        name: "P12",
        about: "megabytes of text cut by 256 tokens a second, against LangChain's splitter",
        package: "server",
        target: "p12",
        ours: "ours",
        peer: "langchain",
        goal: 4.0,
        two_cores: true,
        postgres: false,
    },
    Comparison {
        name: "P12-chonkie",
        about: "the same against chonkie's token chunker",
        package: "server",
        target: "p12",
        ours: "ours",
        peer: "chonkie",
        goal: 1.3,
        two_cores: true,
        postgres: false,
    },
    Comparison {
        name: "P13",
        about: "pages of PDF read a second, the reading process included, against pypdfium2",
        package: "ingest",
        target: "p13",
        ours: "ours",
        peer: "peer",
        goal: 0.3,
        two_cores: true,
        postgres: false,
    },
    Comparison {
        name: "P14",
        about: "chunks embedded a second, against ONNX Runtime",
        package: "embedding",
        target: "p14",
        ours: "ours",
        peer: "peer",
        goal: 1.0,
        // Both sides use all cores, and the peer counts them without regard to a limit.
        two_cores: false,
        postgres: false,
    },
];
