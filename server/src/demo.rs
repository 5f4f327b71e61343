//! `insighthub serve --demo`: an account with workspaces of real documents, one job under way and one document that
//! failed, so that a newcomer sees the product alive. Everything goes through the use cases that people's own files go
//! through; only the pace of that one job is slowed down, so that it can be watched.

use crate::config::Config;
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    JobId, OnDuplicate, UserId, WorkspaceId,
    rag::{EmbeddingModel, Outage},
    validate::Email,
};
use futures::{StreamExt, stream};
use services::{
    Client, Error, NewWorkspaceForm, Services, SignUp,
    ports::{EmbedError, Embedder},
};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The account. Its password is no secret, so a demonstration is never reachable from outside.
pub const EMAIL: &str = "demo@insighthub.example";
pub const PASSWORD: &str = "Harbour-Lantern-7";

/// What one passage of the slow job takes, at least.
const PACE: Duration = Duration::from_millis(2_500);
/// It is taken in so many parts, so that nobody waits for it who wants to stop.
const PAUSES: u32 = 25;
/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(250);

struct Sample {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! samples {
    ($($file:literal),+ $(,)?) => {
        &[$(Sample { name: $file, bytes: include_bytes!(concat!("../demo/harbour/", $file)) }),+]
    };
}

const WELCOME: &[Sample] = &[Sample { name: "welcome.md", bytes: include_bytes!("../demo/welcome.md") }];
/// The torn map is half a PDF: it fails.
const HARBOUR: &[Sample] = samples![
    "ferries.md",
    "keepers-log.txt",
    "lighthouse.html",
    "regulations.pdf",
    "tides.csv",
    "torn-map.pdf",
];
/// The documentation of this program, whole; each section becomes a document.
const HANDBOOK: &[(&str, &str)] = &[
    ("Architecture", include_str!("../../docs/ARCHITECTURE.md")),
    ("Protocol", include_str!("../../docs/PROTOCOL.md")),
    ("Development", include_str!("../../docs/DEVELOPMENT.md")),
    ("Logging", include_str!("../../docs/LOGGING.md")),
];

/// Whether a demonstration may be served like that.
///
/// # Errors
/// A sentence that says what to change.
pub fn may_be_served(config: &Config) -> Result<(), String> {
    if !config.addr.ip().is_loopback() {
        return Err(format!(
            "a demonstration has a password that everybody knows, and {} can be reached from outside; listen on 127.0.0.1",
            config.addr
        ));
    }
    match &config.public_url {
        Some(url) if !is_local(&url.origin) => Err(format!(
            "a demonstration has a password that everybody knows, and {} can be reached from outside; leave INSIGHTHUB_PUBLIC_URL out",
            url.origin
        )),
        _ => Ok(()),
    }
}

fn is_local(origin: &str) -> bool {
    let host = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An embedder that takes its time while the demonstration's job is under way. Only the worker gets it: searches and
/// provisioning are as quick as ever.
pub struct Leisurely {
    inner: Arc<dyn Embedder>,
    at_leisure: Arc<AtomicBool>,
}

#[async_trait]
impl Embedder for Leisurely {
    async fn models(&self) -> Vec<EmbeddingModel> {
        self.inner.models().await
    }

    async fn embed(&self, model: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut pauses = texts.len() as u32 * PAUSES;
        while pauses > 0 && self.at_leisure.load(Ordering::Relaxed) {
            tokio::time::sleep(PACE / PAUSES).await;
            pauses -= 1;
        }
        self.inner.embed(model, texts).await
    }

    fn outage(&self, model: &str) -> Option<Outage> {
        self.inner.outage(model)
    }
}

/// The demonstration of one run of the server.
pub struct Demo {
    services: Services,
    /// Exists once everything was made: what the visitor deletes does not come back.
    mark: PathBuf,
    at_leisure: Arc<AtomicBool>,
}

impl Demo {
    pub fn new(services: Services, data_dir: &Path) -> Self {
        Self { services, mark: data_dir.join("demo"), at_leisure: Arc::default() }
    }

    /// The services as the worker gets them.
    pub fn for_worker(&self) -> Services {
        let embedder =
            Leisurely { inner: self.services.embedder.clone(), at_leisure: self.at_leisure.clone() };
        Services { embedder: Arc::new(embedder), ..self.services.clone() }
    }

    /// Makes what is missing, and ends when the slow job has ended.
    pub async fn run(self) {
        match self.make().await {
            Ok(()) => {}
            Err(e) => tracing::error!(error = format!("{e:?}"), "the demonstration could not be made"),
        }
    }

    async fn make(&self) -> Result<(), Error> {
        let there = tokio::fs::try_exists(&self.mark).await.unwrap_or(false);
        if there {
            return Ok(());
        }
        // Each of the following is made once, whatever interrupts it: the commands have fixed ids.
        let user = self.account().await?;
        let first = self.services.first_workspace(user).await?;
        let harbour = self
            .workspace(user, "Harbour office", "A small library, with one page that the storm tore")
            .await?;
        let handbook =
            self.workspace(user, "InsightHub handbook", "How this program works, section by section").await?;
        let quick = [
            self.upload(user, first, "demo welcome", files(WELCOME)).await?,
            self.upload(user, harbour, "demo harbour", files(HARBOUR)).await?,
        ];
        for job in quick {
            self.ended(user, job).await?;
        }
        self.at_leisure.store(true, Ordering::Relaxed);
        let sections = HANDBOOK.iter().flat_map(|(title, text)| sections(title, text)).collect();
        let slow = self.upload(user, handbook, "demo handbook", sections).await?;
        tokio::fs::write(&self.mark, EMAIL)
            .await
            .map_err(|e| Error::Internal { what: "demo", cause: e.into() })?;
        tracing::info!("the demonstration is made; one job of it is under way");
        self.ended(user, slow).await
    }

    async fn account(&self) -> Result<UserId, Error> {
        if let Ok(email) = Email::parse(EMAIL)
            && let Some((user, _)) = self.services.accounts.user_by_email(&email).await?
        {
            return Ok(user.id);
        }
        let form = SignUp {
            username: "demo".into(),
            email: EMAIL.into(),
            password: PASSWORD.into(),
            full_name: Some("Demo Visitor".into()),
        };
        let new = self.services.sign_up(form, Client::default()).await?;
        // Signing up signs in; nobody holds that session.
        self.services.sessions.end_session(new.user.id, new.session_id, self.services.clock.now()).await?;
        Ok(new.user.id)
    }

    async fn workspace(&self, user: UserId, name: &str, description: &str) -> Result<WorkspaceId, Error> {
        let form = NewWorkspaceForm {
            name: name.into(),
            description: Some(description.into()),
            ..NewWorkspaceForm::default()
        };
        Ok(self.services.create_workspace(user, form, Some(format!("demo {name}"))).await?.id)
    }

    async fn upload(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        command: &str,
        files: Vec<(String, Bytes)>,
    ) -> Result<JobId, Error> {
        self.services.may_upload(user, workspace).await?;
        let (mut received, mut rejected) = (vec![], vec![]);
        for (name, bytes) in files {
            match self.services.receive_file(user, &name, stream::iter([Ok(bytes)]).boxed()).await? {
                Ok(file) => received.push(file),
                Err(refused) => rejected.push(refused),
            }
        }
        let (way, command) = (OnDuplicate::KeepBoth, Some(command.to_owned()));
        let answer = self.services.start_upload(user, workspace, received, rejected, way, command).await?;
        answer.job_id.ok_or(Error::NotFound("job"))
    }

    async fn ended(&self, user: UserId, job: JobId) -> Result<(), Error> {
        while !self.services.job(user, job).await?.status.is_final() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Drop for Demo {
    /// It is over, or the server stops: work goes on at its own pace.
    fn drop(&mut self) {
        self.at_leisure.store(false, Ordering::Relaxed);
    }
}

fn files(samples: &[Sample]) -> Vec<(String, Bytes)> {
    samples.iter().map(|s| (s.name.to_owned(), Bytes::from_static(s.bytes))).collect()
}

/// A Markdown text in its sections of the second level, each with a name of its own.
fn sections(title: &str, text: &str) -> Vec<(String, Bytes)> {
    let mut sections: Vec<(String, String)> = vec![(format!("{title}.md"), String::new())];
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix("## ").filter(|_| !in_code) {
            let heading: String = heading.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect();
            sections.push((format!("{title} - {heading}.md"), format!("# {title}\n\n")));
        }
        if let Some((_, body)) = sections.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    sections
        .into_iter()
        .filter(|(_, body)| !body.trim().is_empty())
        .map(|(n, b)| (n, Bytes::from(b)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::validate::{Password, WorkspaceName};

    #[test]
    fn the_account_keeps_the_rules() {
        assert!(Email::parse(EMAIL).is_ok() && Password::parse(PASSWORD).is_ok());
        for name in ["Harbour office", "InsightHub handbook"] {
            assert!(WorkspaceName::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_handbook_comes_in_enough_sections_to_watch_and_none_is_lost() {
        let all: Vec<_> = HANDBOOK.iter().flat_map(|(title, text)| sections(title, text)).collect();
        assert!(all.len() > 15, "{}", all.len());
        let names: std::collections::BTreeSet<_> = all.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), all.len(), "{names:?}");
        let bytes: usize = all.iter().map(|(_, body)| body.len()).sum();
        assert!(bytes >= HANDBOOK.iter().map(|(_, text)| text.trim_end().len()).sum());
    }

    #[test]
    fn only_this_machine_counts_as_local() {
        for local in
            ["http://localhost:3000", "http://127.0.0.1:3000", "https://[::1]:3000", "http://127.8.0.1"]
        {
            assert!(is_local(local), "{local}");
        }
        for other in ["http://10.0.0.7:3000", "https://hub.example.org", "http://localhost.example.org"] {
            assert!(!is_local(other), "{other}");
        }
    }
}
