//! What each route, page and server function asks of its caller, and what it answers: a row each.

use super::World;
use crate::common::PASSWORD;
use serde_json::{Value, json};

/// What a route asks of its caller, and with that what everybody gets who is not its owner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Asks {
    /// Nothing: everybody gets the owner's answer, and a key is not looked at.
    Nobody,
    /// A session.
    Session,
    /// A session, or a key with that scope.
    Scope(&'static str),
    /// A session; without one it leads to the sign-in page.
    Page,
    /// Nothing, but it is for people: keys are refused.
    People,
    /// A socket. Asked without an upgrade it says so to everybody, but for a key that may not.
    Socket,
}
use Asks::{Nobody, Page, People, Scope, Session, Socket};

pub(super) enum Body {
    None,
    Json(fn(&World) -> Value),
    Fields(fn(&World) -> Vec<(&'static str, String)>),
    Files,
    Headers(&'static [(&'static str, &'static str)]),
}

pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) asks: Asks,
    /// Status for the owner of what it is about.
    pub(super) owner: u16,
    /// Status for somebody else who is signed in.
    pub(super) other: u16,
    pub(super) body: Body,
    /// It changes what later callers would find: each caller who is let in gets a world of its own.
    pub(super) fresh: bool,
}

impl Row {
    fn json(mut self, body: fn(&World) -> Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    fn fields(mut self, body: fn(&World) -> Vec<(&'static str, String)>) -> Self {
        self.body = Body::Fields(body);
        self
    }

    fn files(mut self) -> Self {
        self.body = Body::Files;
        self
    }

    fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.body = Body::Headers(headers);
        self
    }

    fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }
}

/// One that is about nobody's things, or about the caller's own: it answers the same to whoever may call it.
pub(super) const fn own(method: &'static str, path: &'static str, asks: Asks, status: u16) -> Row {
    Row { method, path, asks, owner: status, other: status, body: Body::None, fresh: false }
}

/// One that is about a thing of the owner's, which is not there for anybody else.
pub(super) const fn of_owner(method: &'static str, path: &'static str, asks: Asks, status: u16) -> Row {
    Row { method, path, asks, owner: status, other: 404, body: Body::None, fresh: false }
}

pub(super) fn rest() -> Vec<Row> {
    let (read, write, chat) = (Scope("read"), Scope("write"), Scope("chat"));
    vec![
        own("POST", "/api/auth/signup", Nobody, 201).fresh().json(|w| crate::common::sign_up(&w.name("new"))),
        own("POST", "/api/auth/login", Nobody, 200)
            .fresh()
            .json(|w| json!({ "email": format!("{}@example.org", w.name("owner")), "password": PASSWORD })),
        own("POST", "/api/auth/logout", Session, 204).fresh(),
        own("GET", "/api/auth/me", Session, 200),
        own("PATCH", "/api/auth/profile", Session, 200).json(|_| json!({ "full_name": "Somebody" })),
        own("POST", "/api/auth/change-password", Session, 200)
            .fresh()
            .json(|_| json!({ "current_password": PASSWORD, "new_password": "Another1horse" })),
        own("PATCH", "/api/auth/preferences", Session, 200).json(|_| json!({ "theme": "dark" })),
        own("GET", "/api/auth/sessions", Session, 200),
        own("DELETE", "/api/auth/sessions", Session, 200).fresh(),
        of_owner("DELETE", "/api/auth/sessions/{id}", Session, 204).fresh(),
        own("GET", "/api/auth/api-keys", Session, 200),
        own("POST", "/api/auth/api-keys", Session, 201)
            .fresh()
            .json(|_| json!({ "name": "another", "scopes": ["read"] })),
        of_owner("DELETE", "/api/auth/api-keys/{id}", Session, 204).fresh(),
        own("POST", "/api/auth/export", Session, 202).fresh(),
        of_owner("GET", "/api/auth/export", Session, 200),
        of_owner("GET", "/api/auth/export/content", Session, 200),
        own("DELETE", "/api/auth/account", Session, 202).fresh().json(|_| json!({ "password": PASSWORD })),
        own("GET", "/api/workspaces", read, 200),
        own("POST", "/api/workspaces", write, 201).json(|_| json!({ "name": "Papers" })),
        of_owner("GET", "/api/workspaces/{id}", read, 200),
        of_owner("PATCH", "/api/workspaces/{id}", write, 200).json(|_| json!({ "description": "changed" })),
        of_owner("POST", "/api/workspaces/{id}/retry", write, 409),
        of_owner("DELETE", "/api/workspaces/{id}", write, 202).fresh(),
        // It is there.
        of_owner("POST", "/api/workspaces/{id}/restore", write, 200),
        of_owner("POST", "/api/workspaces/{id}/pause", write, 202),
        of_owner("POST", "/api/workspaces/{id}/resume", write, 202),
        own("GET", "/api/rag/models", read, 200),
        own("GET", "/api/rag/options", read, 200),
        own("POST", "/api/rag/preview", read, 200).json(|_| json!({ "text": "A lantern." })),
        own("GET", "/api/auth/default-rag-config", Session, 200),
        own("PUT", "/api/auth/default-rag-config", Session, 200).json(|_| json!({ "top_k": 5 })),
        own("DELETE", "/api/auth/default-rag-config", Session, 200),
        of_owner("GET", "/api/workspaces/{id}/rag-config", read, 200),
        of_owner("PUT", "/api/workspaces/{id}/rag-config", write, 200).json(|_| json!({ "top_k": 5 })),
        of_owner("DELETE", "/api/workspaces/{id}/rag-config", write, 200),
        of_owner("POST", "/api/workspaces/{id}/reindex", write, 409),
        of_owner("GET", "/api/workspaces/{id}/reindex/estimate", read, 200),
        of_owner("POST", "/api/workspaces/{id}/reindex/estimate", read, 200).json(|_| json!({ "top_k": 5 })),
        of_owner("GET", "/api/workspaces/{id}/documents", read, 200),
        of_owner("POST", "/api/workspaces/{id}/documents", write, 202).files(),
        of_owner("POST", "/api/workspaces/{id}/files", write, 201).files(),
        of_owner("POST", "/api/workspaces/{id}/files/check", read, 200)
            .json(|_| json!({ "files": [{ "filename": "lantern.txt" }] })),
        of_owner("DELETE", "/api/files/{id}", write, 204).fresh(),
        own("OPTIONS", "/api/uploads", Nobody, 204),
        own("POST", "/api/uploads", write, 201).headers(&[("upload-length", "9")]),
        of_owner("GET", "/api/uploads/{id}", write, 200),
        // Its last part, once more.
        of_owner("PATCH", "/api/uploads/{id}", write, 204)
            .headers(&[("content-type", "application/offset+octet-stream"), ("upload-offset", "9")]),
        of_owner("DELETE", "/api/uploads/{id}", write, 204).fresh(),
        of_owner("POST", "/api/uploads/{id}", write, 204).headers(&[
            ("x-http-method-override", "PATCH"),
            ("content-type", "application/offset+octet-stream"),
            ("upload-offset", "9"),
        ]),
        of_owner("GET", "/api/workspaces/{id}/search?q=lantern", read, 200),
        of_owner("GET", "/api/workspaces/{id}/retrieval-cases", read, 200),
        // Of a document of the owner's, which is nobody else's to name.
        of_owner("POST", "/api/workspaces/{id}/retrieval-cases", write, 201)
            .json(|w| json!({ "question": "Where?", "document_id": w.document })),
        of_owner("POST", "/api/workspaces/{id}/retrieval-cases/run", read, 200).json(|_| json!({})),
        of_owner("DELETE", "/api/workspaces/{id}/retrieval-cases/{case_id}", write, 204).fresh(),
        of_owner("GET", "/api/documents/{id}", read, 200),
        of_owner("PATCH", "/api/documents/{id}", write, 200).json(|_| json!({ "enabled": true })),
        of_owner("DELETE", "/api/documents/{id}", write, 202).fresh(),
        // It is there.
        of_owner("POST", "/api/documents/{id}/restore", write, 200),
        of_owner("GET", "/api/documents/{id}/chunks", read, 200),
        of_owner("GET", "/api/documents/{id}/chunks/{chunk_id}", read, 200),
        of_owner("PATCH", "/api/documents/{id}/chunks/{chunk_id}", write, 200)
            .json(|_| json!({ "enabled": true })),
        of_owner("POST", "/api/documents/{id}/chunks/{chunk_id}/embed", write, 200),
        of_owner("GET", "/api/documents/{id}/content", read, 200),
        of_owner("GET", "/api/documents/{id}/preview", read, 200),
        of_owner("GET", "/api/documents/{id}/versions", read, 200),
        of_owner("GET", "/api/documents/{id}/history", read, 200),
        of_owner("GET", "/api/workspaces/{id}/history", read, 200),
        of_owner("GET", "/api/jobs/{id}/history", read, 200),
        of_owner("GET", "/api/workspaces/{id}/analytics", read, 200),
        own("GET", "/api/errors", read, 200),
        own("POST", "/api/errors/retry", write, 202).json(|_| json!({})),
        own("POST", "/api/errors/resolve", write, 200).json(|_| json!({})),
        own("GET", "/api/jobs", read, 200),
        of_owner("GET", "/api/jobs/{id}", read, 200),
        of_owner("GET", "/api/jobs/{id}/attempts", read, 200),
        of_owner("GET", "/api/jobs/{id}/pages", read, 200),
        // Whoever it is let in: an address of this very machine is nobody's to ask for.
        of_owner("POST", "/api/workspaces/{id}/crawls", write, 422)
            .json(|_| json!({ "url": "http://127.0.0.1/" })),
        // It is completed, and so is its document.
        of_owner("POST", "/api/jobs/{id}/first", write, 409),
        of_owner("POST", "/api/jobs/{id}/pause", write, 409),
        of_owner("POST", "/api/jobs/{id}/resume", write, 409),
        of_owner("POST", "/api/jobs/{id}/cancel", write, 409),
        of_owner("POST", "/api/jobs/{id}/retry", write, 409),
        of_owner("POST", "/api/jobs/{id}/skip-embedding", write, 409),
        of_owner("POST", "/api/documents/{id}/pause", write, 409),
        of_owner("POST", "/api/documents/{id}/resume", write, 409),
        of_owner("POST", "/api/documents/{id}/cancel", write, 409),
        of_owner("POST", "/api/documents/{id}/retry", write, 409),
        of_owner("POST", "/api/documents/{id}/skip-embedding", write, 409),
        of_owner("POST", "/api/workspaces/{id}/bulk", write, 202)
            .json(|w| json!({ "action": "pause", "ids": [w.document] })),
        of_owner("GET", "/api/bulk/{id}", read, 200),
        // It deleted nothing.
        of_owner("POST", "/api/bulk/{id}/undo", write, 409),
        of_owner("GET", "/api/ingestion/kb/{id}/status", read, 200),
        own("POST", "/v1/documents/", write, 202).files(),
        own("POST", "/v1/documents", write, 202).files(),
        of_owner("GET", "/v1/documents/{id}/status", read, 200),
        own("GET", "/v1/documents/status?ids={id}", read, 200),
        own("POST", "/v1/chat/", chat, 200).json(|_| json!({ "query": "Where is the lantern?" })),
        own("POST", "/v1/chat", chat, 200).json(|_| json!({ "query": "Where is the lantern?" })),
        of_owner("GET", "/v1/chat/turns/{id}", chat, 200),
        of_owner("GET", "/v1/chat/turns/{id}/stream", chat, 200),
        of_owner("POST", "/v1/chat/turns/{id}/stop", chat, 200),
        of_owner("POST", "/v1/chat/turns/{id}/retry", chat, 200).fresh(),
        own("GET", "/v1/chat/conversations", chat, 200),
        own("POST", "/v1/chat/conversations", chat, 201).json(|_| json!({})),
        of_owner("GET", "/v1/chat/conversations/{user_id}/{conversation_id}", chat, 200),
        of_owner("PATCH", "/v1/chat/conversations/{user_id}/{conversation_id}", chat, 200)
            .json(|_| json!({ "title": "Renamed" })),
        of_owner("DELETE", "/v1/chat/conversations/{user_id}/{conversation_id}", chat, 202).fresh(),
        // It is there.
        of_owner("POST", "/v1/chat/conversations/{user_id}/{conversation_id}/restore", chat, 200),
        of_owner("GET", "/v1/chat/conversations/{user_id}/{conversation_id}/status", chat, 200),
        of_owner("GET", "/v1/chat/conversations/{user_id}/{conversation_id}/export", chat, 200),
        // Its workspace is none that an outside worker processes, which only its owner is told.
        of_owner("POST", "/api/status/documents/{id}", Scope("status:write"), 409)
            .json(|_| json!({ "status": "processing" })),
        of_owner("POST", "/api/status/workspaces/{id}", Scope("status:write"), 409)
            .json(|_| json!({ "status": "ready" })),
        own("GET", "/api/status/ws", Socket, 426),
        own("GET", "/api/status/events", read, 200),
        own("GET", "/api/status/changes", read, 200),
        own("GET", "/health/live", Nobody, 200),
        own("GET", "/health/ready", Nobody, 200),
        own("GET", "/metrics", Nobody, 200),
        own("GET", "/api/openapi.json", Nobody, 200),
        own("GET", "/api/docs", Nobody, 200),
        own("GET", "/api/docs.css", Nobody, 200),
        // A form of a page: it always leads back to the page, which is not there for somebody else.
        own("POST", "/w/{id}/files", Session, 303).files(),
        own("GET", "/settings", Page, 303),
    ]
}

pub(super) fn screens() -> Vec<Row> {
    let function = |path, status| own("POST", path, Session, status);
    let of_workspace =
        |path| of_owner("POST", path, Session, 200).fields(|w| vec![("id", w.workspace.clone())]);
    let of_document =
        |path| of_owner("POST", path, Session, 200).fields(|w| vec![("id", w.document.clone())]);
    let of_passage = |path| {
        of_owner("POST", path, Session, 200)
            .fields(|w| vec![("document", w.document.clone()), ("chunk", w.chunk.clone())])
    };
    // It is completed, and so is its document.
    let of_job = |path| {
        of_owner("POST", path, Session, 409).fields(|w| {
            let more = [("keep_results", "true".into()), ("attempt", "1".into())];
            [("id", w.job.clone()), ("workspace", w.workspace.clone())].into_iter().chain(more).collect()
        })
    };
    let of_ended = |path| of_owner("POST", path, Session, 409).fields(|w| vec![("id", w.document.clone())]);
    vec![
        // Whoever is signed in is led on from these two.
        own("GET", "/signin", People, 303),
        own("GET", "/signup", People, 303),
        own("GET", "/components", People, 200),
        own("GET", "/", Page, 200),
        of_owner("GET", "/w/{id}", Page, 200),
        of_owner("GET", "/w/{id}/rag", Page, 200),
        of_owner("GET", "/w/{id}/history", Page, 200),
        of_owner("GET", "/w/{id}/jobs", Page, 200),
        of_owner("GET", "/w/{id}/jobs/{job}", Page, 200),
        of_owner("GET", "/w/{id}/analytics", Page, 200),
        of_owner("GET", "/w/{id}/retrieval", Page, 200),
        of_owner("GET", "/w/{id}/chat", Page, 200),
        of_owner("GET", "/d/{id}/chunks/{chunk}", Page, 200),
        of_owner("GET", "/d/{id}", Page, 200),
        of_owner("GET", "/d/{id}/history", Page, 200),
        own("GET", "/errors", Page, 200),
        own("GET", "/settings/profile", Page, 200),
        own("GET", "/settings/password", Page, 200),
        own("GET", "/settings/preferences", Page, 200),
        own("GET", "/settings/notifications", Page, 200),
        own("GET", "/settings/rag", Page, 200),
        own("GET", "/settings/sessions", Page, 200),
        own("GET", "/settings/api-keys", Page, 200),
        own("GET", "/settings/account", Page, 200),
        own("POST", "/_fn/auth/sign_in", People, 200).fresh().fields(|w| {
            vec![("email", format!("{}@example.org", w.name("owner"))), ("password", PASSWORD.into())]
        }),
        own("POST", "/_fn/auth/sign_up", People, 200).fresh().fields(|w| {
            let name = w.name("new");
            vec![("email", format!("{name}@example.org")), ("username", name), ("password", PASSWORD.into())]
        }),
        own("POST", "/_fn/auth/sign_out", Session, 200).fresh(),
        function("/_fn/auth/set_theme", 200).fields(|_| vec![("theme", "dark".into())]),
        function("/_fn/shell/read", 200),
        function("/_fn/shell/tell_away", 200).fields(|_| vec![("upto", "0".into())]),
        of_owner("POST", "/_fn/shell/tell_end", Session, 200)
            .fields(|w| vec![("job", w.job.clone()), ("attempt", "1".into())]),
        of_owner("POST", "/_fn/jobs/attempts", Session, 200).fields(|w| vec![("id", w.job.clone())]),
        function("/_fn/errors/list", 200),
        function("/_fn/errors/retry", 200),
        function("/_fn/errors/resolve", 200),
        of_job("/_fn/jobs/first"),
        of_job("/_fn/jobs/pause"),
        of_job("/_fn/jobs/resume"),
        of_job("/_fn/jobs/cancel"),
        of_job("/_fn/jobs/retry"),
        of_job("/_fn/jobs/skip_embedding"),
        of_owner("POST", "/_fn/jobs/retry_page", Session, 409).fields(|w| {
            let more = [("page", "https://example.org/".into()), ("attempt", "1".into())];
            [("id", w.job.clone()), ("workspace", w.workspace.clone())].into_iter().chain(more).collect()
        }),
        of_ended("/_fn/documents/pause"),
        of_ended("/_fn/documents/resume"),
        of_ended("/_fn/documents/cancel"),
        of_ended("/_fn/documents/retry"),
        of_ended("/_fn/documents/skip_embedding"),
        of_owner("POST", "/_fn/documents/delete", Session, 200)
            .fresh()
            .fields(|w| vec![("id", w.document.clone())]),
        of_document("/_fn/documents/restore"),
        of_owner("POST", "/_fn/workspaces/delete", Session, 200)
            .fresh()
            .fields(|w| vec![("id", w.workspace.clone()), ("confirm", "My documents".into())]),
        of_workspace("/_fn/workspaces/restore"),
        of_owner("POST", "/_fn/workspaces/pause", Session, 200)
            .fields(|w| vec![("id", w.workspace.clone()), ("stop", "now".into())]),
        of_workspace("/_fn/workspaces/resume"),
        of_owner("POST", "/_fn/workspaces/bulk", Session, 200).fields(|w| {
            vec![("id", w.workspace.clone()), ("action", "pause".into()), ("ids", w.document.clone())]
        }),
        // It deleted nothing.
        of_owner("POST", "/_fn/workspaces/undo_bulk", Session, 409).fields(|w| vec![("id", w.bulk.clone())]),
        of_owner("POST", "/_fn/workspaces/job_steps", Session, 200).fields(|w| vec![("job", w.job.clone())]),
        of_workspace("/_fn/workspaces/jobs"),
        of_owner("POST", "/_fn/workspaces/crawl", Session, 422)
            .fields(|w| vec![("id", w.workspace.clone()), ("url", "http://127.0.0.1/".into())]),
        of_owner("POST", "/_fn/jobs/pages", Session, 200).fields(|w| vec![("id", w.job.clone())]),
        of_owner("POST", "/_fn/workspaces/job", Session, 200)
            .fields(|w| vec![("id", w.workspace.clone()), ("job", w.job.clone())]),
        function("/_fn/workspaces/create", 200).fields(|_| vec![("name", "Papers".into())]),
        of_workspace("/_fn/workspaces/read"),
        of_workspace("/_fn/history/workspace"),
        of_workspace("/_fn/history/analytics"),
        of_owner("POST", "/_fn/history/document", Session, 200).fields(|w| vec![("id", w.document.clone())]),
        of_owner("POST", "/_fn/workspaces/edit", Session, 200)
            .fields(|w| vec![("id", w.workspace.clone()), ("name", "Renamed".into())]),
        of_owner("POST", "/_fn/workspaces/retry", Session, 409).fields(|w| vec![("id", w.workspace.clone())]),
        of_owner("POST", "/_fn/workspaces/documents", Session, 200)
            .fields(|w| vec![("id", w.workspace.clone()), ("after", w.place.clone())]),
        of_owner("POST", "/_fn/workspaces/search", Session, 200)
            .fields(|w| vec![("workspace", w.workspace.clone()), ("query", "lantern".into())]),
        function("/_fn/settings/save_profile", 200)
            .fields(|w| {
                vec![("full_name", "Somebody".into()), ("email", format!("{}@example.com", w.name("p")))]
            })
            .fresh(),
        own("POST", "/_fn/settings/change_password", Session, 200).fresh().fields(|_| {
            vec![
                ("current_password", PASSWORD.into()),
                ("new_password", "Another1horse".into()),
                ("repeated_password", "Another1horse".into()),
            ]
        }),
        function("/_fn/settings/save_preferences", 200).fields(|_| vec![("density", "compact".into())]),
        function("/_fn/settings/save_notifications", 200).fields(|_| vec![("failed", "true".into())]),
        function("/_fn/settings/sessions", 200),
        of_owner("POST", "/_fn/settings/end_session", Session, 200)
            .fresh()
            .fields(|w| vec![("id", w.session.clone())]),
        own("POST", "/_fn/settings/end_other_sessions", Session, 200).fresh(),
        function("/_fn/settings/keys", 200),
        own("POST", "/_fn/settings/make_key", Session, 200)
            .fresh()
            .fields(|_| vec![("name", "another".into()), ("scopes[]", "read".into())]),
        of_owner("POST", "/_fn/settings/revoke_key", Session, 200)
            .fresh()
            .fields(|w| vec![("id", w.key.clone())]),
        function("/_fn/settings/export", 200),
        own("POST", "/_fn/settings/start_export", Session, 200).fresh(),
        own("POST", "/_fn/settings/delete_account", Session, 200)
            .fresh()
            .fields(|_| vec![("password", PASSWORD.into())]),
        function("/_fn/rag/read", 200),
        function("/_fn/rag/save", 200).fields(|_| rag_fields()),
        function("/_fn/rag/reset", 200),
        function("/_fn/rag/preview", 200).fields(|_| {
            let mut fields = rag_fields();
            fields.push(("text", "A lantern on the quay.".into()));
            fields
        }),
        of_workspace("/_fn/rag/estimate"),
        of_owner("POST", "/_fn/rag/reindex", Session, 409).fields(|w| vec![("id", w.workspace.clone())]),
        of_document("/_fn/documents/read"),
        of_document("/_fn/documents/chunks"),
        of_passage("/_fn/documents/passage"),
        of_passage("/_fn/documents/change_passage"),
        of_passage("/_fn/documents/embed_passage"),
        of_workspace("/_fn/chat/read"),
        of_owner("POST", "/_fn/chat/turn", Session, 200).fields(|w| vec![("id", w.turn.clone())]),
        of_owner("POST", "/_fn/chat/ask", Session, 200)
            .fields(|w| vec![("id", w.workspace.clone()), ("query", "Where is the lantern?".into())]),
        of_owner("POST", "/_fn/chat/again", Session, 200)
            .fresh()
            .fields(|w| vec![("id", w.turn.clone()), ("workspace", w.workspace.clone())]),
        of_owner("POST", "/_fn/chat/stop", Session, 200)
            .fields(|w| vec![("id", w.turn.clone()), ("workspace", w.workspace.clone())]),
        of_owner("POST", "/_fn/chat/rename", Session, 200).fields(|w| {
            vec![
                ("id", w.workspace.clone()),
                ("conversation", w.conversation.clone()),
                ("title", "Renamed".into()),
            ]
        }),
        of_owner("POST", "/_fn/chat/delete", Session, 200)
            .fresh()
            .fields(|w| vec![("id", w.workspace.clone()), ("conversation", w.conversation.clone())]),
        of_owner("POST", "/_fn/chat/restore", Session, 200)
            .fields(|w| vec![("id", w.workspace.clone()), ("conversation", w.conversation.clone())]),
        of_workspace("/_fn/retrieval/read"),
        of_owner("POST", "/_fn/retrieval/add_case", Session, 200).fields(|w| {
            vec![("id", w.workspace.clone()), ("question", "Where?".into()), ("document", w.document.clone())]
        }),
        of_owner("POST", "/_fn/retrieval/remove_case", Session, 200)
            .fresh()
            .fields(|w| vec![("id", w.workspace.clone()), ("case", w.case.clone())]),
        of_document("/_fn/documents/edit"),
        of_document("/_fn/documents/preview"),
        of_document("/_fn/documents/versions"),
        of_document("/_fn/documents/attempts"),
    ]
}

/// A whole form of a RAG config: what a form does not send is empty, not absent.
pub(super) fn rag_fields() -> Vec<(&'static str, String)> {
    [
        ("embedding_model", "all-MiniLM-L6-v2"),
        ("retriever_type", "vector"),
        ("chunking_strategy", "sentence"),
        ("chunk_size", "1000"),
        ("chunk_overlap", "200"),
        ("top_k", "8"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}
