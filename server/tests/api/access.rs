//! Who may call what: every route, page and server function, called by everybody. The routes are taken from the program
//! itself, so a new one without a row here fails the test.

mod rows;

use crate::common::{Client, PASSWORD, Server, eventually, form, prose};
use http::Method;
use rows::{
    Asks::{Nobody, Page, People, Scope, Session, Socket},
    Body, Row, rest, screens,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio_tungstenite::tungstenite;

/// An owner with things, somebody else, and everything that they could come with.
struct World {
    number: usize,
    owner: Client,
    other: Client,
    nobody: Client,
    /// With the cookie of a session that was ended.
    ended: Client,
    /// With the cookie of a session whose time is over.
    lapsed: Client,
    /// A program of somebody else, which may do everything.
    stranger: Client,
    keys: Vec<(&'static str, Client)>,
    expired: Client,
    revoked: Client,
    workspace: String,
    document: String,
    /// A passage of it.
    chunk: String,
    /// A question that the workspace is tried with.
    case: String,
    /// A question that was answered, and the conversation in which it stands.
    turn: String,
    conversation: String,
    me: String,
    /// One that was sent ahead.
    file: String,
    job: String,
    /// A place in a list of documents.
    place: String,
    /// An action over many documents.
    bulk: String,
    session: String,
    key: String,
    /// What nobody else may read: the owner's ids, address and name.
    private: Vec<String>,
}

const SCOPES: [&str; 4] = ["read", "write", "chat", "status:write"];

impl World {
    async fn new(server: &Server, number: usize, first: Option<&World>) -> Self {
        let owner = server.user(&format!("owner-{number}")).await;
        let other = server.user(&format!("other-{number}")).await;
        let Past { ended, lapsed, expired, revoked } = match first {
            None => Past::of(server, &owner, &format!("owner-{number}")).await,
            // Whose time is over is let in nowhere for it, and so is the same everywhere.
            Some(first) => Past {
                ended: first.ended.clone(),
                lapsed: first.lapsed.clone(),
                expired: first.expired.clone(),
                revoked: first.revoked.clone(),
            },
        };
        let stranger = other.program(&other.new_key("everything", &SCOPES).await);

        let mut keys = vec![];
        let mut key = String::new();
        for scope in SCOPES {
            let made = owner.new_key(scope, &[scope]).await;
            keys.push((scope, owner.program(&made)));
            key = made["id"].as_str().expect("an id").to_owned();
        }

        let workspace = owner.first_workspace().await;
        let uploaded = owner.upload(&workspace, &[("notes.txt", &prose(1, 100))]).await.json();
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let document = text(&uploaded["documents"][0]["document_id"]);
        owner.settled(&document).await;
        let chunks = owner.read(&format!("/api/documents/{document}/chunks")).await;
        let chunk = text(&chunks["items"][0]["id"]);
        let path = format!("/api/workspaces/{workspace}/retrieval-cases");
        let case = owner.post(&path, json!({ "question": "Where?", "document_id": document })).await.json();
        let case = text(&case["id"]);
        assert_eq!(owner.send(owner.request("POST", "/api/auth/export")).await.status, 202);
        eventually("the export is ready", async || {
            (owner.read("/api/auth/export").await["status"] == "ready").then_some(())
        })
        .await;
        let path = format!("/api/workspaces/{workspace}/files");
        let sent = owner.send(owner.request("POST", &path).multipart(form(&[("b.txt", b"A bridge.")]))).await;
        let file = text(&sent.json()["document_id"]);
        let path = format!("/api/workspaces/{workspace}/bulk");
        let begun = owner.post(&path, json!({ "action": "pause", "ids": [document] })).await;
        let bulk = text(&begun.json()["id"]);
        let new = json!({ "name": "Theirs", "processor": "external" });
        let theirs = text(&other.post("/api/workspaces", new).await.json()["id"]);
        other.upload(&theirs, &[("1.txt", b"One."), ("2.txt", b"Two.")]).await;
        let listed = other.read(&format!("/api/workspaces/{theirs}/documents?limit=1")).await;
        let place = text(&listed["next"]);
        let conversation = format!("talk-{number}");
        let question = json!({ "query": "Where is the lantern?", "session_id": conversation });
        let turn = text(&owner.post("/v1/chat/", question).await.json()["turn_id"]);
        let session = text(&owner.read("/api/auth/sessions").await["items"][0]["id"]);
        let me = text(&owner.read("/api/auth/me").await["id"]);
        let job = text(&uploaded["job_id"]);
        let name = format!("owner-{number}");
        let mut private = vec![me.clone(), format!("{name}@example.org"), name];
        private.extend(
            [&workspace, &document, &chunk, &case, &turn, &conversation, &file, &job, &bulk, &session, &key]
                .map(String::clone),
        );
        Self {
            number,
            nobody: server.visitor(),
            owner,
            other,
            ended,
            lapsed,
            stranger,
            keys,
            expired,
            revoked,
            job,
            place,
            bulk,
            workspace,
            document,
            chunk,
            case,
            turn,
            conversation,
            me,
            file,
            session,
            key,
            private,
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
            path if path.starts_with("/api/bulk") => &self.bulk,
            path if path.starts_with("/v1/chat/turns") => &self.turn,
            path if path.starts_with("/api/files") || path.starts_with("/api/uploads") => &self.file,
            path if path.starts_with("/api/documents")
                || path.starts_with("/v1")
                || path.starts_with("/api/status/documents")
                || path.starts_with("/d/") =>
            {
                &self.document
            }
            _ => &self.workspace,
        };
        row.path
            .replace("{id}", id)
            .replace("{job}", &self.job)
            .replace("{chunk_id}", &self.chunk)
            .replace("{chunk}", &self.chunk)
            .replace("{case_id}", &self.case)
            .replace("{user_id}", &self.me)
            .replace("{conversation_id}", &self.conversation)
    }

    /// Status, the code of a problem, and what of the owner's stands in the answer that was not in the question.
    async fn ask(&self, row: &Row, client: &Client) -> (u16, String, Vec<String>) {
        let request = client.request(row.method, &self.path(row));
        let mut question = self.path(row);
        let request = match row.body {
            Body::None => request,
            Body::Json(body) => {
                question += &body(self).to_string();
                request.json(&body(self))
            }
            Body::Fields(fields) => {
                let fields = fields(self);
                fields.iter().for_each(|(_, value)| question += value);
                let encoded: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.replace('@', "%40")))
                    .collect();
                request.header("content-type", "application/x-www-form-urlencoded").body(encoded.join("&"))
            }
            Body::Headers(headers) => {
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
            }
            Body::Files => request.multipart(form(&[("a.txt", b"A lantern on the quay.")])),
        };
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let headers = format!("{:?}", response.headers());
        // A stream has no end.
        let is_stream = headers.contains("text/event-stream");
        let body = if is_stream { Vec::new() } else { response.bytes().await.expect("a body").to_vec() };
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let answer = headers + &String::from_utf8_lossy(&body);
        let told = |text: &&String| answer.contains(*text) && !question.contains(*text);
        let told = self.private.iter().filter(told).cloned().collect();
        (status, problem["code"].as_str().unwrap_or_default().to_owned(), told)
    }

    /// Who asks, by name; the owner last.
    fn callers(&self) -> Vec<(&'static str, &Client)> {
        let mut all = vec![
            ("nobody", &self.nobody),
            ("ended session", &self.ended),
            ("lapsed session", &self.lapsed),
            ("expired key", &self.expired),
            ("revoked key", &self.revoked),
            ("other", &self.other),
            ("other's key", &self.stranger),
        ];
        all.extend(self.keys.iter().map(|(scope, client)| (*scope, client)));
        all.push(("owner", &self.owner));
        all
    }
}

/// Who may do nothing any more.
struct Past {
    ended: Client,
    lapsed: Client,
    expired: Client,
    revoked: Client,
}

impl Past {
    /// All of the account of that name.
    async fn of(server: &Server, owner: &Client, name: &str) -> Self {
        let ended = server.sign_in(name, PASSWORD).await;
        assert_eq!(ended.post("/api/auth/logout", json!({})).await.status, 204);
        let lapsed = lapsed(server, name).await;
        let revoked = owner.new_key("revoked", &SCOPES).await;
        let id = revoked["id"].as_str().expect("an id");
        assert_eq!(owner.delete(&format!("/api/auth/api-keys/{id}")).await.status, 204);
        let expired = owner.program(&owner.new_short_key("expired", &SCOPES, 200).await);
        eventually("the key has expired", async || {
            (expired.get("/api/jobs").await.status == 401).then_some(())
        })
        .await;
        Self { ended, lapsed, expired, revoked: owner.program(&revoked) }
    }
}

/// A browser whose session's time is over: its end is set into the past.
async fn lapsed(server: &Server, name: &str) -> Client {
    let client = server.sign_in(name, PASSWORD).await;
    let sessions = client.read("/api/auth/sessions").await["items"].clone();
    let mut sessions = sessions.as_array().expect("sessions").iter();
    let its = sessions.find(|s| s["current"] == true).expect("its own")["id"].clone();
    let mut conn = server.dir.connect().await;
    let done = sqlx::query("UPDATE sessions SET expires_at = created_at + 1 WHERE id = $1")
        .bind(its.as_str().expect("an id"))
        .execute(&mut conn)
        .await
        .expect("set");
    assert_eq!(done.rows_affected(), 1);
    client
}

/// What that caller gets: the status and, where there is one, the code of the problem.
fn expected(row: &Row, caller: &str) -> (u16, Option<&'static str>) {
    let is_key = caller != "other's key" && caller.ends_with(" key") || SCOPES.contains(&caller);
    let is_out = matches!(caller, "nobody" | "ended session" | "lapsed session");
    let bad_key = match caller {
        "expired key" => Some("key_expired"),
        "revoked key" => Some("unauthorized"),
        _ => None,
    };
    match (row.asks, caller) {
        (Nobody, _) => (row.owner, None),
        (_, "expired key" | "revoked key") => (401, bad_key),
        (Session | Page | People, _) if is_key => (403, Some("session_required")),
        (Session | Page | People, "other's key") => (403, Some("session_required")),
        (Socket, "other's key") => (row.owner, None),
        (Scope(_), "other's key") => (row.other, None),
        (Scope(scope), caller) if is_key && scope != caller => (403, Some("missing_scope")),
        (Socket, caller) if is_key && caller != "read" => (403, Some("missing_scope")),
        (Socket, _) => (row.owner, None),
        (Scope(_), _) if is_key => (row.owner, None),
        (Page, _) if is_out => (303, None),
        // The pages of sign-in and sign-up, which lead on who has been there.
        (People, _) if is_out && row.owner == 303 => (200, None),
        (People, _) => (row.owner, None),
        (Session | Scope(_), _) if is_out => (401, None),
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
    let shared = World::new(&server, 0, None).await;
    for row in &rows {
        for n in 0..shared.callers().len() {
            let (wanted, why) = expected(row, shared.callers()[n].0);
            let own;
            let world = if row.fresh && wanted < 400 {
                own = World::new(&server, worlds, Some(&shared)).await;
                worlds += 1;
                &own
            } else {
                // Who is refused changes nothing.
                &shared
            };
            let (caller, client) = world.callers()[n];
            let (status, code, told) = world.ask(row, client).await;
            asked += 1;
            // Whoever signs in with the owner's password is the owner.
            let is_owner = caller == "owner" || SCOPES.contains(&caller) || row.path.ends_with("login");
            if !is_owner && !row.path.ends_with("/sign_in") && !told.is_empty() {
                wrong.push(format!("{} {} tells {caller} of {told:?}", row.method, row.path));
            }
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

/// A real upgrade, by everybody: who may not read gets no socket, or one that is closed before it says anything.
#[tokio::test]
async fn a_socket_tells_nothing_to_those_who_may_not_read() {
    let server = Server::start().await;
    let world = World::new(&server, 0, None).await;
    for (caller, client) in world.callers() {
        let origin = client.base.clone();
        let headers = [("origin", origin.as_str())];
        // A program says no origin.
        let opened = client.socket_with(if client.key.is_some() { &[] } else { &headers }).await;
        let refused = |error: tungstenite::Error| match error {
            tungstenite::Error::Http(answer) => answer.status().as_u16(),
            other => panic!("{caller}: {other}"),
        };
        match (caller, opened) {
            ("expired key" | "revoked key", opened) => {
                assert_eq!(opened.err().map(refused), Some(401), "{caller}")
            }
            ("write" | "chat" | "status:write", opened) => {
                assert_eq!(opened.err().map(refused), Some(403), "{caller}");
            }
            ("nobody" | "ended session" | "lapsed session", opened) => {
                let mut socket = opened.expect("upgraded, and then closed");
                assert_eq!(socket.close_code().await, 4401, "{caller}");
            }
            (_, opened) => {
                let mut socket = opened.unwrap_or_else(|e| panic!("{caller}: {}", refused(e)));
                let welcome = socket.hello(Value::Null, Value::Null).await.to_string();
                if caller.starts_with("other") {
                    assert!(world.private.iter().all(|text| !welcome.contains(text)), "{caller}: {welcome}");
                    // Nor do they hear of what the owner does: all up to their own next thing is their own.
                    world.owner.patch("/api/auth/preferences", json!({ "density": "compact" })).await;
                    world
                        .owner
                        .post("/api/workspaces", json!({ "name": format!("For {}", caller.len()) }))
                        .await;
                    world
                        .other
                        .post("/api/workspaces", json!({ "name": format!("Mine {}", caller.len()) }))
                        .await;
                    // A workspace that they made before may turn ready just now.
                    let is_mine = |e: &Value| e["data"]["name"] == format!("Mine {}", caller.len());
                    for told in socket.events_until(is_mine).await {
                        let name = told["data"]["name"].as_str().unwrap_or_default();
                        assert!(!name.starts_with("For"), "{caller}: {told}");
                        assert!(world.private.iter().all(|text| !told.to_string().contains(text)), "{told}");
                    }
                }
            }
        }
    }
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
                ["/v1/documents", "/v1/chat", "/w/{id}/files", "/settings", "/api/docs.css"].contains(&path),
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
