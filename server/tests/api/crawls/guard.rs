//! Addresses that are nobody's to ask for, seen from outside.

use super::*;
use crate::common::messages;
use std::net::TcpListener;

/// A listener that nobody may connect to.
struct Secret(TcpListener);

impl Secret {
    fn at(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind((host, port)).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    fn check(&self) {
        assert!(self.0.accept().is_err(), "somebody connected");
    }
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_refused_at_its_field_and_nobody_is_asked() {
    let secret = Secret::at("0.0.0.0", 0);
    let port = secret.port();
    // The operator allows nothing here.
    let server = Server::start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let path = format!("/api/workspaces/{home}/crawls");
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://a.localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[64:ff9b::7f00:1]:{port}/"),
        format!("http://[2002:7f00:1::1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://metadata.google.internal/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://192.168.1.1/".to_owned(),
        "http://100.64.0.1/".to_owned(),
        "http://[fd00::1]/".to_owned(),
        "http://[fe80::1]/".to_owned(),
        "http://example.org:22/".to_owned(),
        "http://ada:secret@example.org/".to_owned(),
        "ftp://example.org/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "example.org".to_owned(),
        "http://".to_owned(),
        String::new(),
    ] {
        let refused = ada.post(&path, json!({ "url": url })).await;
        assert_eq!(messages(&refused.problem(422, "invalid"), "url").len(), 1, "{url}: {refused:?}");
    }
    for (field, body) in [
        ("url", json!({})),
        ("prefix", json!({ "url": "https://example.org/", "prefix": "https://example.com/" })),
        ("prefix", json!({ "url": "https://example.org/", "prefix": "https://example.org/docs/" })),
        ("max_pages", json!({ "url": "https://example.org/", "max_pages": 0 })),
        ("max_pages", json!({ "url": "https://example.org/", "max_pages": 10_001 })),
        ("max_depth", json!({ "url": "https://example.org/", "max_depth": 51 })),
        ("max_depth", json!({ "url": "https://example.org/", "max_depth": "many" })),
    ] {
        let refused = ada.post(&path, body.clone()).await;
        assert!(!messages(&refused.problem(422, "invalid"), field).is_empty(), "{body}: {refused:?}");
    }
    assert_eq!(ada.read("/api/jobs").await["items"], json!([]), "nothing was begun");
    secret.check();
}

#[tokio::test]
async fn a_redirect_to_what_is_not_allowed_fails_its_page_and_connects_to_nobody() {
    let site = Site::start().await;
    // At another address of this machine, which nobody allowed.
    let secret = Secret::at("127.0.0.2", 0);
    let home_url = format!("http://127.0.0.2:{}/secret", secret.port());
    site.set("/", Reply::page("Start", &["/leads", "/fine"]));
    site.set("/leads", Reply::to(home_url.clone()));
    site.set("/fine", Reply::page("Fine", &[]));
    site.set("/only/", Reply::to(format!("http://[::ffff:127.0.0.2]:{}/", secret.port())));
    site.set("/robots/", Reply::page("Start", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    let done = ended(&ada, &id).await;
    assert_eq!(done["status"], "completed", "{done}");
    let listed = pages(&ada, &id, &site).await;
    check_sums(&done, &listed);
    assert_eq!(
        (&listed["/leads"]["state"], &listed["/leads"]["code"]),
        (&json!("failed"), &json!("address_not_allowed"))
    );
    assert_eq!(listed["/fine"]["state"], "fetched");

    let id = begin(&ada, &home, json!({ "url": site.url("/only/") })).await;
    let failed = ended(&ada, &id).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["error"].as_str().is_some_and(|e| e.contains("not public")), "{failed}");

    // Also where its rules or its site map lead there.
    site.set("/robots.txt", Reply::to(home_url.clone()));
    let id = begin(&ada, &home, json!({ "url": site.url("/robots/") })).await;
    let failed = ended(&ada, &id).await;
    assert_eq!(pages(&ada, &id, &site).await["/robots/"]["code"], "address_not_allowed", "{failed}");
    secret.check();
}

#[tokio::test]
async fn where_the_system_trusts_nobody_a_server_starts_and_says_that_it_cannot_ask_with_https() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &[]));
    let secret = Secret::at("127.0.0.1", 0);
    let server = setup().env("SSL_CERT_FILE", "/nowhere/certificates.pem").start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    let done = ended(&ada, &id).await;
    assert_eq!(done["status"], "completed", "{done}");

    let url = format!("https://127.0.0.1:{}/", secret.port());
    let id = begin(&ada, &home, json!({ "url": url })).await;
    let failed = ended(&ada, &id).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["error"].as_str().is_some_and(|e| e.contains("certificates")), "{failed}");
    let listed = pages(&ada, &id, &site).await;
    assert_eq!(listed[url.as_str()]["code"], "no_certificates", "{listed:?}");
    secret.check();

    let log = server.log();
    assert_eq!(log.matches("the system has no certificates of authorities").count(), 1, "{log}");
}

#[tokio::test]
async fn the_same_key_begins_one_crawl() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let (bob, _) = somebody(&server, "bob").await;
    let path = format!("/api/workspaces/{home}/crawls");
    let body = json!({ "url": site.url("/") });
    let send = |body: Value| ada.send(ada.request("POST", &path).header("idempotency-key", "k").json(&body));
    let (one, two) = tokio::join!(send(body.clone()), send(body.clone()));
    assert_eq!((one.status, two.status), (202, 202), "{one:?} {two:?}");
    assert_eq!(one.json(), two.json());
    let other = json!({ "url": site.url("/"), "max_pages": 3 });
    send(other).await.problem(422, "idempotency_key_reused");
    let id = one.json()["job_id"].as_str().expect("an id").to_owned();
    ended(&ada, &id).await;
    assert_eq!(ada.read("/api/jobs").await["items"].as_array().map(Vec::len), Some(1));
    bob.post(&path, body).await.problem(404, "not_found");
    bob.get(&format!("/api/jobs/{id}/pages")).await.problem(404, "not_found");
    ada.get(&format!("/api/jobs/{id}/pages?after=nowhere")).await.problem(422, "invalid");
}
