//! Who may call which route: one table for the door, for the OpenAPI document and for the tests. What is not in it takes
//! a session and no key, so a route that was forgotten is closed to programs, never open.

use super::docs::STYLE_PATH;
use domain::Scope;
use http::Method;
use utoipa::openapi::{OpenApi, PathItem, RefOr, SecurityRequirement, path::Operation};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// A signed-in person; keys are refused.
    Session,
    /// A signed-in person, or a key with that scope.
    Scope(Scope),
}

use Access::{Public, Session};
const READ: Access = Access::Scope(Scope::Read);
const WRITE: Access = Access::Scope(Scope::Write);
const CHAT: Access = Access::Scope(Scope::Chat);
const REPORT: Access = Access::Scope(Scope::StatusWrite);

/// Every route of the OpenAPI document; a test says so. The slash at the end of a path does not matter.
const TABLE: &[(Method, &str, Access)] = &[
    (Method::POST, "/api/auth/signup", Public),
    (Method::POST, "/api/auth/login", Public),
    (Method::GET, "/api/workspaces", READ),
    (Method::POST, "/api/workspaces", WRITE),
    (Method::GET, "/api/workspaces/{id}", READ),
    (Method::PATCH, "/api/workspaces/{id}", WRITE),
    (Method::DELETE, "/api/workspaces/{id}", WRITE),
    (Method::POST, "/api/workspaces/{id}/restore", WRITE),
    (Method::POST, "/api/workspaces/{id}/pause", WRITE),
    (Method::POST, "/api/workspaces/{id}/resume", WRITE),
    (Method::POST, "/api/workspaces/{id}/retry", WRITE),
    (Method::GET, "/api/rag/models", READ),
    (Method::GET, "/api/rag/options", READ),
    (Method::POST, "/api/rag/preview", READ),
    (Method::GET, "/api/workspaces/{id}/rag-config", READ),
    (Method::PUT, "/api/workspaces/{id}/rag-config", WRITE),
    (Method::DELETE, "/api/workspaces/{id}/rag-config", WRITE),
    (Method::POST, "/api/workspaces/{id}/reindex", WRITE),
    (Method::GET, "/api/workspaces/{id}/reindex/estimate", READ),
    (Method::POST, "/api/workspaces/{id}/reindex/estimate", READ),
    (Method::GET, "/api/workspaces/{id}/documents", READ),
    (Method::POST, "/api/workspaces/{id}/documents", WRITE),
    (Method::POST, "/api/workspaces/{id}/files", WRITE),
    (Method::POST, "/api/workspaces/{id}/files/check", READ),
    (Method::DELETE, "/api/files/{id}", WRITE),
    (Method::OPTIONS, "/api/uploads", Public),
    (Method::POST, "/api/uploads", WRITE),
    (Method::GET, "/api/uploads/{id}", WRITE),
    (Method::PATCH, "/api/uploads/{id}", WRITE),
    (Method::DELETE, "/api/uploads/{id}", WRITE),
    (Method::POST, "/api/uploads/{id}", WRITE),
    (Method::GET, "/api/workspaces/{id}/search", READ),
    (Method::GET, "/api/documents/{id}", READ),
    (Method::PATCH, "/api/documents/{id}", WRITE),
    (Method::DELETE, "/api/documents/{id}", WRITE),
    (Method::POST, "/api/documents/{id}/restore", WRITE),
    (Method::GET, "/api/documents/{id}/chunks", READ),
    (Method::GET, "/api/documents/{id}/chunks/{chunk_id}", READ),
    (Method::PATCH, "/api/documents/{id}/chunks/{chunk_id}", WRITE),
    (Method::POST, "/api/documents/{id}/chunks/{chunk_id}/embed", WRITE),
    (Method::GET, "/api/documents/{id}/content", READ),
    (Method::GET, "/api/documents/{id}/preview", READ),
    (Method::GET, "/api/documents/{id}/versions", READ),
    (Method::GET, "/api/documents/{id}/history", READ),
    (Method::GET, "/api/workspaces/{id}/history", READ),
    (Method::GET, "/api/jobs/{id}/history", READ),
    (Method::GET, "/api/workspaces/{id}/analytics", READ),
    (Method::GET, "/api/workspaces/{id}/retrieval-cases", READ),
    (Method::POST, "/api/workspaces/{id}/retrieval-cases", WRITE),
    (Method::POST, "/api/workspaces/{id}/retrieval-cases/run", READ),
    (Method::DELETE, "/api/workspaces/{id}/retrieval-cases/{case_id}", WRITE),
    (Method::GET, "/api/errors", READ),
    (Method::POST, "/api/errors/retry", WRITE),
    (Method::POST, "/api/errors/resolve", WRITE),
    (Method::GET, "/api/jobs", READ),
    (Method::GET, "/api/jobs/{id}", READ),
    (Method::GET, "/api/jobs/{id}/attempts", READ),
    (Method::POST, "/api/workspaces/{id}/crawls", WRITE),
    (Method::GET, "/api/jobs/{id}/pages", READ),
    (Method::POST, "/api/jobs/{id}/first", WRITE),
    (Method::POST, "/api/jobs/{id}/pause", WRITE),
    (Method::POST, "/api/jobs/{id}/resume", WRITE),
    (Method::POST, "/api/jobs/{id}/cancel", WRITE),
    (Method::POST, "/api/jobs/{id}/retry", WRITE),
    (Method::POST, "/api/jobs/{id}/skip-embedding", WRITE),
    (Method::POST, "/api/documents/{id}/pause", WRITE),
    (Method::POST, "/api/documents/{id}/resume", WRITE),
    (Method::POST, "/api/documents/{id}/cancel", WRITE),
    (Method::POST, "/api/documents/{id}/retry", WRITE),
    (Method::POST, "/api/documents/{id}/skip-embedding", WRITE),
    (Method::POST, "/api/workspaces/{id}/bulk", WRITE),
    (Method::GET, "/api/bulk/{id}", READ),
    (Method::POST, "/api/bulk/{id}/undo", WRITE),
    (Method::GET, "/api/ingestion/kb/{id}/status", READ),
    (Method::POST, "/v1/documents/", WRITE),
    (Method::GET, "/v1/documents/{id}/status", READ),
    (Method::GET, "/v1/documents/status", READ),
    (Method::POST, "/v1/chat/", CHAT),
    (Method::GET, "/v1/chat/turns/{id}", CHAT),
    (Method::GET, "/v1/chat/turns/{id}/stream", CHAT),
    (Method::POST, "/v1/chat/turns/{id}/stop", CHAT),
    (Method::POST, "/v1/chat/turns/{id}/retry", CHAT),
    (Method::GET, "/v1/chat/conversations", CHAT),
    (Method::POST, "/v1/chat/conversations", CHAT),
    (Method::GET, "/v1/chat/conversations/{user_id}/{conversation_id}", CHAT),
    (Method::PATCH, "/v1/chat/conversations/{user_id}/{conversation_id}", CHAT),
    (Method::DELETE, "/v1/chat/conversations/{user_id}/{conversation_id}", CHAT),
    (Method::POST, "/v1/chat/conversations/{user_id}/{conversation_id}/restore", CHAT),
    (Method::GET, "/v1/chat/conversations/{user_id}/{conversation_id}/status", CHAT),
    (Method::GET, "/v1/chat/conversations/{user_id}/{conversation_id}/export", CHAT),
    (Method::POST, "/api/status/documents/{id}", REPORT),
    (Method::POST, "/api/status/workspaces/{id}", REPORT),
    (Method::GET, "/api/status/ws", READ),
    (Method::GET, "/api/status/events", READ),
    (Method::GET, "/api/status/changes", READ),
    (Method::GET, "/health/live", Public),
    (Method::GET, "/health/ready", Public),
    (Method::GET, "/metrics", Public),
    (Method::GET, "/api/openapi.json", Public),
    (Method::GET, "/api/docs", Public),
    (Method::GET, STYLE_PATH, Public),
];

/// Everything about the account itself. New routes there need no row: they take a session.
const ACCOUNT: &str = "/api/auth/";

fn row(method: &Method, path: &str) -> Option<Access> {
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    let wanted = plain(path);
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    TABLE.iter().find(|(m, p, _)| m == method && plain(p) == wanted).map(|(_, _, access)| *access)
}

/// What the route asks for; `path` is the one with `{id}` in it.
pub fn of(method: &Method, path: &str) -> Access {
    row(method, path).unwrap_or(Session)
}

/// Whether somebody has thought about that route.
pub fn is_settled(method: &Method, path: &str) -> bool {
    row(method, path).is_some() || path.starts_with(ACCOUNT)
}

/// Names in the document.
pub const BY_SESSION: &str = "session";
pub const BY_KEY: &str = "api_key";

/// Says at each operation of the document who may call it.
pub fn tell(api: &mut OpenApi) {
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            let access = of(&method, path);
            if access != Public {
                refuse_keys(operation);
            }
            operation.security = Some(match access {
                Public => vec![SecurityRequirement::default()],
                Session => vec![by(BY_SESSION, &[])],
                Access::Scope(scope) => vec![by(BY_SESSION, &[]), by(BY_KEY, &[scope.as_str()])],
            });
        }
    }
}

/// Every operation that asks somebody may tell a key that it may not.
fn refuse_keys(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(mut refusal)) = responses.get("401").cloned() {
        refusal.description = "`missing_scope` or `session_required`, for an API key".to_owned();
        responses.entry("403".to_owned()).or_insert(RefOr::T(refusal));
    }
}

fn by(scheme: &str, scopes: &[&str]) -> SecurityRequirement {
    SecurityRequirement::new(scheme, scopes.iter().copied())
}

/// Method and path of every operation of the document.
pub fn addresses(api: &mut OpenApi) -> Vec<(Method, String)> {
    let items = api.paths.paths.iter_mut();
    items.flat_map(|(path, item)| operations(item).map(|(method, _)| (method, path.clone()))).collect()
}

pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
        (Method::OPTIONS, item.options.as_mut()),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_document_is_settled_and_every_row_is_a_route() {
        let routes = addresses(&mut crate::http::openapi());
        for (method, path) in &routes {
            assert!(is_settled(method, path), "{method} {path} has no row in the table of access");
        }
        // The style of the page of the interface is no part of it.
        for (method, path, _) in TABLE.iter().filter(|(_, path, _)| *path != STYLE_PATH) {
            assert!(routes.contains(&(method.clone(), (*path).to_owned())), "{method} {path} is no route");
        }
    }

    #[test]
    fn what_is_not_in_the_table_takes_a_session() {
        assert_eq!(of(&Method::GET, "/api/new"), Session);
        assert_eq!(of(&Method::DELETE, "/api/workspaces"), Session);
        assert_eq!(of(&Method::GET, "/api/auth/me"), Session);
        assert_eq!(of(&Method::HEAD, "/api/workspaces"), READ);
        assert_eq!(of(&Method::POST, "/v1/documents"), WRITE, "older clients leave the last slash out");
    }
}
