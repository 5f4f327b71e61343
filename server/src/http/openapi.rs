//! The OpenAPI document, made from the code: each handler describes itself beside its body.

use super::{access, bytes};
use axum::response::Response;
use bytes::Bytes;
use domain::{
    event::FileProgress,
    resource::{Document, Job, Workspace},
};
use std::sync::OnceLock;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Info, License, OpenApi, RefOr, Schema,
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
            &[("document_id", "id"), ("processing_status", "status"), ("processing_error", "error")],
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
    access::tell(&mut api);
    api
}
