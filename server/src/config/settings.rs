//! Every setting that there is: its names, what holds when it is not set, and what it is.

/// One setting as the operator knows it.
pub struct Setting {
    /// Key in the file.
    pub key: &'static str,
    pub env: &'static str,
    pub default: Default,
    /// What it is, in one line.
    pub about: &'static str,
    /// Shown as `…` by `insighthub config`.
    pub secret: bool,
}

/// What holds when nothing is set.
pub enum Default {
    Text(&'static str),
    /// Computed; the text says from what.
    From(&'static str),
    /// Nothing.
    None,
}

const fn setting(key: &'static str, env: &'static str, default: Default, about: &'static str) -> Setting {
    Setting { key, env, default, about, secret: false }
}

/// Every setting, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    setting("addr", "INSIGHTHUB_ADDR", Default::Text("127.0.0.1:3000"), "address and port to listen on"),
    setting(
        "public_url",
        "INSIGHTHUB_PUBLIC_URL",
        Default::None,
        "how browsers reach it; https turns on secure cookies",
    ),
    setting(
        "data_dir",
        "INSIGHTHUB_DATA_DIR",
        Default::Text("./data"),
        "folder of the database, the files and the marks",
    ),
    Setting {
        key: "database_url",
        env: "DATABASE_URL",
        default: Default::From("sqlite in the data directory"),
        about: "sqlite:… or postgres://…",
        secret: true,
    },
    setting(
        "blob_url",
        "INSIGHTHUB_BLOB_URL",
        Default::From("files in the data directory"),
        "where files lie: file:///path, or s3://bucket/prefix in an object store",
    ),
    setting(
        "s3_endpoint",
        "AWS_ENDPOINT_URL",
        Default::None,
        "address of that store, such as https://s3.example.org or http://127.0.0.1:9000; none: AWS",
    ),
    setting(
        "s3_region",
        "AWS_REGION",
        Default::Text("us-east-1"),
        "its region; most stores but AWS take any",
    ),
    setting(
        "s3_access_key",
        "AWS_ACCESS_KEY_ID",
        Default::None,
        "who asks there; none: as whom AWS knows this machine or container",
    ),
    Setting {
        key: "s3_secret_key",
        env: "AWS_SECRET_ACCESS_KEY",
        default: Default::None,
        about: "secret of that access key",
        secret: true,
    },
    Setting {
        key: "s3_session_token",
        env: "AWS_SESSION_TOKEN",
        default: Default::None,
        about: "beside an access key that is lent for a while",
        secret: true,
    },
    setting(
        "pgvector",
        "INSIGHTHUB_PGVECTOR",
        Default::Text("true"),
        "whether PostgreSQL's extension pgvector, where it is, searches the workspaces that are too large for the memory",
    ),
    Setting {
        key: "rabbitmq_url",
        env: "RABBITMQ_URL",
        default: Default::None,
        about: "amqp://… or amqps://…, by which several servers hear of each other; none: this one is alone",
        secret: true,
    },
    setting(
        "rabbitmq_exchange",
        "RABBITMQ_EXCHANGE",
        Default::Text("insighthub"),
        "exchange there; the queues have names that begin so",
    ),
    setting(
        "models_dir",
        "INSIGHTHUB_MODELS_DIR",
        Default::From("insighthub/models in the user's cache folder"),
        "folder of the embedding models",
    ),
    Setting {
        key: "embeddings_url",
        env: "EMBEDDINGS_URL",
        default: Default::None,
        about: "embedding server with the interface of OpenAI, such as http://127.0.0.1:11434 for Ollama",
        secret: true,
    },
    Setting {
        key: "embeddings_key",
        env: "EMBEDDINGS_KEY",
        default: Default::None,
        about: "key of that server",
        secret: true,
    },
    setting(
        "embeddings_models",
        "EMBEDDINGS_MODELS",
        Default::None,
        "its models that are offered, parted by commas; none: those of its list that look like embedding models",
    ),
    Setting {
        key: "rerank_url",
        env: "RERANK_URL",
        default: Default::None,
        about: "server of a cross-encoder with /v1/rerank, such as vLLM, Jina or Cohere; or the whole address of the call",
        secret: true,
    },
    setting(
        "rerank_model",
        "RERANK_MODEL",
        Default::None,
        "the model to ask there; none: the server has only one",
    ),
    Setting {
        key: "rerank_key",
        env: "RERANK_KEY",
        default: Default::None,
        about: "key of that server",
        secret: true,
    },
    Setting {
        key: "llm_url",
        env: "LLM_URL",
        default: Default::None,
        about: "language model with the interface of OpenAI, which answers questions; without one, answers are extracts",
        secret: true,
    },
    setting("llm_model", "LLM_MODEL", Default::None, "the model to ask there"),
    Setting {
        key: "llm_key",
        env: "LLM_KEY",
        default: Default::None,
        about: "key of that server",
        secret: true,
    },
    setting(
        "llm_file_names",
        "LLM_FILE_NAMES",
        Default::Text("false"),
        "whether it may be told the name of a file when it words a step of an outside worker",
    ),
    setting(
        "llm_graph",
        "LLM_GRAPH",
        Default::Text("false"),
        "whether it reads the passages of workspaces with the retriever `graph`, for the names and relations in them",
    ),
    setting(
        "site_root",
        "LEPTOS_SITE_ROOT",
        Default::From("site beside the executable"),
        "folder of the web assets",
    ),
    setting("log", "INSIGHTHUB_LOG", Default::Text("info"), "what is logged: a level, or target=level pairs"),
    setting("log_format", "INSIGHTHUB_LOG_FORMAT", Default::Text("text"), "text or json"),
    Setting {
        key: "otlp_endpoint",
        env: "OTEL_EXPORTER_OTLP_ENDPOINT",
        default: Default::None,
        about: "OTLP/HTTP collector that gets the traces, such as http://127.0.0.1:4318; none: there are no traces",
        secret: true,
    },
    setting(
        "otlp_protocol",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        Default::Text("http/json"),
        "how traces are written; there is no other way",
    ),
    Setting {
        key: "otlp_headers",
        env: "OTEL_EXPORTER_OTLP_HEADERS",
        default: Default::None,
        about: "headers for the collector, name=value parted by commas, such as its key",
        secret: true,
    },
    setting(
        "otlp_service",
        "OTEL_SERVICE_NAME",
        Default::Text("insighthub"),
        "name of this program at the collector",
    ),
    setting(
        "otlp_sampler",
        "OTEL_TRACES_SAMPLER",
        Default::Text("parentbased_always_on"),
        "which traces are sent: always_on, always_off or traceidratio, also with parentbased_ before it",
    ),
    setting(
        "otlp_sampler_arg",
        "OTEL_TRACES_SAMPLER_ARG",
        Default::Text("1"),
        "for traceidratio, which part of all: from 0 to 1",
    ),
    setting(
        "max_file_bytes",
        "INSIGHTHUB_MAX_FILE_BYTES",
        Default::Text("104857600"),
        "largest file of an upload",
    ),
    setting("max_files", "INSIGHTHUB_MAX_FILES", Default::Text("1000"), "most files of one upload"),
    setting(
        "max_bad_sign_ins",
        "INSIGHTHUB_MAX_BAD_SIGN_INS",
        Default::Text("5"),
        "wrong passwords a minute, for an account and for an address; 0: any number",
    ),
    setting(
        "max_sign_ups",
        "INSIGHTHUB_MAX_SIGN_UPS",
        Default::Text("1000"),
        "accounts made from one address in an hour; 0: any number",
    ),
    setting(
        "max_streams",
        "INSIGHTHUB_MAX_STREAMS",
        Default::Text("64"),
        "live streams that one user may have open on this server",
    ),
    setting(
        "trusted_proxies",
        "INSIGHTHUB_TRUSTED_PROXIES",
        Default::None,
        "addresses or networks (CIDR), parted by commas, whose X-Forwarded-For is believed",
    ),
    setting(
        "crawl_allow",
        "INSIGHTHUB_CRAWL_ALLOW",
        Default::None,
        "networks (CIDR), parted by commas, that a crawl may reach besides public addresses",
    ),
    setting("session_days", "INSIGHTHUB_SESSION_DAYS", Default::Text("30"), "how long a sign-in lasts"),
    setting("workers", "INSIGHTHUB_WORKERS", Default::Text("4"), "documents worked on at once"),
    setting(
        "vector_cache_bytes",
        "INSIGHTHUB_VECTOR_CACHE_BYTES",
        Default::Text("536870912"),
        "memory for the vectors of the workspaces that are searched",
    ),
    setting(
        "stall_seconds",
        "INSIGHTHUB_STALL_SECONDS",
        Default::Text("300"),
        "how long a document in work may get nowhere before it is said to stall",
    ),
    setting(
        "shutdown_seconds",
        "INSIGHTHUB_SHUTDOWN_SECONDS",
        Default::Text("30"),
        "how long a stop waits for work in hand",
    ),
    setting(
        "drain_seconds",
        "INSIGHTHUB_DRAIN_SECONDS",
        Default::Text("0"),
        "how long a server that is to stop still serves, and says that it is not ready, so that a balancer sends people elsewhere",
    ),
    setting(
        "patience_seconds",
        "INSIGHTHUB_PATIENCE_SECONDS",
        Default::Text("75"),
        "how long a client may send nothing: within a request, and between two on one connection",
    ),
];
