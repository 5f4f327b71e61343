//! The OpenAPI document, made from the code: each handler describes itself beside its body.

use super::{
    access::{self, Access},
    bytes,
    problem::PROBLEM_JSON,
};
use axum::response::Response;
use bytes::Bytes;
use domain::{
    HistoryEntry, Problem, Scope,
    event::FileProgress,
    resource::{Document, Job, Workspace},
};
use http::Method;
use std::sync::OnceLock;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        self, Array, Components, Content, Header, HeaderBuilder, Info, License, OneOfBuilder, OpenApi, Ref,
        RefOr, Schema,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::Tag,
    },
};

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub async fn document() -> Response {
    // The same for everybody and for the whole life of the process.
    static JSON: OnceLock<Bytes> = OnceLock::new();
    let json = JSON.get_or_init(|| super::openapi().to_json().map(Bytes::from).unwrap_or_default());
    bytes("application/json", json.clone())
}

/// Adds what no handler can say: the title, who may ask, and the second names that resources carry.
pub fn complete(mut api: OpenApi) -> OpenApi {
    api.info = Info::new("InsightHub", env!("CARGO_PKG_VERSION"));
    api.info.description = Some(
        "Documents in, live status, answers out. Errors are problem details (RFC 9457, application/problem+json). \
         Lists answer `{items, next}`; `next` goes into `after`. The stream is described in docs/PROTOCOL.md."
            .to_owned(),
    );
    api.info.license = Some(License::new("MIT OR Apache-2.0"));
    api.tags = Some(
        [
            ("account", "Sign-up, sign-in, session, preferences, API keys, export and deletion"),
            ("workspaces", "Collections of documents"),
            ("documents", "Uploading and reading"),
            ("search", "Finding passages"),
            ("chat", "Questions, answers and conversations"),
            ("rag", "How documents are cut, embedded and found"),
            ("jobs", "Ingestion runs"),
            ("status", "Status for pollers, and the live streams"),
            ("operations", "Health, metrics, this document"),
        ]
        .map(|(name, about)| {
            let mut tag = Tag::new(name);
            tag.description = Some(about.to_owned());
            tag
        })
        .to_vec(),
    );
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(
        access::BY_SESSION,
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("insighthub_session"))),
    );
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("ihk_…").description(Some(
        "An API key. The names beside it at an operation are the scopes that it needs: `read` for data, search and \
         the live streams, `write` for uploads and changes, `chat`, `status:write`. A missing one is 403 \
         `missing_scope`; what only a signed-in person may do is 403 `session_required`; a key that is unknown or \
         revoked is 401 `unauthorized`, an expired one 401 `key_expired`.",
    ));
    components.add_security_scheme(access::BY_KEY, SecurityScheme::Http(key.build()));
    // Frames of the stream carry it, no route answers it by itself.
    let mut carried = vec![(FileProgress::name().into_owned(), FileProgress::schema())];
    FileProgress::schemas(&mut carried);
    for (name, schema) in carried {
        components.schemas.entry(name).or_insert(schema);
    }
    let aliases: [(&str, &[(&str, &str)]); 3] = [
        (
            &Document::name(),
            &[
                ("document_id", "id"),
                ("processing_status", "status"),
                ("processing_error", "error"),
                ("correlation_id", "error_code"),
            ],
        ),
        (&Workspace::name(), &[("workspace_id", "id"), ("message", "status_message")]),
        (&Job::name(), &[("workspace_id", "kb_id")]),
    ];
    for (resource, names) in aliases {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(resource) {
            for (second, first) in names {
                if let Some(schema) = object.properties.get(*first).cloned() {
                    object.properties.insert((*second).to_owned(), schema);
                }
            }
        }
    }
    refer_to_items(components);
    access::tell(&mut api);
    tell_whole_histories(&mut api);
    tell_answers(&mut api);
    api
}

const JSON: &str = "application/json";
const FORM: &str = "multipart/form-data";
/// A part of a file that comes in parts.
const PART: &str = "application/offset+octet-stream";
/// How the name of a page begins; the name of what it has follows.
const PAGE: &str = "Page_";

/// The items of a list are the resource itself, with its second names. The derived schema of a page spells out what the
/// code has, which knows none of them.
fn refer_to_items(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for name in &names {
        let Some(item) = name.strip_prefix(PAGE).filter(|item| names.iter().any(|name| name == item)) else {
            continue;
        };
        if let Some(RefOr::T(Schema::Object(page))) = components.schemas.get_mut(name)
            && let Some(RefOr::T(Schema::Array(list))) = page.properties.get_mut("items")
        {
            list.items = Ref::from_schema_name(item).into();
        }
    }
}

/// A history as a file is the bare list of its entries. It has the media type that a page of them has, and a handler can
/// name one schema for each.
fn tell_whole_histories(api: &mut OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let Some(operation) = item.get.as_mut().filter(|_| path.ends_with("/history")) else { continue };
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200")
            && let Some(RefOr::T(content)) = response.content.get_mut(JSON)
            && let Some(page) = content.schema.take()
        {
            let whole = Array::new(Ref::from_schema_name(HistoryEntry::name()));
            content.schema = Some(OneOfBuilder::new().item(page).item(whole).into());
        }
    }
}

/// Says that these answers of the operation carry a header.
fn tell_header(operation: &mut Operation, statuses: &[&str], name: &str, header: &Header) {
    for status in statuses {
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(*status) {
            response.headers.entry(name.to_owned()).or_insert_with(|| RefOr::T(header.clone()));
        }
    }
}

fn takes_a_tag(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|named| matches!(named, RefOr::T(named) if named.name == "If-None-Match"))
}

fn takes(operation: &Operation, kind: &str) -> bool {
    let body = operation.request_body.as_ref();
    body.is_some_and(|body| matches!(body, RefOr::T(body) if body.content.contains_key(kind)))
}

fn takes_a_key(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|named| matches!(named, RefOr::T(named) if named.name == "Idempotency-Key"))
}

/// Says at each operation what is wrong about requests of its kind, and that every error is a problem; and of each answer
/// what it means, without which the document would be none for those who check it.
fn tell_answers(api: &mut OpenApi) {
    let seconds = HeaderBuilder::new().schema(Some(u64::schema())).description(Some("seconds")).build();
    let tag =
        HeaderBuilder::new().schema(Some(String::schema())).description(Some("for `If-None-Match`")).build();
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in access::operations(item) {
            operation.operation_id = Some(operation_id(method.as_str(), path));
            let access = access::of(&method, path);
            let changes = !matches!(method, Method::GET | Method::OPTIONS);
            let mut usual = vec![];
            if takes(operation, JSON) {
                usual.extend(["400", "408", "413", "415", "422"]);
            }
            if takes(operation, FORM) {
                usual.push("400");
            }
            if takes_a_key(operation) {
                usual.push("422");
            }
            if path.contains("{id}") {
                usual.push("404");
            }
            if path.starts_with("/api/") || path.starts_with("/v1/") {
                usual.push("500");
            }
            // Whoever asks somebody looks into the database first, and so does the way in.
            let needs_database = access != Access::Public || path.starts_with("/api/auth/");
            if needs_database {
                usual.push("503");
                if changes {
                    usual.push("403");
                }
                if changes && access != Access::Scope(Scope::Read) {
                    usual.push("507");
                }
            }
            let responses = &mut operation.responses.responses;
            for status in usual {
                responses.entry(status.to_owned()).or_insert_with(|| problem().into());
            }
            if needs_database {
                tell_header(operation, &["503"], "Retry-After", &seconds);
            }
            if takes_a_tag(operation) {
                tell_header(operation, &["200", "304"], "ETag", &tag);
            }
            // Bytes have no schema: that of the code is a list of numbers.
            if let Some(RefOr::T(body)) = &mut operation.request_body
                && let Some(RefOr::T(part)) = body.content.get_mut(PART)
            {
                part.schema = None;
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if response.description.is_empty() {
                    meaning(status).clone_into(&mut response.description);
                }
                if status.as_str() < "400" {
                    continue;
                }
                let content = std::mem::take(&mut response.content);
                response.content = content
                    .into_iter()
                    .map(|(kind, content)| {
                        if is_problem(&content) {
                            (PROBLEM_JSON.to_owned(), content)
                        } else {
                            (kind, content)
                        }
                    })
                    .collect();
            }
        }
    }
}

/// A name of its own for each operation: handlers share theirs.
fn operation_id(method: &str, path: &str) -> String {
    let parts =
        path.split(['/', '-', '.']).map(|part| part.trim_matches(['{', '}'])).filter(|part| !part.is_empty());
    std::iter::once(method.to_lowercase()).chain(parts.map(str::to_owned)).collect::<Vec<_>>().join("_")
}

fn is_problem(content: &RefOr<Content>) -> bool {
    let name = Problem::name();
    matches!(content, RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. })
        if schema.ref_location.rsplit('/').next() == Some(&*name))
}

fn problem() -> openapi::Response {
    let schema = Content::new(Some(Ref::from_schema_name(Problem::name())));
    openapi::ResponseBuilder::new().content(PROBLEM_JSON, schema).build()
}

/// What an answer means where its route says nothing of its own.
fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "As it is now",
        "201" => "It was made",
        "202" => "It was taken; what is left to do goes on by itself",
        "204" => "It is done, and there is nothing to tell",
        "304" => "Nothing changed since the tag that was sent",
        "400" => "`bad_json`, `bad_form`, `bad_query`, `broken_off`: it could not be read",
        "401" => "`unauthorized`, `key_expired`: nobody is signed in, or the key is not valid",
        "403" => "`missing_scope`, `session_required`, `foreign_origin`",
        "404" => "`not_found`: it is not there, or not yours",
        "408" => "`stalled`: nothing more of the request came",
        "409" => {
            "What it is about does not allow it now; `code` says why, and `allowed` what would be possible"
        }
        "412" => "`unsupported_version`: `Tus-Resumable` names another version",
        "413" => "`too_large`",
        "415" => "`unsupported_media_type`",
        "422" => "`invalid`: the messages stand under `errors`, by field",
        "423" => "`upload_locked`: another request is sending a part of it",
        "426" => "`upgrade_required`: this address speaks WebSocket only",
        "429" => "Too often; `retry_after` says when to try again",
        "460" => "`damaged_in_transfer`: what came is not what was sent",
        "500" => "`internal`: a fault of the server; `correlation_id` finds its log lines",
        "503" => {
            "`unavailable`: the server cannot reach its database, `retry_after` says when to try again; or what else it \
             needs does not answer, as `code` says"
        }
        "507" => "`storage_full`: the server has no room left",
        _ => "The server cannot do this now",
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Set to anything, it makes the test below write the file instead of comparing it.
    const RENEW: &str = "INSIGHTHUB_RENEW_OPENAPI";

    #[test]
    fn names_are_those_that_the_interface_really_uses() {
        let api = serde_json::to_value(crate::http::openapi()).expect("JSON");
        let names = |schema: &str| api["components"]["schemas"][schema]["enum"].clone();
        let statuses: Vec<&str> = domain::JobStatus::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!(names("JobStatus"), serde_json::json!(statuses));
        let kinds: Vec<&str> = domain::JobKind::ALL.iter().map(|k| k.as_str()).collect();
        assert_eq!(names("JobKind"), serde_json::json!(kinds));
    }

    #[test]
    fn the_committed_document_is_the_one_that_the_code_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let made = crate::http::openapi().to_pretty_json().expect("JSON") + "\n";
        if std::env::var_os(RENEW).is_some() {
            fs::write(&path, made).expect("docs/openapi.json is written");
            return;
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let differs = committed.lines().zip(made.lines()).position(|(a, b)| a != b);
        assert!(
            committed == made,
            "docs/openapi.json is not what the code says, from line {} on. Look at what changed for clients, and renew \
             it: {RENEW}=1 cargo nextest run -E 'test(the_committed_document_is_the_one_that_the_code_makes)'",
            differs.unwrap_or_else(|| committed.lines().count().min(made.lines().count())) + 1
        );
    }
}
