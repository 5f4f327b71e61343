//! S6: requests that nobody would send, to a real server. Samples of what it reads off the network (headers and parts of
//! uploads, forms, JSON, addresses, cookies, frames of its sockets) are changed at random and sent by somebody who is signed
//! in. Each is answered within seconds, and never with an error of the server's own; what is refused says why. In the end
//! the server still answers, and nothing in it has panicked.
//!
//!     cargo bench -p server --bench requests [-- --count N --seed N --only TARGET | --smoke]
//!
//! A case can be had again by its number: `--only TARGET --seed N --count 1`.

mod fresh;

use futures::{SinkExt, StreamExt};
use http::HeaderValue;
use measure::{Asked, Failure, change::changed, dice::Dice, server::Server};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::Path,
    process::ExitCode,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// Longer than anything takes that is no upload.
const LONG: Duration = Duration::from_secs(20);

/// Where the changed bytes go.
enum Place {
    /// The whole head of a request, behind its first line.
    Head(&'static str),
    /// The body of a request with that first line and this type.
    Body(&'static str, &'static str),
    /// The address of a GET.
    Address,
    /// Frames on a socket, a line each.
    Frames,
}

struct Target {
    name: &'static str,
    place: Place,
    /// `{workspace}` (of an outside worker), `{document}` and `{own}` (a workspace of the server's) stand for what is there.
    samples: &'static [&'static str],
    words: &'static [&'static str],
}

const JSON: &str = "application/json";
const TARGETS: [Target; 9] = [
    Target {
        name: "upload-head",
        place: Place::Head("POST /api/uploads"),
        samples: &[
            "Tus-Resumable: 1.0.0\r\nUpload-Length: 40\r\nUpload-Metadata: filename YS50eHQ=,workspace_id e30=,wait\r\n",
            "Tus-Resumable: 1.0.0\r\nUpload-Length: 5\r\nContent-Length: 5\r\nContent-Type: application/offset+octet-stream\r\n\
             Upload-Metadata: filename YS50eHQ=,on_duplicate c2tpcA==\r\nUpload-Checksum: sha256 AAAA\r\n",
        ],
        words: &[
            "Upload-Length: 99999999999999999999",
            "Upload-Offset: -1",
            "\r\n",
            ",",
            " ",
            "filename ",
            "==",
            "\u{0}",
        ],
    },
    Target {
        name: "head",
        place: Place::Head("GET /api/workspaces?limit=2"),
        samples: &[
            "Accept: application/json\r\nIf-None-Match: W/\"a\", \"b\"\r\nAccept-Language: de;q=0.5\r\nRange: bytes=0-1\r\n",
            "Cookie: insighthub_session=abc; theme=dark\r\nAuthorization: Bearer ihk_0000\r\nX-Forwarded-For: 1.2.3.4, ::1\r\n",
            "Idempotency-Key: 0123\r\nOrigin: null\r\nX-Request-Id: a\r\nTransfer-Encoding: chunked\r\n",
        ],
        words: &["Bearer ", "bytes=-", "\"", "W/", ";", "\r\n", "chunked", "Content-Length: 7", "\u{7f}"],
    },
    Target {
        name: "multipart",
        place: Place::Body("POST /api/workspaces/{workspace}/documents", "multipart/form-data; boundary=XX"),
        samples: &[
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
             A lantern.\r\n--XX\r\nContent-Disposition: form-data; name=\"on_duplicate\"\r\n\r\nskip\r\n--XX--\r\n",
        ],
        words: &[
            "--XX",
            "--XX--",
            "\r\n\r\n",
            "filename*=UTF-8''",
            "name=\"sent\"",
            "\"",
            ";",
            "Content-Disposition:",
            "../",
        ],
    },
    Target {
        name: "json",
        place: Place::Body("PUT /api/workspaces/{own}/rag-config", JSON),
        samples: &[
            "{\"chunk_size\":400,\"chunk_overlap\":40,\"chunking_strategy\":\"token\",\"top_k\":5,\"rerank_model\":null}",
        ],
        words: &[
            "{",
            "}",
            "[",
            "null",
            "-1",
            "1e999",
            "4294967296",
            "\"",
            "\\u0000",
            "\"embedding_model\":",
            "\\ud800",
        ],
    },
    Target {
        name: "crawl",
        place: Place::Body("POST /api/workspaces/{own}/crawls", JSON),
        samples: &[
            "{\"url\":\"http://127.0.0.1:7999/docs/\",\"prefix\":\"http://127.0.0.1:7999/docs/\",\"max_pages\":3,\"max_depth\":1}",
        ],
        words: &[
            "http://[::1]/",
            "http://0x7f.1/",
            "file:///etc/passwd",
            "@",
            "%00",
            "//",
            "\\u0000",
            "999999999999",
        ],
    },
    Target {
        name: "report",
        place: Place::Body("POST /api/status/documents/{document}", JSON),
        samples: &[
            "{\"status\":\"processing\",\"step\":\"reading_pages\",\"progress\":40,\"message\":\"Reading\",\"metadata\":{\"a\":1}}",
        ],
        words: &[
            "{",
            "}",
            "null",
            "-1",
            "1e999",
            "101",
            "\"chunk_count\":",
            "\\u0000",
            "\"ready\"",
            "[[[[[[",
        ],
    },
    Target {
        name: "form",
        place: Place::Body("POST /_fn/workspaces/create", "application/x-www-form-urlencoded"),
        samples: &["key=0123&name=Papers&description=All+of+them%21&icon=folder"],
        words: &["&", "=", "%", "%00", "%ff", "[]", "[0]", "+", "name=", ";"],
    },
    Target {
        name: "address",
        place: Place::Address,
        samples: &[
            "/api/workspaces/{workspace}/documents?limit=5&after=AAAA&tag=a",
            "/api/workspaces/{workspace}/search?q=lantern&top_k=5&retriever_type=hybrid",
            "/api/status/changes?epoch=0123&after=5&wait=0",
            "/api/documents/{document}/history?limit=5&after=AAAA",
            "/w/{workspace}?q=lantern&edit",
            "/d/{document}",
            "/pkg/insighthub.js",
        ],
        words: &[
            "&",
            "?",
            "%00",
            "%ff",
            "..",
            "/",
            "//",
            "limit=-1",
            "after=",
            "%2e%2e%2f",
            "wait=0",
            "\u{fc}",
        ],
    },
    Target {
        name: "frames",
        place: Place::Frames,
        samples: &[
            "{\"type\":\"hello\",\"epoch\":null,\"last_seq\":null}",
            "{\"type\":\"hello\",\"epoch\":\"01999999-9999-7999-8999-999999999999\",\"last_seq\":7,\"gather_ms\":16}\n{\"type\":\"pong\"}",
        ],
        words: &[
            "{",
            "}",
            "null",
            "-1",
            "18446744073709551616",
            "\"pong\"",
            "\"hello\"",
            "\n",
            "\\u0000",
            "[[[[[[",
        ],
    },
];

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(run(asked)))
}

async fn run(asked: &Asked) -> Result<String, Failure> {
    let count: u64 = asked.number("--count", if asked.has("--smoke") { 60 } else { 5_000 })?;
    let seed: u64 = asked.number("--seed", 1)?;
    let only = asked.text("--only");
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("log");
    let server = start(dir.path(), &log)?;
    let there = There::new(&server.base).await?;
    let mut told = vec![];
    for target in TARGETS.iter().filter(|target| only.is_none_or(|only| only == target.name)) {
        let samples: Vec<Vec<u8>> = target.samples.iter().map(|s| there.named(s).into_bytes()).collect();
        let mut taken = 0;
        for case in seed..seed + count {
            let bytes = changed(&samples, target.words, &mut Dice::new(case));
            let outcome = match target.place {
                Place::Frames => there.frames(&bytes).await,
                _ => there.request(target, &bytes).await,
            };
            let broken = |why| {
                let (bytes, log) =
                    (String::from_utf8_lossy(&bytes), fs::read_to_string(&log).unwrap_or_default());
                format!("{}, case {case}: {why}\nof: {bytes:?}\nlog: {log}", target.name)
            };
            taken += u64::from(outcome.map_err(broken)?);
        }
        told.push(format!("{} {taken} taken", target.name));
    }
    there.is_well().await?;
    server.stop()?;
    let log = fs::read_to_string(&log)?;
    if let Some(line) = log.lines().find(|line| line.contains("panicked") || line.contains("ERROR")) {
        return Err(format!("the log of the server has: {line}").into());
    }
    let (targets, told) = (told.len(), told.join(", "));
    Ok(format!("S6-requests: targets={targets} cases={count} seed={seed} ({told}) broken=0 goal=0 pass"))
}

fn start(dir: &Path, log: &Path) -> Result<Server, Failure> {
    let mut command = fresh::insighthub(dir);
    Server::start(command.env("INSIGHTHUB_CRAWL_ALLOW", "127.0.0.0/8").stderr(File::create(log)?))
}

/// Somebody who is signed in, with something to name in requests.
struct There {
    host: String,
    base: String,
    cookie: String,
    workspace: String,
    document: String,
    own: String,
}

impl There {
    async fn new(base: &str) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let cookie = fresh::sign_up(&http, base, "Correct1horse").await?;
        let all: Value =
            http.get(format!("{base}/api/workspaces")).header("cookie", &cookie).send().await?.json().await?;
        let own = all["items"][0]["id"].as_str().ok_or("no workspace of their own")?.to_owned();
        let part = reqwest::multipart::Part::bytes(b"A lantern.".to_vec()).file_name("a.txt");
        let form = json!({ "name": "Scans", "processor": "external" });
        let request = http.post(format!("{base}/api/workspaces")).header("cookie", &cookie).json(&form);
        let made: Value = request.send().await?.error_for_status()?.json().await?;
        let workspace = made["id"].as_str().ok_or("no workspace")?.to_owned();
        let path = format!("{base}/api/workspaces/{workspace}");
        let begun = tokio::time::Instant::now();
        loop {
            let now: Value = http.get(&path).header("cookie", &cookie).send().await?.json().await?;
            if now["status"] == "ready" {
                break;
            }
            if begun.elapsed() > LONG {
                return Err(format!("the workspace is not made: {now}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let sent = http.post(format!("{path}/documents")).header("cookie", &cookie);
        let sent = sent.multipart(reqwest::multipart::Form::new().part("file", part)).send().await?;
        let sent: Value = sent.error_for_status()?.json().await?;
        let document = sent["documents"][0]["document_id"].as_str().ok_or("no document")?.to_owned();
        let host = base.trim_start_matches("http://").to_owned();
        Ok(Self { host, base: base.to_owned(), cookie, workspace, document, own })
    }

    fn named(&self, text: &str) -> String {
        let there = [("{workspace}", &self.workspace), ("{document}", &self.document), ("{own}", &self.own)];
        there.into_iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    }

    /// Sends it; whether it was taken.
    async fn request(&self, target: &Target, bytes: &[u8]) -> Result<bool, Failure> {
        let (line, mut head, body): (Vec<u8>, Vec<u8>, &[u8]) = match &target.place {
            Place::Head(line) => (line.as_bytes().to_vec(), bytes.to_vec(), b""),
            Place::Body(line, kind) => {
                let head = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", bytes.len());
                (self.named(line).into_bytes(), head.into_bytes(), bytes)
            }
            _ => ([b"GET ".as_slice(), bytes].concat(), vec![], b""),
        };
        let own = format!("Host: {}\r\nCookie: {}\r\nConnection: close\r\n", self.host, self.cookie);
        let mut request = [line.as_slice(), b" HTTP/1.1\r\n", own.as_bytes()].concat();
        request.append(&mut head);
        // A changed head may have lost the end of its last line.
        request.extend(if body.is_empty() { b"\r\n\r\n".as_slice() } else { b"\r\n" });
        request.extend(body);
        let answer = timeout(LONG, self.send(&request, matches!(target.place, Place::Head(_))))
            .await
            .map_err(|_| "nothing was answered")??;
        // Where no request can be told from the bytes, the line is closed.
        let Some(status) = answer.get(9..12).filter(|_| answer.starts_with(b"HTTP/1.1 ")) else {
            return if answer.is_empty() { Ok(false) } else { Err("an answer that is none".into()) };
        };
        let status: u16 = std::str::from_utf8(status)?.parse()?;
        if status >= 500 {
            return Err(String::from_utf8_lossy(&answer[..answer.len().min(2_000)]).into());
        }
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let is_problem = head.to_ascii_lowercase().contains("application/problem+json");
        if is_problem && !body.contains("\"code\":\"") {
            return Err(format!("a refusal that does not say why: {body}").into());
        }
        Ok(status < 400)
    }

    /// All that is answered until the line is closed. What the server has not read it need not read. `ends`: a head may
    /// promise more than there is, which nobody should wait for.
    async fn send(&self, request: &[u8], ends: bool) -> Result<Vec<u8>, Failure> {
        let mut line = TcpStream::connect(&self.host).await?;
        let _ = line.write_all(request).await;
        if ends {
            let _ = line.shutdown().await;
        }
        let mut answer = vec![];
        let mut part = [0; 8_192];
        while let Ok(read @ 1..) = line.read(&mut part).await {
            answer.extend(&part[..read]);
            if answer.len() > 4 * 1024 * 1024 {
                break;
            }
        }
        Ok(answer)
    }

    /// Sends frames, then is done with it; whether the server took them for its protocol. It may close the socket at any
    /// time, with a reason.
    async fn frames(&self, bytes: &[u8]) -> Result<bool, Failure> {
        let mut request = format!("ws://{}/api/status/ws", self.host).into_client_request()?;
        request.headers_mut().insert("cookie", HeaderValue::from_str(&self.cookie)?);
        request.headers_mut().insert("origin", HeaderValue::from_str(&self.base)?);
        let (mut socket, _) = client_async(request, TcpStream::connect(&self.host).await?).await?;
        for line in bytes.split(|b| *b == b'\n') {
            let frame = match std::str::from_utf8(line) {
                Ok(text) => Message::text(text),
                Err(_) => Message::binary(line.to_vec()),
            };
            if socket.send(frame).await.is_err() {
                break;
            }
        }
        let _ = socket.send(Message::Close(None)).await;
        let all = async {
            let mut is_welcome = false;
            while let Some(Ok(frame)) = socket.next().await {
                match frame {
                    Message::Text(text) => is_welcome |= text.contains("\"type\":\"welcome\""),
                    Message::Close(_) => break,
                    _ => {}
                }
            }
            is_welcome
        };
        timeout(LONG, all).await.map_err(|_| "the socket was not closed".into())
    }

    async fn is_well(&self) -> Result<(), Failure> {
        let ready = reqwest::Client::builder().no_proxy().build()?;
        let ready = ready.get(format!("{}/health/ready", self.base)).send().await?;
        if ready.status().is_success() {
            Ok(())
        } else {
            Err(format!("it is not well: {}", ready.status()).into())
        }
    }
}
