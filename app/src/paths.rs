//! Addresses inside the site: where a sign-in may lead, and how a text goes into a query.

use domain::{ChunkId, DocumentId, JobId, TurnId, WorkspaceId};

pub const ERRORS: &str = "/errors";
pub const SETTINGS_PROFILE: &str = "/settings/profile";
pub const SETTINGS_PASSWORD: &str = "/settings/password";
pub const SETTINGS_PREFERENCES: &str = "/settings/preferences";
pub const SETTINGS_NOTIFICATIONS: &str = "/settings/notifications";
pub const SETTINGS_RAG: &str = "/settings/rag";
pub const SETTINGS_SESSIONS: &str = "/settings/sessions";
pub const SETTINGS_API_KEYS: &str = "/settings/api-keys";
pub const SETTINGS_ACCOUNT: &str = "/settings/account";

/// Longest address that is carried through a sign-in.
const LONGEST: usize = 512;

/// `next`, when it leads to a page of this site and nowhere else: a path from the root, never `//host` or `/\host`,
/// which browsers read as another host.
pub fn local_path(next: &str) -> Option<&str> {
    let mut chars = next.chars();
    let here = chars.next() == Some('/') && !matches!(chars.next(), Some('/' | '\\'));
    (here && next.len() <= LONGEST && next.chars().all(|c| c.is_ascii_graphic())).then_some(next)
}

/// Escapes everything that has a meaning in a query, as `encodeURIComponent` does.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            other => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(HEX[usize::from(other >> 4)] as char);
                out.push(HEX[usize::from(other & 15)] as char);
            }
        }
    }
    out
}

/// Undoes [`encode`]; `None` for a broken escape or bytes that are no UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| (b? as char).to_digit(16);
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// The page of a workspace.
pub fn workspace(id: WorkspaceId) -> String {
    format!("/w/{id}")
}

/// The page of a workspace's jobs.
pub fn jobs(id: WorkspaceId) -> String {
    format!("/w/{id}/jobs")
}

/// The page of a job.
pub fn job(workspace: WorkspaceId, id: JobId) -> String {
    format!("/w/{workspace}/jobs/{id}")
}

/// The page of a document.
pub fn document(id: DocumentId) -> String {
    format!("/d/{id}")
}

/// The page on which the retrieval of a workspace is tried.
pub fn retrieval(id: WorkspaceId) -> String {
    format!("/w/{id}/retrieval")
}

/// The chat of a workspace, with a conversation or, when that is empty, with a new one.
pub fn chat(id: WorkspaceId, conversation: &str) -> String {
    match conversation {
        "" => format!("/w/{id}/chat"),
        of => format!("/w/{id}/chat?c={}", encode(of)),
    }
}

/// The page of a passage.
pub fn passage(document: DocumentId, id: ChunkId) -> String {
    format!("/d/{document}/chunks/{id}")
}

/// The same for one that the answer of that turn names, also when the document was indexed anew since.
pub fn cited(document: DocumentId, id: ChunkId, turn: TurnId) -> String {
    format!("{}?turn={turn}", passage(document, id))
}

/// The page of a RAG config: of a workspace, or the person's default.
pub fn rag(workspace: Option<WorkspaceId>) -> String {
    workspace.map_or_else(|| SETTINGS_RAG.to_owned(), |id| format!("/w/{id}/rag"))
}

/// The page of a RAG config, with fields filled in by `what`: `preset`, by its name, or `reset`, by a field's.
pub fn rag_filled(workspace: Option<WorkspaceId>, what: &str, name: &str) -> String {
    format!("{}?{what}={name}", rag(workspace))
}

/// The page of a workspace's RAG config with what a re-index would take, and the button for it.
pub fn estimate(id: WorkspaceId) -> String {
    format!("/w/{id}/rag?reindex")
}

/// Where a form without a script sends files for a workspace.
pub fn add_files(id: WorkspaceId) -> String {
    format!("/w/{id}/files")
}

/// The sign-in page, which leads back to `next` afterwards.
pub fn sign_in(next: &str) -> String {
    with_next("/signin", next)
}

/// Why somebody comes to the sign-in page without having asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The session ended: elsewhere, by a new password, or by itself.
    Ended,
    /// The account is being deleted.
    Deleted,
}

impl Why {
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Ended => "ended",
            Why::Deleted => "deleted",
        }
    }

    pub const fn sentence(self) -> &'static str {
        match self {
            Why::Ended => "Your session has ended. Sign in to go on where you were.",
            Why::Deleted => "Your account is being deleted. Goodbye.",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Why::Ended, Why::Deleted].into_iter().find(|why| why.as_str() == text)
    }
}

/// The sign-in page with the reason; it leads to `next` afterwards.
pub fn sign_in_since(why: Why, next: &str) -> String {
    let page = sign_in(next);
    let sign = if page.contains('?') { '&' } else { '?' };
    format!("{page}{sign}why={}", why.as_str())
}

/// `page`, which leads to `next` afterwards when that is a page of this site other than the first.
pub fn with_next(page: &str, next: &str) -> String {
    match local_path(next) {
        Some(next) if next != "/" => format!("{page}?next={}", encode(next)),
        _ => page.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_pages_of_this_site_only() {
        for good in ["/", "/w/0192", "/w/1?q=a%20b#x"] {
            assert_eq!(local_path(good), Some(good));
        }
        for bad in
            ["", "w/1", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/ä", "/a b"]
        {
            assert_eq!(local_path(bad), None, "{bad}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(LONGEST))), None);
    }

    #[test]
    fn what_is_encoded_reads_back() {
        for text in ["", "a b&c=d", "ä%20", "{\"a\":\"ß\"}"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(encode("/w/1?q=x"), "%2Fw%2F1%3Fq%3Dx");
        assert_eq!(decode("%4"), None);
        assert_eq!(decode("%zz"), None);
        assert_eq!(decode("%ff"), None);
    }

    #[test]
    fn the_way_back_is_kept_unless_it_is_the_first_page() {
        assert_eq!(sign_in("/w/1"), "/signin?next=%2Fw%2F1");
        assert_eq!(sign_in("/"), "/signin");
        assert_eq!(sign_in("//evil.example"), "/signin");
        assert_eq!(sign_in_since(Why::Ended, "/w/1"), "/signin?next=%2Fw%2F1&why=ended");
        assert_eq!(sign_in_since(Why::Deleted, ""), "/signin?why=deleted");
        assert_eq!((Why::parse("ended"), Why::parse("<b>")), (Some(Why::Ended), None));
    }
}
