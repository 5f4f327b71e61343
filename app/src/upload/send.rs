//! The requests of uploads: one for each file, with its progress. `fetch` cannot tell how many bytes of a
//! request are through, so this is the one place that uses XMLHttpRequest.

use domain::{DocumentId, WorkspaceId};
use leptos::prelude::window;
use litemap::LiteMap;
use std::cell::RefCell;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FormData, ProgressEvent, XmlHttpRequest};

thread_local! {
    /// The files of rows that are not through, so that a broken upload can be tried again. They cannot leave the
    /// browser's one thread, so they live beside the signals, not in them.
    static FILES: RefCell<LiteMap<u64, File>> = const { RefCell::new(LiteMap::new()) };
}

thread_local! {
    /// Requests under way, by their idempotency key, so that one can be broken off.
    static REQUESTS: RefCell<LiteMap<String, XmlHttpRequest>> = const { RefCell::new(LiteMap::new()) };
}

/// Breaks a request off; its file then counts as not sent.
pub fn abort(idempotency_key: &str) {
    let request = REQUESTS.with_borrow_mut(|all| all.remove(idempotency_key));
    if let Some(request) = request {
        let _ = request.abort();
    }
}

/// The first bytes of a file that is kept; `None` when the browser cannot read it.
pub async fn head(key: u64, bytes: usize) -> Option<Vec<u8>> {
    let file = FILES.with_borrow(|files| files.get(&key).cloned())?;
    let head = file.slice_with_f64_and_f64(0.0, bytes as f64).ok()?;
    let buffer = JsFuture::from(head.array_buffer()).await.ok()?;
    Some(js_sys::Uint8Array::new(&buffer).to_vec())
}

pub fn keep(key: u64, file: File) {
    FILES.with_borrow_mut(|files| files.insert(key, file));
}

pub fn forget(key: u64) {
    FILES.with_borrow_mut(|files| files.remove(&key));
}

/// A new key for the server to know a repeated request by.
pub fn idempotency_key() -> String {
    let digits = || (js_sys::Math::random() * f64::from(u32::MAX)) as u32;
    format!("{:08x}{:08x}{:08x}{:08x}", digits(), digits(), digits(), digits())
}

/// Sends the file of a row ahead; answers status and body, status 0 when the connection broke. `progress` hears of sent
/// and all bytes.
pub async fn send(
    workspace: WorkspaceId,
    idempotency_key: &str,
    key: u64,
    progress: impl Fn(f64, f64) + 'static,
) -> (u16, String) {
    let Some(file) = FILES.with_borrow(|files| files.get(&key).cloned()) else { return Default::default() };
    let url = format!("/api/workspaces/{workspace}/files");
    let fill = |form: &FormData| form.append_with_blob_and_filename("file", &file, &file.name());
    request("POST", &url, idempotency_key, Some(&fill), Box::new(progress)).await.unwrap_or_default()
}

/// Has one job made of files that were sent ahead. Asked twice it makes them documents once.
pub async fn join(workspace: WorkspaceId, files: &[DocumentId]) -> (u16, String) {
    let url = format!("/api/workspaces/{workspace}/documents");
    let fill =
        |form: &FormData| files.iter().try_for_each(|id| form.append_with_str("sent", &id.to_string()));
    request("POST", &url, "", Some(&fill), Box::new(|_, _| ())).await.unwrap_or_default()
}

/// Takes a file back that was sent ahead. When that fails, the server forgets it by itself after a while.
pub async fn take_back(file: DocumentId) {
    let _ = request("DELETE", &format!("/api/files/{file}"), "", None, Box::new(|_, _| ())).await;
}

type Fill<'a> = &'a dyn Fn(&FormData) -> Result<(), JsValue>;

async fn request(
    method: &str,
    url: &str,
    idempotency_key: &str,
    fill: Option<Fill<'_>>,
    progress: Box<dyn Fn(f64, f64)>,
) -> Result<(u16, String), JsValue> {
    let form = match fill {
        Some(fill) => {
            let form = FormData::new()?;
            fill(&form)?;
            Some(form)
        }
        None => None,
    };
    let xhr = XmlHttpRequest::new()?;
    xhr.open(method, url)?;
    xhr.set_request_header("Accept", "application/json")?;
    if !idempotency_key.is_empty() {
        xhr.set_request_header("Idempotency-Key", idempotency_key)?;
    }
    let on_progress = Closure::<dyn Fn(ProgressEvent)>::new(move |e: ProgressEvent| {
        if e.length_computable() {
            progress(e.loaded(), e.total());
        }
    });
    xhr.upload()?.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    // Load, error and abort all end here.
    let end = js_sys::Promise::new(&mut |done, _| xhr.set_onloadend(Some(&done)));
    xhr.send_with_opt_form_data(form.as_ref())?;
    if !idempotency_key.is_empty() {
        REQUESTS.with_borrow_mut(|all| all.insert(idempotency_key.to_owned(), xhr.clone()));
    }
    JsFuture::from(end).await?;
    REQUESTS.with_borrow_mut(|all| all.remove(idempotency_key));
    Ok((xhr.status()?, xhr.response_text()?.unwrap_or_default()))
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
