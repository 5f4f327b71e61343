//! Histories over REST: pages of entries, and the whole as a file.

use super::{
    AppState,
    extract::{Params, PathId},
    problem::ApiResult,
    session::Allowed,
};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{DocumentId, HistoryEntry, JobId, Problem, WorkspaceId, resource::Page};
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, header};
use services::{
    Error, Pages,
    ports::{HistoryOf, HistoryQuery},
};
use std::fmt;

/// A history as a file.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Csv,
    Json,
}

impl std::str::FromStr for Format {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        match s {
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "csv",
            Self::Json => "json",
        })
    }
}

/// From which end a page is read.
#[derive(Clone, Copy)]
enum Order {
    Oldest,
    Newest,
}

impl std::str::FromStr for Order {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        match s {
            "oldest" => Ok(Self::Oldest),
            "newest" => Ok(Self::Newest),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oldest => "oldest",
            Self::Newest => "newest",
        })
    }
}

/// The three routes differ in their address alone.
macro_rules! route {
    ($(#[$doc:meta])* $name:ident, $path:literal, $tag:literal, $id:ty, $of:path) => {
        $(#[$doc])*
        #[utoipa::path(get, path = $path, tag = $tag,
            params(
                ("id" = String, Path),
                ("limit" = Option<u32>, Query, description = "1–200"),
                ("after" = Option<String>, Query, description = "`next` of the page before"),
                ("order" = Option<String>, Query, description = "`oldest` first (as without it) or `newest` first"),
                ("transitions" = Option<bool>, Query, description = "`true`: only where a status turned into another one"),
                ("format" = Option<String>, Query, description = "`csv` or `json`: the whole as a file, oldest first; `Accept: text/csv` does the same"),
            ),
            responses(
                (status = 200, description = "A page; with `format`, a file of all entries", content(
                    (Page<HistoryEntry> = "application/json"), (String = "text/csv"))),
                (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
        pub async fn $name(
            State(app): State<AppState>,
            Allowed(who): Allowed,
            PathId(id): PathId<$id>,
            headers: HeaderMap,
            params: Params,
        ) -> ApiResult<Response> {
            answer(&app, &who, $of(id), &headers, params).await
        }
    };
}

route!(
    /// What happened to a document: when, by whom, and from which status.
    document, "/api/documents/{id}/history", "documents", DocumentId, HistoryOf::Document
);
route!(
    /// What happened to a job and its documents: when, by whom, and from which status.
    job, "/api/jobs/{id}/history", "jobs", JobId, HistoryOf::Job
);
route!(
    /// What happened to a workspace, its documents and its jobs: when, by whom, and from which status.
    workspace, "/api/workspaces/{id}/history", "workspaces", WorkspaceId, HistoryOf::Workspace
);

async fn answer(
    app: &AppState,
    who: &services::Caller,
    of: HistoryOf,
    headers: &HeaderMap,
    mut params: Params,
) -> ApiResult<Response> {
    let page = params.page();
    let newest_first = matches!(params.one_of("order", &[Order::Oldest, Order::Newest]), Some(Order::Newest));
    let transitions = params.one_of("transitions", &[true, false]).unwrap_or_default();
    let format = params.one_of("format", &[Format::Csv, Format::Json]);
    params.check()?;
    let (services, user) = (app.services(), who.user.id);
    let wants_csv =
        headers.get_all(header::ACCEPT).iter().any(|v| prefers_csv(v.to_str().unwrap_or_default()));
    if let Some(format) = format.or(wants_csv.then_some(Format::Csv)) {
        return Ok(file(services.whole_history(user, of, transitions).await?, format, of));
    }
    let query = HistoryQuery { limit: page.limit, after: page.after, newest_first, transitions };
    let page = services.history(user, of, query).await?;
    let mut response = super::extract::Json(page).into_response();
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Whether a table is what is asked for: it is named, and JSON is not named before it.
fn prefers_csv(accept: &str) -> bool {
    let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.find(|kind| matches!(*kind, "text/csv" | "application/json" | "*/*")) == Some("text/csv")
}

/// All entries as they are read, page by page. A failure on the way breaks the answer off, so that nobody takes a part
/// for the whole.
fn file(pages: Pages, format: Format, of: HistoryOf) -> Response {
    let (what, id) = match of {
        HistoryOf::Document(id) => ("document", id.to_string()),
        HistoryOf::Job(id) => ("job", id.to_string()),
        HistoryOf::Workspace(id) => ("workspace", id.to_string()),
    };
    let (kind, begin, end) = match format {
        Format::Csv => ("text/csv; charset=utf-8; header=present", csv_line(&COLUMNS), String::new()),
        Format::Json => ("application/json", "[".to_owned(), "\n]\n".to_owned()),
    };
    let mut empty = true;
    let middle = pages.map(move |page| {
        let lines: Vec<String> = page?
            .iter()
            .map(|entry| match format {
                Format::Csv => csv_line(&cells(entry)),
                Format::Json => {
                    let comma = if std::mem::take(&mut empty) { "\n" } else { ",\n" };
                    // Plain data with text keys: encoding it cannot fail.
                    comma.to_owned() + &serde_json::to_string(entry).unwrap_or_default()
                }
            })
            .collect();
        Ok::<_, Error>(Bytes::from(lines.concat()))
    });
    let edge = |text: String| futures::stream::once(async { Ok(Bytes::from(text)) });
    let mut response = Response::new(Body::from_stream(edge(begin).chain(middle).chain(edge(end))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // Ids are hexadecimal.
    let name = format!("attachment; filename=\"history-of-{what}-{id}.{format}\"");
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_DISPOSITION, name);
    response
}

const COLUMNS: [&str; 9] = ["seq", "at", "event", "what", "from", "to", "by", "message", "data"];

fn cells(entry: &HistoryEntry) -> [String; 9] {
    let text = |name: &str| entry.data[name].as_str().unwrap_or_default().to_owned();
    let what = ["filename", "name", "job_id", "id"].map(text).into_iter().find(|t| !t.is_empty());
    let message = ["error", "message"].map(text).into_iter().find(|t| !t.is_empty());
    [
        entry.seq.to_string(),
        entry.at.to_string(),
        entry.event.clone(),
        what.unwrap_or_default(),
        entry.from.clone().unwrap_or_default(),
        entry.to.clone().unwrap_or_default(),
        entry.actor.as_ref().map(|actor| actor.words()).unwrap_or_default(),
        message.unwrap_or_default(),
        entry.data.to_string(),
    ]
}

/// A line of a table, as RFC 4180 has it. A cell that a spreadsheet would take for a formula begins with an apostrophe.
fn csv_line<T: AsRef<str>>(cells: &[T]) -> String {
    let cell = |cell: &T| {
        let text = cell.as_ref();
        let formula =
            text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r', '\n']);
        let text = if formula { format!("'{text}") } else { text.to_owned() };
        if text.contains(['"', ',', '\n', '\r', '\'']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    let mut line = cells.iter().map(cell).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula_and_reads_back_as_it_was() {
        assert_eq!(csv_line(&["1", "a b", ""]), "1,a b,\r\n");
        assert_eq!(
            csv_line(&["a,b", "say \"x\"", "two\nlines"]),
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\r\n"
        );
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\u{a0}=1"] {
            let line = csv_line(&[formula]);
            assert!(line.starts_with("\"'"), "{line:?}");
        }
    }

    #[test]
    fn a_table_is_answered_to_whoever_asks_for_it_first() {
        for accept in ["text/csv", "text/csv, application/json", "text/csv;q=0.9, */*"] {
            assert!(prefers_csv(accept), "{accept}");
        }
        for accept in ["", "*/*", "application/json", "application/json, text/csv", "text/html"] {
            assert!(!prefers_csv(accept), "{accept}");
        }
    }
}
