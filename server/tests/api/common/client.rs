//! A browser or a script that asks, and what it is answered.

use super::{PATIENCE, Socket, eventually, form, in_millis};
use app::paths::encode;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    client_async,
    tungstenite::{self, client::IntoClientRequest, http::HeaderValue},
};

/// A browser, or a script, with at most one session.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
    /// `name=value`.
    pub cookie: Option<String>,
    /// An API key, sent as a Bearer token.
    pub key: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("visible characters"))
    }

    /// The problem, after checking what every problem has.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(self.status, status, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("urn:insighthub:problem:{code}"));
        for field in ["title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|t| !t.is_empty()), "{field}: {problem}");
        }
        assert_eq!(problem["correlation_id"], self.header("x-request-id"));
        problem
    }

    /// `name=value` of the session cookie that was set.
    pub fn session_cookie(&self) -> Option<String> {
        let set = self.headers.get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
        set.filter_map(|c| c.split(';').next()).find(|c| c.contains("insighthub_session=")).map(str::to_owned)
    }

    /// `name=value` of what a form left for the page that it leads to.
    pub fn flash_cookie(&self) -> Option<String> {
        let set = self.headers.get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
        set.filter_map(|c| c.split(';').next()).find(|c| c.starts_with("insighthub_form=")).map(str::to_owned)
    }

    /// `name=value` of the mark that tells the browser at its next sign-in.
    pub fn device_cookie(&self) -> Option<String> {
        let set = self.headers.get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
        set.filter_map(|c| c.split(';').next()).find(|c| c.contains("insighthub_device=")).map(str::to_owned)
    }
}

impl Client {
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.base)).timeout(PATIENCE);
        let request = match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.expect("a body").to_vec() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// GET that has to succeed.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path).json(&body)).await
    }

    /// Makes an API key; answers the resource, with its secret.
    pub async fn new_key(&self, name: &str, scopes: &[&str]) -> Value {
        let answer = self.post("/api/auth/api-keys", json!({ "name": name, "scopes": scopes })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Makes a key that soon expires: in so many milliseconds, or later where the machine is too busy to make it in that
    /// time. Answers the resource, with its secret.
    pub async fn new_short_key(&self, name: &str, scopes: &[&str], mut millis: i64) -> Value {
        loop {
            let key = json!({ "name": name, "scopes": scopes, "expires_at": in_millis(millis) });
            let answer = self.post("/api/auth/api-keys", key).await;
            if answer.status == 201 {
                return answer.json();
            }
            // By the time it was made its end had passed.
            assert!(!messages(&answer.problem(422, "invalid"), "expires_at").is_empty(), "{answer:?}");
            millis *= 2;
        }
    }

    /// A program that has this API key and no cookie.
    pub fn program(&self, key: &Value) -> Client {
        let secret = key["secret"].as_str().expect("a secret").to_owned();
        Client { cookie: None, key: Some(secret), ..self.clone() }
    }

    /// Sends fields as the script of a page sends a form.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs: Vec<String> =
            fields.iter().map(|(name, text)| format!("{name}={}", encode(text))).collect();
        let request = self.request("POST", path).header("accept", "application/json");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(pairs.join("&"))).await
    }

    /// Sends fields as a browser without a script sends a form.
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs: Vec<String> =
            fields.iter().map(|(name, text)| format!("{name}={}", encode(text))).collect();
        let request = self.request("POST", path).header("accept", "text/html").header("origin", &self.base);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(pairs.join("&"))).await
    }

    /// A page of the site; `flash` is what a form before it left.
    pub async fn page_after(&self, path: &str, flash: Option<String>) -> String {
        let both: Vec<&str> = self.cookie.as_deref().into_iter().chain(flash.as_deref()).collect();
        let bare = Client { cookie: None, ..self.clone() };
        let request = bare.request("GET", path).header("cookie", both.join("; "));
        let answer = bare.send(request).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        String::from_utf8(answer.body).expect("text")
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("PATCH", path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    /// Id of the workspace that came with the account.
    pub async fn first_workspace(&self) -> String {
        let list = self.read("/api/workspaces").await;
        let last = list["items"].as_array().expect("items").last().expect("a workspace").clone();
        last["id"].as_str().expect("an id").to_owned()
    }

    pub async fn upload(&self, workspace: &str, files: &[(&str, &[u8])]) -> Answer {
        let path = format!("/api/workspaces/{workspace}/documents");
        self.send(self.request("POST", &path).multipart(form(files))).await
    }

    /// Uploads one file that has to be taken; answers the document's id.
    pub async fn upload_one(&self, workspace: &str, name: &str, bytes: &[u8]) -> String {
        let answer = self.upload(workspace, &[(name, bytes)]).await;
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["documents"][0]["document_id"].as_str().expect("an id").to_owned()
    }

    /// Waits until the document is through; answers it.
    pub async fn settled(&self, document: &str) -> Value {
        let path = format!("/api/documents/{document}");
        eventually("the document is ready or failed", async || {
            let document = self.read(&path).await;
            matches!(document["status"].as_str(), Some("ready" | "failed")).then_some(document)
        })
        .await
    }

    /// Opens the live socket with the client's cookie, as a page of the site would.
    pub async fn socket(&self) -> Socket {
        self.socket_with(&[("origin", &self.base)]).await.expect("the upgrade")
    }

    /// The same over a line that takes little at a time, so that a client which does not read is soon full.
    pub async fn narrow_socket(&self) -> Socket {
        let stream = self.narrow_line().await;
        self.socket_over(stream, "", &[("origin", &self.base)]).await.expect("the upgrade")
    }

    /// The same with such a query in its address.
    pub async fn socket_asking(&self, query: &str) -> Socket {
        let host = self.base.trim_start_matches("http://");
        let stream = TcpStream::connect(host).await.expect("a connection");
        self.socket_over(stream, query, &[("origin", &self.base)]).await.expect("the upgrade")
    }

    pub async fn narrow_line(&self) -> TcpStream {
        let line = TcpSocket::new_v4().expect("a socket");
        line.set_recv_buffer_size(4_096).expect("a small buffer");
        let address = self.base.trim_start_matches("http://").parse().expect("an address");
        line.connect(address).await.expect("a connection")
    }

    pub async fn socket_with(&self, headers: &[(&'static str, &str)]) -> Result<Socket, tungstenite::Error> {
        let host = self.base.trim_start_matches("http://");
        let stream = TcpStream::connect(host).await.expect("a connection");
        self.socket_over(stream, "", headers).await
    }

    async fn socket_over(
        &self,
        stream: TcpStream,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, tungstenite::Error> {
        let host = self.base.trim_start_matches("http://");
        let mut request =
            format!("ws://{host}/api/status/ws{query}").into_client_request().expect("a request");
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert("cookie", HeaderValue::from_str(cookie).expect("a header"));
        }
        if let Some(key) = &self.key {
            let value = HeaderValue::from_str(&format!("Bearer {key}")).expect("a header");
            request.headers_mut().insert("authorization", value);
        }
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        let (stream, _) = client_async(request, stream).await?;
        Ok(Socket::new(stream))
    }
}

/// The part of a page from the form on that is posted to that address.
pub fn form_of<'a>(html: &'a str, action: &str) -> &'a str {
    let start = html.find(&format!("action=\"{action}\"")).unwrap_or_else(|| panic!("no {action} in {html}"));
    let end = html[start..].find("</form>").expect("an end");
    &html[start..start + end]
}

/// The key that the server drew for a form.
pub fn key_of(form: &str) -> String {
    let rest = form.split_once("name=\"key\" value=\"").unwrap_or_else(|| panic!("no key in {form}")).1;
    let key = rest.split('"').next().unwrap_or_default();
    assert!(key.len() >= 32, "{form}");
    key.to_owned()
}

/// Messages of one field of a problem.
pub fn messages(problem: &Value, field: &str) -> Vec<String> {
    let all = problem["errors"][field].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|m| m.as_str().map(str::to_owned)).collect()
}
