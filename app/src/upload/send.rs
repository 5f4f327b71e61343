//! The requests of uploads: a file goes in parts (the tus protocol), so that one that broke off goes on where it was.
//! `fetch` cannot tell how many bytes of a request are through, so this is the one place that uses XMLHttpRequest.

use super::plan::{PART, Reply};
use domain::{DocumentId, OnDuplicate, WorkspaceId};
use js_sys::{ArrayBuffer, Promise, Uint8Array};
use leptos::prelude::window;
use litemap::LiteMap;
use std::cell::RefCell;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, FormData, ProgressEvent, XmlHttpRequest};

thread_local! {
    /// The files of rows that are not through, so that a broken upload can be tried again. They cannot leave the
    /// browser's one thread, so they live beside the signals, not in them.
    static FILES: RefCell<LiteMap<u64, File>> = const { RefCell::new(LiteMap::new()) };
}

thread_local! {
    /// Requests under way, by the name of their sending, so that one can be broken off.
    static REQUESTS: RefCell<LiteMap<String, XmlHttpRequest>> = const { RefCell::new(LiteMap::new()) };
}

/// Breaks a request off; its part then counts as not sent.
pub fn abort(sending: &str) {
    let request = REQUESTS.with_borrow_mut(|all| all.remove(sending));
    if let Some(request) = request {
        let _ = request.abort();
    }
}

/// The first bytes of a file that is kept; `None` when the browser cannot read it.
pub async fn head(key: u64, bytes: usize) -> Option<Vec<u8>> {
    let head = bytes_of(key)?.slice_with_f64_and_f64(0.0, bytes as f64).ok()?;
    let buffer = JsFuture::from(head.array_buffer()).await.ok()?;
    Some(Uint8Array::new(&buffer).to_vec())
}

pub fn keep(key: u64, file: File) {
    FILES.with_borrow_mut(|files| files.insert(key, file));
}

pub fn forget(key: u64) {
    FILES.with_borrow_mut(|files| files.remove(&key));
}

fn bytes_of(key: u64) -> Option<File> {
    FILES.with_borrow(|files| files.get(&key).cloned())
}

/// A new key for the server to know a repeated request by.
pub fn idempotency_key() -> String {
    let digits = || (js_sys::Math::random() * f64::from(u32::MAX)) as u32;
    format!("{:08x}{:08x}{:08x}{:08x}", digits(), digits(), digits(), digits())
}

/// The part of a file that begins at `offset`, with what goes beside it.
struct Part {
    bytes: Blob,
    /// SHA-256; `None` where the browser has no such thing, which is on pages that are not secure.
    digest: Option<String>,
}

async fn part(key: u64, offset: u64) -> Option<Part> {
    let bytes = bytes_of(key)?.slice_with_f64_and_f64(offset as f64, (offset + PART) as f64).ok()?;
    // The browser cannot read it: it was changed or removed meanwhile.
    let read: ArrayBuffer = JsFuture::from(bytes.array_buffer()).await.ok()?.unchecked_into();
    Some(Part { bytes, digest: digest(&read).await })
}

async fn digest(bytes: &ArrayBuffer) -> Option<String> {
    base64(&sha256(bytes).await?)
}

async fn sha256(bytes: &ArrayBuffer) -> Option<Vec<u8>> {
    let hash = window().crypto().ok()?.subtle().digest_with_str_and_buffer_source("SHA-256", bytes).ok()?;
    Some(Uint8Array::new(&JsFuture::from(hash).await.ok()?).to_vec())
}

fn base64(bytes: &[u8]) -> Option<String> {
    // The browser wants each byte as a character.
    let characters: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    window().btoa(&characters).ok()
}

/// Announces the file of a row; answers its id as well. Asked twice under the same name it is one file, so that it is
/// known before its first byte, and can be taken back whenever that is.
pub async fn begin(workspace: WorkspaceId, sending: &str, key: u64) -> (Reply, Option<DocumentId>) {
    let Some(file) = bytes_of(key) else { return (unreadable(), None) };
    let text = |text: &str| base64(text.as_bytes()).unwrap_or_default();
    let metadata =
        format!("filename {},workspace_id {},wait", text(&file.name()), text(&workspace.to_string()));
    let length = file.size().to_string();
    let headers =
        [("Upload-Length", &*length), ("Upload-Metadata", &*metadata), ("Idempotency-Key", sending)];
    let asked = Asked { method: "POST", url: "/api/uploads", headers: &headers, sending };
    let Ok(answer) = request(asked, Body::None, Box::new(|_| ())).await else { return Default::default() };
    let id = answer.place.as_deref().and_then(|place| place.rsplit('/').next()?.parse().ok());
    (answer.reply, id)
}

/// Sends the part that begins at `offset`. `progress` hears of the bytes of the file that are through.
pub async fn extend(
    id: DocumentId,
    offset: u64,
    sending: &str,
    key: u64,
    progress: impl Fn(f64) + 'static,
) -> Reply {
    let Some(part) = part(key, offset).await else { return unreadable() };
    let (url, at) = (format!("/api/uploads/{id}"), offset.to_string());
    let asked = Asked { method: "PATCH", url: &url, headers: &[("Upload-Offset", &*at)], sending };
    let progress = Box::new(move |sent| progress(offset as f64 + sent));
    request(asked, Body::Part(part), progress).await.map(|answer| answer.reply).unwrap_or_default()
}

/// Asks how far an upload is.
pub async fn standing(id: DocumentId) -> Reply {
    let url = format!("/api/uploads/{id}");
    let asked = Asked { method: "GET", url: &url, headers: &[], sending: "" };
    request(asked, Body::None, Box::new(|_| ())).await.map(|answer| answer.reply).unwrap_or_default()
}

/// What is told when the browser cannot read the file any more.
fn unreadable() -> Reply {
    Reply { unreadable: true, ..Reply::default() }
}

/// Has one job made of files that were sent ahead. Asked twice it makes them documents once.
pub async fn join(workspace: WorkspaceId, files: &[DocumentId], way: OnDuplicate) -> (u16, String) {
    let fill = || {
        let form = FormData::new()?;
        files.iter().try_for_each(|id| form.append_with_str("sent", &id.to_string()))?;
        form.append_with_str("on_duplicate", way.as_str())?;
        Ok::<_, JsValue>(form)
    };
    let Ok(form) = fill() else { return Default::default() };
    let url = format!("/api/workspaces/{workspace}/documents");
    let asked = Asked { method: "POST", url: &url, headers: &[], sending: "" };
    let answer = request(asked, Body::Form(form), Box::new(|_| ())).await;
    answer.map(|answer| (answer.reply.status, answer.reply.body)).unwrap_or_default()
}

/// The SHA-256 of a whole file, hexadecimal; `None` where the browser has no such thing, or cannot read the file.
pub async fn hash(key: u64) -> Option<String> {
    let read: ArrayBuffer = JsFuture::from(bytes_of(key)?.array_buffer()).await.ok()?.unchecked_into();
    let digits = sha256(&read).await?.into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// Asks what the workspace has of files: their names, sizes and, where they are known, hashes.
pub async fn held(workspace: WorkspaceId, files: &[(String, u64, Option<String>)]) -> (u16, String) {
    let text = |text: &str| js_sys::JSON::stringify(&text.into()).map(String::from).unwrap_or_default();
    let file = |(name, size, hash): &(String, u64, Option<String>)| {
        let hash = hash.as_ref().map(|hash| format!(",\"sha256\":\"{hash}\"")).unwrap_or_default();
        format!("{{\"filename\":{},\"size_bytes\":{size}{hash}}}", text(name))
    };
    let files: Vec<String> = files.iter().map(file).collect();
    let body = format!("{{\"files\":[{}]}}", files.join(","));
    let url = format!("/api/workspaces/{workspace}/files/check");
    let headers = [("Content-Type", "application/json")];
    let asked = Asked { method: "POST", url: &url, headers: &headers, sending: "" };
    let answer = request(asked, Body::Text(body), Box::new(|_| ())).await;
    answer.map(|answer| (answer.reply.status, answer.reply.body)).unwrap_or_default()
}

/// Takes a file back that was sent ahead, as far as it came. When that fails, the server forgets it by itself after a
/// while.
pub async fn take_back(file: DocumentId, is_whole: bool) {
    let urls = [format!("/api/uploads/{file}"), format!("/api/files/{file}")];
    for url in urls.iter().skip(usize::from(is_whole)) {
        let asked = Asked { method: "DELETE", url, headers: &[], sending: "" };
        match request(asked, Body::None, Box::new(|_| ())).await {
            // It became whole meanwhile, and is an upload no longer.
            Ok(answer) if answer.reply.status == 404 => {}
            _ => return,
        }
    }
}

struct Asked<'a> {
    method: &'a str,
    url: &'a str,
    headers: &'a [(&'a str, &'a str)],
    /// By which it can be broken off.
    sending: &'a str,
}

enum Body {
    None,
    Text(String),
    Form(FormData),
    Part(Part),
}

struct Answered {
    reply: Reply,
    /// The address of what was made.
    place: Option<String>,
}

/// `progress` hears of the bytes that are through.
async fn request(asked: Asked<'_>, body: Body, progress: Box<dyn Fn(f64)>) -> Result<Answered, JsValue> {
    let xhr = XmlHttpRequest::new()?;
    xhr.open(asked.method, asked.url)?;
    xhr.set_request_header("Accept", "application/json")?;
    for (name, value) in asked.headers {
        xhr.set_request_header(name, value)?;
    }
    let on_progress = Closure::<dyn Fn(ProgressEvent)>::new(move |e: ProgressEvent| progress(e.loaded()));
    xhr.upload()?.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    // Load, error and abort all end here.
    let end = Promise::new(&mut |done, _| xhr.set_onloadend(Some(&done)));
    match body {
        Body::None => xhr.send()?,
        Body::Text(text) => xhr.send_with_opt_str(Some(&text))?,
        Body::Form(form) => xhr.send_with_opt_form_data(Some(&form))?,
        Body::Part(part) => {
            xhr.set_request_header("Content-Type", "application/offset+octet-stream")?;
            if let Some(digest) = &part.digest {
                xhr.set_request_header("Upload-Checksum", &format!("sha256 {digest}"))?;
            }
            xhr.send_with_opt_blob(Some(&part.bytes))?;
        }
    }
    if !asked.sending.is_empty() {
        REQUESTS.with_borrow_mut(|all| all.insert(asked.sending.to_owned(), xhr.clone()));
    }
    JsFuture::from(end).await?;
    REQUESTS.with_borrow_mut(|all| all.remove(asked.sending));
    let header = |name| xhr.get_response_header(name).ok().flatten();
    let reply = Reply {
        status: xhr.status()?,
        body: xhr.response_text()?.unwrap_or_default(),
        offset: header("Upload-Offset").and_then(|offset| offset.parse().ok()),
        unreadable: false,
    };
    Ok(Answered { reply, place: header("Location") })
}

/// Asks before the page is left while files are on their way.
pub fn guard(busy: impl Fn() -> bool + 'static) {
    let ask = Closure::<dyn Fn(web_sys::Event)>::new(move |e: web_sys::Event| {
        if busy() {
            e.prevent_default();
        }
    });
    let _ = window().add_event_listener_with_callback("beforeunload", ask.as_ref().unchecked_ref());
    // It lives as long as the page does.
    ask.forget();
}
