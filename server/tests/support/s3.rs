//! An object store for tests: as much of S3 as the server asks for, in memory, on a free loopback port. It looks at the
//! signature of every request, keeps to the rules of multipart uploads, and can be told to fail.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use domain::Timestamp;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::{digest, hmac};
use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, task::JoinHandle};

pub const BUCKET: &str = "files";
pub const REGION: &str = "garage";
pub const KEY_ID: &str = "AKIATEST";
pub const SECRET: &str = "a secret for tests";

/// Keys in one answer to a list.
const PAGE: usize = 20;
/// What S3 wants of each part but the last.
const LEAST_PART: usize = 5 << 20;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status and code, and nothing is done.
    Refused(u16, &'static str),
    /// It is never answered.
    Silence,
    /// It is done, and the body of the answer ends after so many bytes.
    BreaksOff(usize),
}

struct Rule {
    /// How a request begins that it is about: `PUT /files/users`.
    what: String,
    fault: Fault,
    times: usize,
}

struct Object {
    bytes: Bytes,
    /// In microseconds.
    written: i64,
}

struct Transfer {
    key: String,
    parts: BTreeMap<u32, Bytes>,
}

#[derive(Default)]
struct World {
    objects: BTreeMap<String, Object>,
    transfers: BTreeMap<String, Transfer>,
    begun: u64,
    rules: Vec<Rule>,
    asked: Vec<String>,
    unsigned: Vec<String>,
    has_no_bucket: bool,
}

pub struct S3 {
    pub url: String,
    world: Arc<Mutex<World>>,
    server: JoinHandle<()>,
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl S3 {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let world = Arc::<Mutex<World>>::default();
        let router = Router::new().fallback(answer).with_state(world.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, world, server }
    }

    /// What a server is told of it.
    pub fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("INSIGHTHUB_BLOB_URL", format!("s3://{BUCKET}/hub")),
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ]
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// The keys of all objects whose keys have this in them.
    pub fn keys(&self, part: &str) -> Vec<String> {
        self.world().objects.keys().filter(|key| key.contains(part)).cloned().collect()
    }

    pub fn object(&self, key: &str) -> Option<Bytes> {
        self.world().objects.get(key).map(|object| object.bytes.clone())
    }

    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.world().objects.insert(key.to_owned(), Object { bytes: bytes.into(), written: now() });
    }

    pub fn remove(&self, key: &str) {
        self.world().objects.remove(key);
    }

    /// A multipart upload that somebody began and does not end; answers its id.
    pub fn begin(&self, key: &str) -> String {
        let mut world = self.world();
        world.begin(key);
        format!("transfer-{}", world.begun)
    }

    /// Multipart uploads that nobody ended, and how many parts they have.
    pub fn unfinished(&self) -> (usize, usize) {
        let world = self.world();
        (world.transfers.len(), world.transfers.values().map(|transfer| transfer.parts.len()).sum())
    }

    /// All that is there is older by so many seconds.
    pub fn age(&self, seconds: i64) {
        self.world().objects.values_mut().for_each(|object| object.written -= seconds * 1_000_000);
    }

    /// The next so many requests that begin like this fail.
    pub fn fail(&self, what: &str, fault: Fault, times: usize) {
        self.world().rules.push(Rule { what: what.to_owned(), fault, times });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.world().rules.clear();
    }

    pub fn take_bucket_away(&self, is_away: bool) {
        self.world().has_no_bucket = is_away;
    }

    /// All requests since the last time, as `METHOD /path?query`.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.world().asked)
    }

    /// Requests whose signature was not right.
    pub fn unsigned(&self) -> Vec<String> {
        self.world().unsigned.clone()
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "a store has a clock of its own")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("a moment")
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return refused(400, "IncompleteBody") };
    let asked = format!("{} {}", parts.method, parts.uri);
    let fault = lock(&world).fault_of(&asked);
    match fault {
        Some(Fault::Silence) => std::future::pending::<()>().await,
        Some(Fault::Refused(status, code)) => return refused(status, code),
        Some(Fault::BreaksOff(_)) | None => {}
    }
    if let Err(why) = check_signature(&parts, &body) {
        lock(&world).unsigned.push(format!("{asked}: {why}"));
        return refused(403, "SignatureDoesNotMatch");
    }
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
    let key = path.strip_prefix(&format!("/{BUCKET}")).map(|key| key.trim_start_matches('/'));
    let query = pairs(parts.uri.query().unwrap_or_default());
    let response = match key {
        Some(key) if !lock(&world).has_no_bucket => {
            lock(&world).answer(parts.method.as_str(), key, &query, &parts.headers, body)
        }
        _ => refused(404, "NoSuchBucket"),
    };
    match fault {
        Some(Fault::BreaksOff(bytes)) => broken_off(response, bytes),
        _ => response,
    }
}

impl World {
    fn fault_of(&mut self, asked: &str) -> Option<Fault> {
        self.asked.push(asked.to_owned());
        let rule = self.rules.iter_mut().find(|rule| rule.times > 0 && asked.starts_with(&rule.what))?;
        rule.times -= 1;
        Some(rule.fault)
    }

    fn answer(
        &mut self,
        method: &str,
        key: &str,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        let asks = |name: &str| query.get(name).map(String::as_str);
        match (method, key.is_empty(), asks("uploadId")) {
            ("GET", true, None) => self.list(query),
            ("POST", true, None) if query.contains_key("delete") => self.delete_all(&body),
            ("GET" | "HEAD", false, None) => self.read(key, headers),
            ("PUT", false, None) => self.write(key, body),
            ("DELETE", false, None) => {
                self.objects.remove(key);
                empty(204)
            }
            ("POST", false, None) if query.contains_key("uploads") => self.begin(key),
            ("PUT", false, Some(id)) => match self.transfers.get_mut(id) {
                Some(transfer) if transfer.key == key => {
                    let tag = tag(&body);
                    let number = asks("partNumber").and_then(|n| n.parse().ok()).expect("a number");
                    transfer.parts.insert(number, body);
                    tagged(empty(200), &tag)
                }
                _ => refused(404, "NoSuchUpload"),
            },
            ("POST", false, Some(id)) => self.complete(key, id, &body),
            ("DELETE", false, Some(id)) => match self.transfers.remove(id) {
                Some(_) => empty(204),
                None => refused(404, "NoSuchUpload"),
            },
            _ => refused(501, "NotImplemented"),
        }
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Response {
        let text = |name: &str| query.get(name).cloned().unwrap_or_default();
        assert_eq!(text("list-type"), "2");
        let (prefix, token) = (text("prefix"), text("continuation-token"));
        let after = if token.is_empty() { text("start-after") } else { token };
        let behind = self.objects.range((Bound::Excluded(after), Bound::Unbounded));
        let mut found = behind.filter(|(key, _)| key.starts_with(&prefix));
        let mut out = String::from("<ListBucketResult>");
        let mut last = String::new();
        for (key, object) in found.by_ref().take(PAGE) {
            let (size, written) = (object.bytes.len(), Timestamp::from_micros(object.written));
            out += &format!(
                "<Contents><Key>{key}</Key><LastModified>{written}</LastModified><ETag>{}</ETag><Size>{size}</Size></Contents>",
                tag(&object.bytes)
            );
            last.clone_from(key);
        }
        let is_cut = found.next().is_some();
        if is_cut {
            out += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
        }
        xml(format!("{out}<IsTruncated>{is_cut}</IsTruncated></ListBucketResult>"))
    }

    fn delete_all(&mut self, body: &[u8]) -> Response {
        let body = String::from_utf8_lossy(body);
        let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        let mut out = String::from("<DeleteResult>");
        for (key, _) in keys {
            self.objects.remove(key);
            out += &format!("<Deleted><Key>{key}</Key></Deleted>");
        }
        xml(out + "</DeleteResult>")
    }

    fn read(&self, key: &str, headers: &HeaderMap) -> Response {
        let Some(object) = self.objects.get(key) else { return refused(404, "NoSuchKey") };
        let size = object.bytes.len();
        let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        let ends = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let mut response = match ends {
            None => Response::new(Body::from(object.bytes.clone())),
            Some((from, to)) => {
                let from: usize = from.parse().expect("a number");
                let to = to.parse().map_or(size, |to: usize| size.min(to + 1));
                if from >= to {
                    return refused(416, "InvalidRange");
                }
                let mut part = Response::new(Body::from(object.bytes.slice(from..to)));
                *part.status_mut() = StatusCode::PARTIAL_CONTENT;
                let stretch = format!("bytes {from}-{}/{size}", to - 1);
                part.headers_mut().insert(header::CONTENT_RANGE, stretch.parse().expect("a header"));
                part.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
                part
            }
        };
        let micros = u64::try_from(object.written).expect("after 1970");
        let written = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_micros(micros));
        let headers = response.headers_mut();
        headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(size));
        headers.insert(header::LAST_MODIFIED, written.parse().expect("a header"));
        tagged(response, &tag(&object.bytes))
    }

    fn write(&mut self, key: &str, bytes: Bytes) -> Response {
        let tag = tag(&bytes);
        self.objects.insert(key.to_owned(), Object { bytes, written: now() });
        tagged(empty(200), &tag)
    }

    fn begin(&mut self, key: &str) -> Response {
        self.begun += 1;
        let id = format!("transfer-{}", self.begun);
        self.transfers.insert(id.clone(), Transfer { key: key.to_owned(), parts: BTreeMap::new() });
        let named = format!("<Bucket>{BUCKET}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>");
        xml(format!("<InitiateMultipartUploadResult>{named}</InitiateMultipartUploadResult>"))
    }

    fn complete(&mut self, key: &str, id: &str, body: &[u8]) -> Response {
        let Some(transfer) = self.transfers.get(id) else { return refused(404, "NoSuchUpload") };
        let body = String::from_utf8_lossy(body);
        let numbers =
            body.split("<PartNumber>").skip(1).filter_map(|rest| rest.split_once('<')?.0.parse().ok());
        let numbers: Vec<u32> = numbers.collect();
        let parts: Option<Vec<&Bytes>> = numbers.iter().map(|n| transfer.parts.get(n)).collect();
        let Some(parts) = parts.filter(|_| transfer.key == key && numbers.is_sorted()) else {
            return refused(400, "InvalidPart");
        };
        if parts.iter().rev().skip(1).any(|part| part.len() < LEAST_PART) {
            return refused(400, "EntityTooSmall");
        }
        let mut whole = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| whole.extend_from_slice(part));
        self.transfers.remove(id);
        let tag = tag(&whole);
        self.objects.insert(key.to_owned(), Object { bytes: whole.into(), written: now() });
        let named = format!("<Bucket>{BUCKET}</Bucket><Key>{key}</Key><ETag>{tag}</ETag>");
        xml(format!("<CompleteMultipartUploadResult>{named}</CompleteMultipartUploadResult>"))
    }
}

fn empty(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn tagged(mut response: Response, tag: &str) -> Response {
    response.headers_mut().insert(header::ETAG, format!("\"{tag}\"").parse().expect("a header"));
    response
}

fn xml(text: String) -> Response {
    let mut response = Response::new(Body::from(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{text}")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn refused(status: u16, code: &str) -> Response {
    let mut response = xml(format!("<Error><Code>{code}</Code><Message>No.</Message></Error>"));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn broken_off(response: Response, bytes: usize) -> Response {
    let (parts, body) = response.into_parts();
    let first = async move {
        let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Ok::<_, io::Error>(whole.slice(..bytes.min(whole.len())))
    };
    let end = async { Err(io::Error::other("it breaks off here")) };
    Response::from_parts(parts, Body::from_stream(stream::once(first).chain(stream::once(end))))
}

/// What AWS leaves as it is when it encodes.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn pairs(query: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// The signature, version 4, is made anew and compared.
fn check_signature(parts: &Parts, body: &[u8]) -> Result<(), String> {
    let text = |name: &str| {
        let all = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        all.map(str::trim).collect::<Vec<_>>().join(",")
    };
    let authorization = text("authorization");
    let field = |name: &str| {
        let rest = authorization.split_once(&format!("{name}="))?.1;
        rest.split(',').next().map(str::trim)
    };
    let (Some(credential), Some(names), Some(signature)) =
        (field("Credential"), field("SignedHeaders"), field("Signature"))
    else {
        return Err(format!("there is no signature: {authorization:?}"));
    };
    let hash = text("x-amz-content-sha256");
    if hash != hex(digest::digest(&digest::SHA256, body).as_ref()) {
        return Err(format!("the body has another hash than {hash}"));
    }
    let encode = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let query: Vec<String> = pairs(parts.uri.query().unwrap_or_default())
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", text(name))).collect();
    let canonical =
        [parts.method.as_str(), parts.uri.path(), &query.join("&"), &headers, names, &hash].join("\n");
    let (id, scope) = credential.split_once('/').ok_or("no scope")?;
    let day = scope.split('/').next().unwrap_or_default();
    if id != KEY_ID || scope != format!("{day}/{REGION}/s3/aws4_request") {
        return Err(format!("who is {credential}?"));
    }
    let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let signed = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{canonical}", text("x-amz-date"));
    let sign = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    };
    let start = format!("AWS4{SECRET}").into_bytes();
    let key = scope.split('/').fold(start, |key, part| sign(&key, part));
    if hex(&sign(&key, &signed)) == signature { Ok(()) } else { Err("the signature is wrong".to_owned()) }
}

fn tag(bytes: &[u8]) -> String {
    hex(&digest::digest(&digest::SHA256, bytes).as_ref()[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
