//! The settings: what there is, where each value comes from, and what it may be. Environment first, then
//! `insighthub.toml`, then the default. Nothing here opens a database or a socket.

mod settings;
mod values;

pub use settings::{Default, SETTINGS, Setting};
pub use values::{BrokerServer, LogFormat, PublicUrl};

use crate::{
    adapters::{ChatServer, EmbeddingServer, Endpoint, FilePlace, Keys, RerankServer},
    http::Proxies,
    traces::{Collector, Headers, Protocol, Sampler, Share},
};
use domain::crawl::Allowed;
use services::Limits;
use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use values::{BrokerUrl, Exchange};

/// Name of the settings file, looked for in the working directory and then in the data directory.
pub const FILE: &str = "insighthub.toml";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Environment(&'static str),
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Default => f.write_str("default"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{} is no valid TOML: {cause}", path.display())]
    NotToml { path: PathBuf, cause: Box<toml::de::Error> },
    #[error("{} has a setting that does not exist: {key}", path.display())]
    UnknownKey { path: PathBuf, key: String },
    #[error("{key} = {value:?} ({source_text}) is not right: {why}")]
    Invalid { key: &'static str, value: String, source_text: String, why: String },
}

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub addr: SocketAddr,
    pub public_url: Option<PublicUrl>,
    pub data_dir: PathBuf,
    pub database_url: String,
    pub files: FilePlace,
    /// PostgreSQL may search vectors.
    pub pgvector: bool,
    pub broker: Option<BrokerServer>,
    pub models_dir: PathBuf,
    pub embeddings: Option<EmbeddingServer>,
    pub rerank: Option<RerankServer>,
    pub llm: Option<ChatServer>,
    /// The language model may be told the name of a file.
    pub llm_file_names: bool,
    /// The language model reads passages for the graph.
    pub llm_graph: bool,
    pub site_root: PathBuf,
    pub log: String,
    pub log_format: LogFormat,
    /// Where traces go, when any are to be sent.
    pub traces: Option<Collector>,
    pub limits: Limits,
    pub trusted_proxies: Proxies,
    /// Networks that a crawl may reach besides public addresses.
    pub crawl_allow: Allowed,
    pub workers: usize,
    /// Memory for the vectors of the workspaces that are searched.
    pub vector_cache: usize,
    /// After this long without progress a document in work is ended and tried again.
    pub stall_seconds: u32,
    pub shutdown_seconds: u64,
    /// How long a server that is to stop still serves.
    pub drain: Duration,
    /// How long a client may send nothing.
    pub patience: Duration,
}

/// What was found, before it is checked.
#[derive(Debug)]
pub struct Raw(BTreeMap<&'static str, (String, Source)>);

impl Raw {
    /// Reads environment and files. `env` is asked for one variable at a time; an empty one counts as not set.
    pub fn read(env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut found = BTreeMap::new();
        for s in SETTINGS {
            if let Some(value) = env(s.env).filter(|v| !v.is_empty()) {
                found.insert(s.key, (value, Source::Environment(s.env)));
            }
        }
        let mut raw = Self(found);
        raw.add_file(Path::new(FILE))?;
        // The file in the working directory may say where the data directory is.
        let data_dir = raw.text("data_dir").unwrap_or("./data").to_owned();
        raw.add_file(&Path::new(&data_dir).join(FILE))?;
        Ok(raw)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(ConfigError::Unreadable { path: path.to_owned(), cause }),
        };
        let table: toml::Table = text
            .parse()
            .map_err(|cause| ConfigError::NotToml { path: path.to_owned(), cause: Box::new(cause) })?;
        for (key, value) in table {
            let Some(setting) = SETTINGS.iter().find(|s| s.key == key) else {
                return Err(ConfigError::UnknownKey { path: path.to_owned(), key });
            };
            let value = match value {
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            self.0.entry(setting.key).or_insert((value, Source::File(path.to_owned())));
        }
        Ok(())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(v, _)| v.as_str())
    }

    /// The value that was set, else the written default, parsed.
    fn parse<T: FromStr>(&self, key: &'static str) -> Result<Option<T>, ConfigError>
    where
        T::Err: fmt::Display,
    {
        let default = SETTINGS.iter().find(|s| s.key == key).and_then(|s| match s.default {
            Default::Text(text) => Some((text.to_owned(), Source::Default)),
            Default::From(_) | Default::None => None,
        });
        let Some((value, source)) = self.0.get(key).cloned().or(default) else { return Ok(None) };
        match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(why) => Err(ConfigError::Invalid {
                key,
                value: if is_secret(key) { "…".to_owned() } else { value },
                source_text: source.to_string(),
                why: why.to_string(),
            }),
        }
    }

    fn number(&self, key: &'static str, least: u64, most: u64) -> Result<Option<u64>, ConfigError> {
        let Some(n) = self.parse::<u64>(key)? else { return Ok(None) };
        if (least..=most).contains(&n) {
            return Ok(Some(n));
        }
        let source = self.0.get(key).map_or(Source::Default, |(_, s)| s.clone());
        let why = format!("use {least} to {most}");
        Err(ConfigError::Invalid { key, value: n.to_string(), source_text: source.to_string(), why })
    }

    fn small(&self, key: &'static str, least: u32, most: u32) -> Result<Option<u32>, ConfigError> {
        let found = self.number(key, u64::from(least), u64::from(most))?;
        Ok(found.and_then(|n| u32::try_from(n).ok()))
    }

    /// Checks every value.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let path = |key: &str| self.text(key).map(PathBuf::from);
        let data_dir = path("data_dir").unwrap_or_else(|| PathBuf::from("./data"));
        let limits = Limits {
            file_bytes: self.number("max_file_bytes", 1, 1 << 40)?.unwrap_or(100 << 20),
            files: usize::try_from(self.number("max_files", 1, 100_000)?.unwrap_or(1_000)).unwrap_or(1_000),
            session_days: self.small("session_days", 1, 3_650)?.unwrap_or(30),
            bad_sign_ins: self.small("max_bad_sign_ins", 0, 1_000_000)?.unwrap_or(5),
            sign_ups: self.small("max_sign_ups", 0, 1_000_000)?.unwrap_or(1_000),
            streams: usize::try_from(self.number("max_streams", 1, 1_000_000)?.unwrap_or(64)).unwrap_or(64),
        };
        let vector_cache = self.number("vector_cache_bytes", 0, 1 << 40)?.unwrap_or(512 << 20);
        let workers = self.number("workers", 1, 256)?.and_then(|n| usize::try_from(n).ok()).unwrap_or(4);
        Ok(Config {
            addr: self.parse("addr")?.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000))),
            public_url: self.parse("public_url")?,
            database_url: self
                .text("database_url")
                .map_or_else(|| default_database(&data_dir), str::to_owned),
            files: self.files(&data_dir)?,
            pgvector: self.parse("pgvector")?.unwrap_or(true),
            broker: self.broker()?,
            models_dir: path("models_dir").unwrap_or_else(default_models),
            embeddings: self.embeddings()?,
            rerank: self.rerank()?,
            llm: self.llm()?,
            llm_file_names: self.parse("llm_file_names")?.unwrap_or(false),
            llm_graph: self.parse("llm_graph")?.unwrap_or(false),
            site_root: path("site_root").unwrap_or_else(default_site),
            log: self.parse("log")?.unwrap_or_else(|| "info".to_owned()),
            log_format: self.parse("log_format")?.unwrap_or(LogFormat::Text),
            traces: self.traces()?,
            limits,
            trusted_proxies: self.parse("trusted_proxies")?.unwrap_or_default(),
            crawl_allow: self.parse("crawl_allow")?.unwrap_or_default(),
            workers,
            vector_cache: usize::try_from(vector_cache).unwrap_or(usize::MAX),
            stall_seconds: self.small("stall_seconds", 5, 86_400)?.unwrap_or(300),
            shutdown_seconds: self.number("shutdown_seconds", 1, 3_600)?.unwrap_or(30),
            drain: Duration::from_secs(self.number("drain_seconds", 0, 3_600)?.unwrap_or(0)),
            patience: Duration::from_secs(self.number("patience_seconds", 1, 86_400)?.unwrap_or(75)),
            data_dir,
        })
    }

    fn files(&self, data_dir: &Path) -> Result<FilePlace, ConfigError> {
        let place = self.parse::<FilePlace>("blob_url")?;
        let mut server = match place {
            Some(FilePlace::Bucket(server)) => server,
            Some(folder) => return Ok(folder),
            None => return Ok(FilePlace::Folder(data_dir.join("files"))),
        };
        server.endpoint = self.parse::<Endpoint>("s3_endpoint")?;
        if let Some(region) = self.parse("s3_region")? {
            server.region = region;
        }
        let secret = self.text("s3_secret_key").map(str::to_owned);
        server.keys = match (self.text("s3_access_key").map(str::to_owned), secret) {
            (Some(id), Some(secret)) => {
                Some(Keys { id, secret, token: self.text("s3_session_token").map(str::to_owned) })
            }
            (None, None) => None,
            (id, _) => {
                return Err(ConfigError::Invalid {
                    key: if id.is_some() { "s3_secret_key" } else { "s3_access_key" },
                    value: String::new(),
                    source_text: Source::Default.to_string(),
                    why: "an access key and its secret belong together".to_owned(),
                });
            }
        };
        Ok(FilePlace::Bucket(server))
    }

    fn broker(&self) -> Result<Option<BrokerServer>, ConfigError> {
        let Some(url) = self.parse::<BrokerUrl>("rabbitmq_url")? else { return Ok(None) };
        let exchange = self.parse::<Exchange>("rabbitmq_exchange")?;
        Ok(exchange.map(|exchange| BrokerServer { url: url.0, exchange: exchange.0 }))
    }

    fn embeddings(&self) -> Result<Option<EmbeddingServer>, ConfigError> {
        let Some(mut server) = self.parse::<EmbeddingServer>("embeddings_url")? else { return Ok(None) };
        let models = self.text("embeddings_models").unwrap_or_default().split(',').map(str::trim);
        server.key = self.text("embeddings_key").map(str::to_owned);
        server.models = models.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(Some(server))
    }

    fn rerank(&self) -> Result<Option<RerankServer>, ConfigError> {
        let Some(mut server) = self.parse::<RerankServer>("rerank_url")? else { return Ok(None) };
        self.text("rerank_model").unwrap_or_default().trim().clone_into(&mut server.model);
        server.key = self.text("rerank_key").map(str::to_owned);
        Ok(Some(server))
    }

    fn llm(&self) -> Result<Option<ChatServer>, ConfigError> {
        let Some(mut server) = self.parse::<ChatServer>("llm_url")? else { return Ok(None) };
        server.model = match self.text("llm_model") {
            Some(model) => model.to_owned(),
            None => {
                return Err(ConfigError::Invalid {
                    key: "llm_model",
                    value: String::new(),
                    source_text: Source::Default.to_string(),
                    why: "name the model that LLM_URL is to be asked for".to_owned(),
                });
            }
        };
        server.key = self.text("llm_key").map(str::to_owned);
        Ok(Some(server))
    }

    fn traces(&self) -> Result<Option<Collector>, ConfigError> {
        let Some(mut collector) = self.parse::<Collector>("otlp_endpoint")? else { return Ok(None) };
        // There is only one; whoever asks for another has to hear of it.
        self.parse::<Protocol>("otlp_protocol")?;
        if let Some(headers) = self.parse::<Headers>("otlp_headers")? {
            collector.headers = headers.0;
        }
        collector.service = self.parse("otlp_service")?.unwrap_or_default();
        let part = self.parse::<Share>("otlp_sampler_arg")?.unwrap_or(Share::ALL);
        collector.share = match self.parse::<Sampler>("otlp_sampler")? {
            None | Some(Sampler::All) => Share::ALL,
            Some(Sampler::None) => Share::NONE,
            Some(Sampler::Part) => part,
        };
        Ok(Some(collector).filter(|collector| collector.share != Share::NONE))
    }

    /// One line a setting: its value, where it comes from and what it is. Secrets are masked.
    pub fn describe(&self, config: &Config) -> String {
        let mut out = String::new();
        for s in SETTINGS {
            let (value, source) = match self.0.get(s.key) {
                Some((value, source)) => (value.clone(), source.clone()),
                None => (default_shown(s, config), Source::Default),
            };
            let value = match s.key {
                // A secret as a whole; the others have one within.
                "embeddings_key" | "rerank_key" | "llm_key" | "otlp_headers" | "s3_secret_key"
                | "s3_session_token"
                    if !value.is_empty() =>
                {
                    "…".to_owned()
                }
                _ if s.secret => masked(&value),
                _ => value,
            };
            let value = if value.is_empty() { "(none)".to_owned() } else { value };
            out.push_str(&format!("{} = {value}\n    {} · {} · from {source}\n", s.key, s.about, s.env));
        }
        out
    }
}

fn is_secret(key: &str) -> bool {
    SETTINGS.iter().any(|s| s.key == key && s.secret)
}

fn default_shown(s: &Setting, config: &Config) -> String {
    match (s.key, &s.default) {
        ("database_url", _) => config.database_url.clone(),
        ("blob_url", _) => match &config.files {
            FilePlace::Folder(folder) => folder.display().to_string(),
            FilePlace::Bucket(_) => String::new(),
        },
        ("models_dir", _) => config.models_dir.display().to_string(),
        ("site_root", _) => config.site_root.display().to_string(),
        (_, Default::Text(text)) => (*text).to_owned(),
        (_, Default::From(_) | Default::None) => String::new(),
    }
}

/// The address of a database without its password.
pub fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:…@{host}"),
            None => format!("{user}@{host}"),
        },
        None => authority.to_owned(),
    };
    // A password may also stand among the parameters.
    let tail = match tail.split_once('?') {
        Some((path, _)) => format!("{path}?…"),
        None => tail.to_owned(),
    };
    format!("{scheme}://{authority}{tail}")
}

fn default_database(data_dir: &Path) -> String {
    format!("sqlite:{}", data_dir.join("insighthub.db").display())
}

pub(crate) fn default_models() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(|| PathBuf::from(".cache")).join("insighthub/models")
}

/// `site` beside the executable, so that the server finds its assets from any working directory.
fn default_site() -> PathBuf {
    beside_the_executable("site")
}

pub fn beside_the_executable(name: &str) -> PathBuf {
    let exe = std::env::current_exe().ok();
    exe.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")).join(name)
}

#[cfg(test)]
mod tests;
