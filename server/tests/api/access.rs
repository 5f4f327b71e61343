//! Who may call what: every route, page and server function, called by everybody. The routes are taken from the program
//! itself, so a new one without a row here fails the test.

use crate::common::{Client, PASSWORD, Server, eventually, form, in_millis, prose};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a route asks of its caller, and with that what everybody gets who is not its owner.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
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

enum Body {
    None,
    Json(fn(&World) -> Value),
    Fields(fn(&World) -> Vec<(&'static str, String)>),
    Files,
}

struct Row {
    method: &'static str,
    path: &'static str,
    asks: Asks,
    /// Status for the owner of what it is about.
    owner: u16,
    /// Status for somebody else who is signed in.
    other: u16,
    body: Body,
    /// It changes what later callers would find: each caller who is let in gets a world of its own.
    fresh: bool,
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

    fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }
}

/// One that is about nobody's things, or about the caller's own: it answers the same to whoever may call it.
const fn own(method: &'static str, path: &'static str, asks: Asks, status: u16) -> Row {
    Row { method, path, asks, owner: status, other: status, body: Body::None, fresh: false }
}

/// One that is about a thing of the owner's, which is not there for anybody else.
const fn of_owner(method: &'static str, path: &'static str, asks: Asks, status: u16) -> Row {
    Row { method, path, asks, owner: status, other: 404, body: Body::None, fresh: false }
}

fn rest() -> Vec<Row> {
    let (read, write) = (Scope("read"), Scope("write"));
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
        of_owner("GET", "/api/workspaces/{id}/search?q=lantern", read, 200),
        of_owner("GET", "/api/documents/{id}", read, 200),
        of_owner("GET", "/api/documents/{id}/chunks", read, 200),
        of_owner("GET", "/api/documents/{id}/content", read, 200),
        of_owner("GET", "/api/documents/{id}/history", read, 200),
        of_owner("GET", "/api/workspaces/{id}/history", read, 200),
        of_owner("GET", "/api/jobs/{id}/history", read, 200),
        of_owner("GET", "/api/workspaces/{id}/analytics", read, 200),
        own("GET", "/api/jobs", read, 200),
        of_owner("GET", "/api/jobs/{id}", read, 200),
        of_owner("GET", "/api/ingestion/kb/{id}/status", read, 200),
        own("POST", "/v1/documents/", write, 202).files(),
        own("POST", "/v1/documents", write, 202).files(),
        of_owner("GET", "/v1/documents/{id}/status", read, 200),
        own("GET", "/v1/documents/status?ids={id}", read, 200),
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

fn screens() -> Vec<Row> {
    let function = |path, status| own("POST", path, Session, status);
    let of_workspace =
        |path| of_owner("POST", path, Session, 200).fields(|w| vec![("id", w.workspace.clone())]);
    let of_document =
        |path| of_owner("POST", path, Session, 200).fields(|w| vec![("id", w.document.clone())]);
    vec![
        // Whoever is signed in is led on from these two.
        own("GET", "/signin", People, 303),
        own("GET", "/signup", People, 303),
        own("GET", "/components", People, 200),
        own("GET", "/", Page, 200),
        of_owner("GET", "/w/{id}", Page, 200),
        of_owner("GET", "/w/{id}/rag", Page, 200),
        of_owner("GET", "/w/{id}/history", Page, 200),
        of_owner("GET", "/w/{id}/analytics", Page, 200),
        of_owner("GET", "/d/{id}", Page, 200),
        of_owner("GET", "/d/{id}/history", Page, 200),
        own("GET", "/settings/profile", Page, 200),
        own("GET", "/settings/password", Page, 200),
        own("GET", "/settings/preferences", Page, 200),
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
        function("/_fn/workspaces/create", 200).fields(|_| vec![("name", "Papers".into())]),
        of_workspace("/_fn/workspaces/read"),
        of_workspace("/_fn/history/workspace"),
        of_workspace("/_fn/history/analytics"),
        of_owner("POST", "/_fn/history/document", Session, 200).fields(|w| vec![("id", w.document.clone())]),
        of_owner("POST", "/_fn/workspaces/edit", Session, 200)
            .fields(|w| vec![("id", w.workspace.clone()), ("name", "Renamed".into())]),
        of_owner("POST", "/_fn/workspaces/retry", Session, 409).fields(|w| vec![("id", w.workspace.clone())]),
        of_owner("POST", "/_fn/workspaces/documents", Session, 200)
            .fields(|w| vec![("id", w.workspace.clone()), ("after", format!("9.{}", w.document))]),
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
    ]
}

/// A whole form of a RAG config: what a form does not send is empty, not absent.
fn rag_fields() -> Vec<(&'static str, String)> {
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

/// An owner with things, somebody else, and everything that they could come with.
struct World {
    number: usize,
    owner: Client,
    other: Client,
    nobody: Client,
    /// With the cookie of a session that was ended.
    ended: Client,
    keys: Vec<(&'static str, Client)>,
    expired: Client,
    revoked: Client,
    workspace: String,
    document: String,
    job: String,
    session: String,
    key: String,
}

const SCOPES: [&str; 4] = ["read", "write", "chat", "status:write"];

impl World {
    async fn new(server: &Server, number: usize) -> Self {
        let owner = server.user(&format!("owner-{number}")).await;
        let other = server.user(&format!("other-{number}")).await;
        let mut ended = server.visitor();
        let sign_in = json!({ "email": format!("owner-{number}@example.org"), "password": PASSWORD });
        ended.cookie = ended.post("/api/auth/login", sign_in).await.session_cookie();
        assert_eq!(ended.post("/api/auth/logout", json!({})).await.status, 204);

        let mut keys = vec![];
        let mut key = String::new();
        for scope in SCOPES {
            let made = owner.new_key(scope, &[scope]).await;
            keys.push((scope, owner.program(&made)));
            key = made["id"].as_str().expect("an id").to_owned();
        }
        let revoked = owner.new_key("revoked", &SCOPES).await;
        let id = revoked["id"].as_str().expect("an id");
        assert_eq!(owner.delete(&format!("/api/auth/api-keys/{id}")).await.status, 204);
        let expired = json!({ "name": "expired", "scopes": SCOPES, "expires_at": in_millis(200) });
        let expired = owner.program(&owner.post("/api/auth/api-keys", expired).await.json());
        let revoked = owner.program(&revoked);

        let workspace = owner.first_workspace().await;
        let uploaded = owner.upload(&workspace, &[("notes.txt", &prose(1, 100))]).await.json();
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let document = text(&uploaded["documents"][0]["document_id"]);
        owner.settled(&document).await;
        assert_eq!(owner.send(owner.request("POST", "/api/auth/export")).await.status, 202);
        eventually("the export is ready", async || {
            (owner.read("/api/auth/export").await["status"] == "ready").then_some(())
        })
        .await;
        let session = text(&owner.read("/api/auth/sessions").await["items"][0]["id"]);
        eventually("the key has expired", async || {
            (expired.get("/api/jobs").await.status == 401).then_some(())
        })
        .await;
        Self {
            number,
            nobody: server.visitor(),
            owner,
            other,
            ended,
            keys,
            expired,
            revoked,
            job: text(&uploaded["job_id"]),
            workspace,
            document,
            session,
            key,
        }
    }

    /// A name that no other world has.
    fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.number)
    }

    fn path(&self, row: &Row) -> String {
        let id = match row.path {
            path if path.starts_with("/api/auth/sessions") => &self.session,
            path if path.starts_with("/api/auth/api-keys") => &self.key,
            path if path.starts_with("/api/jobs") => &self.job,
            path if path.starts_with("/api/documents")
                || path.starts_with("/v1")
                || path.starts_with("/api/status/documents")
                || path.starts_with("/d/") =>
            {
                &self.document
            }
            _ => &self.workspace,
        };
        row.path.replace("{id}", id)
    }

    /// Status, and the code of a problem.
    async fn ask(&self, row: &Row, client: &Client) -> (u16, String) {
        let request = client.request(row.method, &self.path(row));
        let request = match row.body {
            Body::None => request,
            Body::Json(body) => request.json(&body(self)),
            Body::Fields(fields) => {
                let encoded: Vec<String> = fields(self)
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.replace('@', "%40")))
                    .collect();
                request.header("content-type", "application/x-www-form-urlencoded").body(encoded.join("&"))
            }
            Body::Files => request.multipart(form(&[("a.txt", b"A lantern on the quay.")])),
        };
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        // A stream has no end.
        let body = if status < 400 { Vec::new() } else { response.bytes().await.expect("a body").to_vec() };
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        (status, problem["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Who asks, by name; the owner last.
    fn callers(&self) -> Vec<(&'static str, &Client)> {
        let mut all = vec![
            ("nobody", &self.nobody),
            ("ended session", &self.ended),
            ("expired key", &self.expired),
            ("revoked key", &self.revoked),
            ("other", &self.other),
        ];
        all.extend(self.keys.iter().map(|(scope, client)| (*scope, client)));
        all.push(("owner", &self.owner));
        all
    }
}

/// What that caller gets: the status and, where there is one, the code of the problem.
fn expected(row: &Row, caller: &str) -> (u16, Option<&'static str>) {
    let is_key = caller.ends_with(" key") || SCOPES.contains(&caller);
    let bad_key = match caller {
        "expired key" => Some("key_expired"),
        "revoked key" => Some("unauthorized"),
        _ => None,
    };
    match (row.asks, caller) {
        (Nobody, _) => (row.owner, None),
        (_, "expired key" | "revoked key") => (401, bad_key),
        (Session | Page | People, _) if is_key => (403, Some("session_required")),
        (Scope(scope), caller) if is_key && scope != caller => (403, Some("missing_scope")),
        (Socket, caller) if is_key && caller != "read" => (403, Some("missing_scope")),
        (Socket, _) => (row.owner, None),
        (Scope(_), _) if is_key => (row.owner, None),
        (Page, "nobody" | "ended session") => (303, None),
        // The pages of sign-in and sign-up, which lead on who has been there.
        (People, "nobody" | "ended session") if row.owner == 303 => (200, None),
        (People, _) => (row.owner, None),
        (Session | Scope(_), "nobody" | "ended session") => (401, None),
        (_, "other") => (row.other, None),
        _ => (row.owner, None),
    }
}

async fn check(rows: Vec<Row>, known: Vec<(Method, String)>) {
    let plain = |path: &str| path.split('?').next().unwrap_or_default().to_owned();
    let rowed: BTreeSet<(String, String)> =
        rows.iter().map(|r| (r.method.to_owned(), plain(r.path))).collect();
    let served: BTreeSet<(String, String)> = known.into_iter().map(|(m, p)| (m.to_string(), p)).collect();
    let without: Vec<_> = served.difference(&rowed).collect();
    assert!(without.is_empty(), "nobody has said who may call {without:?}: add a row to {}", file!());
    let gone: Vec<_> = rowed.difference(&served).collect();
    assert!(gone.is_empty(), "there are rows for what is not served: {gone:?}");

    let server = Server::start().await;
    let (mut worlds, mut wrong, mut asked) = (1, vec![], 0);
    let shared = World::new(&server, 0).await;
    for row in &rows {
        for n in 0..shared.callers().len() {
            let (wanted, why) = expected(row, shared.callers()[n].0);
            let own;
            let world = if row.fresh && wanted < 400 {
                own = World::new(&server, worlds).await;
                worlds += 1;
                &own
            } else {
                // Who is refused changes nothing.
                &shared
            };
            let (caller, client) = world.callers()[n];
            let (status, code) = world.ask(row, client).await;
            asked += 1;
            if status != wanted || why.is_some_and(|why| why != code) {
                wrong.push(format!(
                    "{} {} by {caller}: {status} {code}, not {wanted} {why:?}",
                    row.method, row.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{asked} pairs of route and caller, {} routes", rows.len());
}

#[tokio::test]
async fn every_route_answers_everybody_as_it_should() {
    check(rest(), server::http::addresses()).await;
}

#[tokio::test]
async fn every_page_and_server_function_answers_everybody_as_it_should() {
    check(screens(), server::pages::addresses()).await;
}

#[tokio::test]
async fn the_document_says_the_same_of_every_route() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    for row in rest() {
        let path = row.path.split('?').next().unwrap_or_default();
        let operation = &api["paths"][path][row.method.to_lowercase()];
        if operation.is_null() {
            assert!(
                ["/v1/documents", "/w/{id}/files", "/settings", "/api/docs.css"].contains(&path),
                "{path}"
            );
            continue;
        }
        let told = match row.asks {
            Nobody => json!([{}]),
            Scope(scope) => json!([{ "session": [] }, { "api_key": [scope] }]),
            Socket => json!([{ "session": [] }, { "api_key": ["read"] }]),
            Session | Page | People => json!([{ "session": [] }]),
        };
        assert_eq!(operation["security"], told, "{} {path}", row.method);
        if row.asks != Nobody && row.asks != Socket {
            for status in ["401", "403"] {
                assert!(operation["responses"][status].is_object(), "{} {path} lacks {status}", row.method);
            }
        }
    }
}
