//! Actions over many documents: one request, one handle, and the work in the background.

use crate::{
    Error, Result, Services, actor, command, composed,
    ports::{Chosen, NewBulk, RunningBulk, Signal, StoreError, heard},
};
use domain::{
    BulkId, DocumentId, DocumentStatus, FieldErrors, JobId, UserId, WorkspaceId,
    bulk::{Bulk, BulkAction},
    ingest::deletion::{LATE_SECONDS, UNDO_SECONDS},
    labels,
};
use std::time::Duration;

/// Documents of one transaction: well under a second of work.
const AT_ONCE: usize = 20;
/// Actions that are looked up at once.
const ACTIONS: u32 = 20;
/// Most documents that one request may name.
pub const MOST: usize = 10_000;
/// How long a handle is kept that is through, in seconds.
const KEPT_SECONDS: i64 = 24 * 3_600;
/// The fallback of the wake-up.
const LOOK: Duration = Duration::from_secs(1);

/// What somebody wants done to many documents, as it was sent.
#[derive(Clone, Debug)]
pub struct BulkForm {
    pub action: BulkAction,
    /// The tag that it is about.
    pub tag: Option<String>,
    /// These documents.
    pub ids: Option<Vec<DocumentId>>,
    /// All that match.
    pub matching: Option<Matching>,
}

/// Which documents are meant; what is not named matches all.
#[derive(Clone, Debug, Default)]
pub struct Matching {
    pub status: Option<DocumentStatus>,
    /// A part of the name.
    pub name: Option<String>,
    pub tag: Option<String>,
}

impl Services {
    /// Begins an action over many documents of a workspace; it goes on by itself, also over a crash.
    ///
    /// # Errors
    /// `Invalid` when it does not say which documents are meant; 409 `workspace_deleting`.
    pub async fn begin_bulk(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        form: BulkForm,
        command_id: Option<String>,
    ) -> Result<Bulk> {
        let chosen = match (form.ids, form.matching) {
            (Some(_), Some(_)) => return invalid("filter", "Send either ids or a filter."),
            (None, None) => return invalid("ids", "Name the documents, or send a filter."),
            (Some(ids), None) if ids.is_empty() => return invalid("ids", "Name at least one document."),
            (Some(ids), None) if ids.len() > MOST => {
                return invalid("ids", "Name at most 10,000 documents, or send a filter.");
            }
            (Some(ids), None) => Chosen::These(ids),
            (None, Some(Matching { status, name, tag })) => {
                let named = |text: Option<String>| {
                    text.map(|text| composed(text.trim().to_owned())).filter(|text| !text.is_empty())
                };
                let tag = match named(tag).map(|tag| labels::tag(&tag)).transpose() {
                    Ok(tag) => tag,
                    Err(message) => return invalid("filter.tag", &message),
                };
                Chosen::Matching { status, name: named(name), tag }
            }
        };
        if form.action == BulkAction::Restore {
            return invalid("action", "Undo the action that deleted the documents.");
        }
        let tag = match form.tag.filter(|_| form.action.has_tag()).map(|tag| labels::tag(&composed(tag))) {
            Some(Ok(tag)) => Some(tag),
            Some(Err(message)) => return invalid("tag", &message),
            None if form.action.has_tag() => return invalid("tag", "Enter a tag."),
            None => None,
        };
        let new = NewBulk {
            id: BulkId::new(self.ids.uuid()),
            user_id: user,
            workspace_id: workspace,
            action: form.action,
            command_print: Some(print(form.action, tag.as_deref(), &chosen)),
            tag,
            chosen,
            actor: actor::current(),
            command_id,
            created_at: self.clock.now(),
        };
        let begun = self.bulks.begin_bulk(new).await.map_err(|e| missing(e, "workspace"))?;
        self.bus.publish(Signal::WorkReady);
        Ok(begun)
    }

    /// Brings back what an action deleted.
    ///
    /// # Errors
    /// 404 also when it is somebody else's; 409 `nothing_to_undo`.
    pub async fn undo_bulk(&self, user: UserId, of: BulkId) -> Result<Bulk> {
        let id = BulkId::new(self.ids.uuid());
        let undone = self.bulks.undo_bulk(user, of, id, actor::current(), self.clock.now()).await;
        let undone = undone.map_err(|e| missing(e, "action"))?;
        self.bus.publish(Signal::WorkReady);
        Ok(undone)
    }

    pub async fn bulk(&self, user: UserId, id: BulkId) -> Result<Bulk> {
        self.bulks.bulk(user, id).await?.ok_or(Error::NotFound("action"))
    }

    /// Carries out what was begun, a few documents of each action in turn. Answers whether something is left.
    ///
    /// # Errors
    /// When the store fails; the next call goes on from where it stopped.
    pub async fn go_on_with_bulks(&self) -> Result<bool> {
        let running = self.bulks.running_bulks(ACTIONS).await?;
        let mut left = false;
        for bulk in &running {
            left |= actor::acting(bulk.actor.clone(), self.go_on(bulk)).await?;
        }
        if running.is_empty() {
            let before = self.clock.now().plus_seconds(-KEPT_SECONDS);
            self.bulks.forget_bulks(before, ACTIONS).await?;
        }
        Ok(left)
    }

    async fn go_on(&self, bulk: &RunningBulk) -> Result<bool> {
        match self.take_next(bulk, AT_ONCE).await {
            Ok(left) => return Ok(left),
            Err(error) if error.takes_nothing() => return Err(error),
            Err(error) => {
                tracing::warn!(bulk_id = %bulk.id, %error, "documents of an action are taken one by one")
            }
        }
        // One of them the store cannot bear; the others need not wait for it.
        for _ in 0..AT_ONCE {
            let Some(before) = self.bulks.bulk(bulk.user_id, bulk.id).await? else { return Ok(false) };
            match self.take_next(bulk, 1).await {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if error.takes_nothing() => return Err(error),
                Err(error) => {
                    tracing::error!(bulk_id = %bulk.id, %error, "a document of an action was passed over");
                    let (counted, now) = (before.counted(), self.clock.now());
                    self.bulks.skip_in_bulk(bulk.user_id, bulk.id, counted, now).await?;
                }
            }
        }
        Ok(true)
    }

    async fn take_next(&self, bulk: &RunningBulk, documents: usize) -> Result<bool> {
        let now = self.clock.now();
        let since = now.plus_seconds(-(UNDO_SECONDS + LATE_SECONDS));
        let jobs = (0..documents).map(|_| JobId::new(self.ids.uuid())).collect();
        Ok(self.bulks.go_on_bulk(bulk.user_id, bulk.id, jobs, since, now).await?)
    }

    /// Carries out actions for as long as the future is polled: woken by the bus, with a slow look in case a wake-up was
    /// lost.
    pub async fn run_bulk_worker(self) {
        // Interest first, then the look, or a wake-up between the two is lost.
        let mut bus = self.bus.subscribe();
        loop {
            match self.go_on_with_bulks().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = format!("{error:?}"), "actions will go on later"),
            }
            let wake = heard(&mut bus, |signal| matches!(signal, Signal::WorkReady));
            let _ = tokio::time::timeout(LOOK, wake).await;
        }
    }
}

fn print(action: BulkAction, tag: Option<&str>, chosen: &Chosen) -> String {
    let begin = [action.as_str(), tag.unwrap_or_default()];
    match chosen {
        Chosen::These(ids) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            command::print(begin.into_iter().chain(["these"]).chain(ids.iter().map(String::as_str)))
        }
        Chosen::Matching { status, name, tag: with } => {
            let status = status.map_or("", |status| status.as_str());
            let with = [name, with].map(|text| text.as_deref().unwrap_or_default());
            command::print(begin.into_iter().chain(["matching", status]).chain(with))
        }
    }
}

fn invalid<T>(field: &'static str, message: &str) -> Result<T> {
    Err(FieldErrors::one(field, message).into())
}

fn missing(e: StoreError, what: &'static str) -> Error {
    match e {
        StoreError::NotFound => Error::NotFound(what),
        other => other.into(),
    }
}
