//! What stands in the file of an export, and putting it together piece by piece.

use super::Stop;
use crate::{
    Services,
    ports::{BlobError, ConversationFilter, PageQuery, SessionInfo, StoreError},
};
use bytes::Bytes;
use domain::{Document, Job, User, UserId, Workspace, chat::Conversation, resource::Page};
use futures::{SinkExt, channel::mpsc};
use serde::{Serialize, de::IgnoredAny};
use serde_json::json;

/// Events read at once.
const EVENTS: u32 = 500;
/// A part of the file that is handed on, in bytes.
const PART: usize = 64 * 1024;

type Written<T = ()> = std::result::Result<T, Stop>;

impl Services {
    /// Everything that is kept of the person, but for what would open the account: no password, no token, no key.
    pub(super) async fn write_account(&self, user_id: UserId, out: &mut Writer) -> Written {
        let user = self.accounts.user(user_id).await?.ok_or(StoreError::NotFound)?;
        out.text("{\"format\":\"insighthub-export\",\"version\":1").await?;
        out.field("exported_at", &self.clock.now()).await?;
        out.field("account", &user).await?;
        out.field("preferences", &preferences(&user)).await?;
        out.field("default_rag_config", &self.rag_configs.default_config(user_id).await?).await?;
        out.text(",\"sessions\":[").await?;
        let mut after = None;
        loop {
            let page = self.sessions.sessions(user_id, page_after(after), self.clock.now()).await?;
            let shown = page.items.iter().map(session).collect();
            after = out.page(Page::<serde_json::Value> { items: shown, next: page.next }).await?;
            if after.is_none() {
                break;
            }
        }
        out.text("]").await?;
        out.field("api_keys", &self.api_keys.keys(user_id).await?).await?;
        out.text(",\"workspaces\":[").await?;
        let mut after = None;
        loop {
            let page = self.workspaces.workspaces(user_id, page_after(after)).await?;
            for workspace in &page.items {
                self.write_workspace(workspace, out).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        out.text("],\"jobs\":[").await?;
        let mut after = None;
        loop {
            let page = self.jobs.jobs(user_id, None, page_after(after)).await?;
            for job in &page.items {
                self.write_job(job, out).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        out.text("],\"conversations\":[").await?;
        let mut after = None;
        loop {
            let all = ConversationFilter::default();
            let page = self.chats.conversations(user_id, &all, page_after(after)).await?;
            for conversation in &page.items {
                self.write_conversation(conversation, out).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        out.text("],\"history\":[").await?;
        let mut seq = 0;
        loop {
            let events = self.events.after(user_id, seq, EVENTS).await?;
            let Some(last) = events.last() else { break };
            seq = last.seq;
            for event in &events {
                // What a newer server wrote may be no event to this one, and is the person's all the same.
                if event.is_unreadable() && serde_json::from_slice::<IgnoredAny>(&event.frame).is_err() {
                    tracing::error!(%user_id, seq = event.seq, "an event of the log is no JSON; the export is without it");
                    continue;
                }
                out.element(&event.frame).await?;
            }
        }
        out.text("]}\n").await?;
        out.flush().await
    }

    async fn write_workspace(&self, workspace: &Workspace, out: &mut Writer) -> Written {
        let (user, id) = (workspace.user_id, workspace.id);
        out.open(workspace).await?;
        out.field("rag_config", &self.workspaces.rag_config(user, id).await?).await?;
        out.field("retrieval_cases", &self.cases.cases(user, id).await?).await?;
        out.text(",\"documents\":[").await?;
        let mut after = None;
        loop {
            let page = self.documents.documents(user, id, None, page_after(after)).await?;
            for document in &page.items {
                self.write_document(document, out).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        out.text("]}").await
    }

    /// A job; one that is a crawl with its pages.
    async fn write_job(&self, job: &Job, out: &mut Writer) -> Written {
        out.open(job).await?;
        if job.crawl.is_some() {
            out.text(",\"pages\":[").await?;
            let mut after = None;
            loop {
                let pages = self.crawls.crawl_pages(job.user_id, job.job_id, None, page_after(after)).await?;
                // Gone since the list was read.
                let Some(pages) = pages else { break };
                after = out.page(pages).await?;
                if after.is_none() {
                    break;
                }
            }
            out.text("]").await?;
        }
        out.text("}").await
    }

    /// A conversation with its turns.
    async fn write_conversation(&self, conversation: &Conversation, out: &mut Writer) -> Written {
        out.open(conversation).await?;
        out.text(",\"items\":[").await?;
        let mut after = None;
        loop {
            let (user, id) = (conversation.user_id, &conversation.conversation_id);
            after = out.page(self.chats.turns(user, id, page_after(after)).await?).await?;
            if after.is_none() {
                break;
            }
        }
        out.text("]}").await
    }

    async fn write_document(&self, document: &Document, out: &mut Writer) -> Written {
        out.open(document).await?;
        out.text(",\"chunks\":[").await?;
        let mut after = None;
        loop {
            let page = self.documents.chunks(document.user_id, document.id, None, page_after(after)).await?;
            after = out.page(page).await?;
            if after.is_none() {
                break;
            }
        }
        out.text("]}").await
    }
}

fn page_after(after: Option<String>) -> PageQuery {
    PageQuery { limit: PageQuery::MAX, after }
}

/// What the person chose, without what the account is.
fn preferences(user: &User) -> serde_json::Value {
    json!({
        "theme": user.theme,
        "density": user.density,
        "language": user.language,
        "notifications": user.notifications,
    })
}

/// A session without what would let somebody in.
fn session(info: &SessionInfo) -> serde_json::Value {
    json!({
        "id": info.id,
        "user_agent": info.user_agent,
        "ip": info.ip,
        "created_at": info.created_at,
        "last_seen_at": info.last_seen_at,
        "expires_at": info.expires_at,
    })
}

/// Puts JSON together and hands it on in parts.
pub(super) struct Writer {
    out: mpsc::Sender<std::result::Result<Bytes, BlobError>>,
    buffer: Vec<u8>,
    last: u8,
}

impl Writer {
    pub(super) fn new(out: mpsc::Sender<std::result::Result<Bytes, BlobError>>) -> Self {
        Self { out, buffer: Vec::new(), last: 0 }
    }

    /// Ends the file. Of one that stopped in the middle nothing is kept: it would look whole.
    pub(super) async fn end(&mut self, stopped: Option<&Stop>) {
        if let Some(stop) = stopped {
            // Whoever writes the file may have gone already.
            let _ = self.out.send(Err(BlobError::BrokenOff(stop.to_string()))).await;
        }
        self.out.close_channel();
    }

    async fn text(&mut self, text: &str) -> Written {
        self.push(text.as_bytes()).await
    }

    async fn push(&mut self, bytes: &[u8]) -> Written {
        let Some(last) = bytes.last() else { return Ok(()) };
        self.last = *last;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Written {
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        self.out.send(Ok(part)).await.map_err(|_| Stop::NoFile)
    }

    /// Another field of the object that is open.
    async fn field(&mut self, name: &str, value: &(impl Serialize + Sync)) -> Written {
        self.text(&format!(",\"{name}\":{}", serde_json::to_string(value)?)).await
    }

    /// Another element of the list that is open.
    async fn element(&mut self, json: &[u8]) -> Written {
        if self.last != b'[' {
            self.text(",").await?;
        }
        self.push(json).await
    }

    /// Another element, an object that is left open for more fields.
    async fn open(&mut self, value: &(impl Serialize + Sync)) -> Written {
        let json = serde_json::to_vec(value)?;
        self.element(json.strip_suffix(b"}").unwrap_or(&json)).await
    }

    /// The elements of a page; answers where the next one begins.
    async fn page<T: Serialize>(&mut self, page: Page<T>) -> Written<Option<String>> {
        for item in &page.items {
            let json = serde_json::to_vec(item)?;
            self.element(&json).await?;
        }
        Ok(page.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use serde_json::Value;

    #[tokio::test]
    async fn pieces_make_one_json_text() {
        let (sender, receiver) = mpsc::channel(4);
        let mut out = Writer::new(sender);
        let write = async {
            out.text("{\"a\":1").await?;
            out.field("b", &"x").await?;
            out.text(",\"empty\":[").await?;
            out.page(Page::<u8> { items: vec![], next: None }).await?;
            out.text("],\"list\":[").await?;
            for n in 0..2 {
                out.open(&json!({ "n": n })).await?;
                // Larger than a part, so that it is handed on in the middle.
                out.field("long", &"y".repeat(PART)).await?;
                out.text(",\"in\":[").await?;
                assert_eq!(
                    out.page(Page { items: vec![1, 2], next: Some("z".into()) }).await?.as_deref(),
                    Some("z")
                );
                out.text("]}").await?;
            }
            out.text("]}").await?;
            out.flush().await?;
            out.end(None).await;
            Ok::<_, Stop>(())
        };
        let (written, parts) = futures::join!(write, receiver.collect::<Vec<_>>());
        written.expect("written");
        assert!(parts.len() > 2, "it goes out in parts");
        let whole: Vec<u8> = parts.into_iter().flat_map(|p| p.expect("a part")).collect();
        let value: Value = serde_json::from_slice(&whole).expect("JSON");
        assert_eq!(value["b"], "x");
        assert_eq!(value["empty"], json!([]));
        assert_eq!(value["list"][1]["n"], 1);
        assert_eq!(value["list"][1]["in"], json!([1, 2]));
    }

    #[tokio::test]
    async fn a_file_that_stopped_in_the_middle_ends_with_an_error() {
        let (sender, mut receiver) = mpsc::channel(4);
        let mut out = Writer::new(sender);
        out.end(Some(&Stop::Store(StoreError::NotFound))).await;
        assert!(matches!(receiver.next().await, Some(Err(BlobError::BrokenOff(_)))));
        assert!(receiver.next().await.is_none());
    }
}
