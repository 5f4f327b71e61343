//! The screens as a browser without scripts gets them, and the site's own files.

use crate::common::{PASSWORD, Server, Setup};
use serde_json::json;

#[tokio::test]
async fn an_anonymous_visitor_is_led_to_sign_in_and_back() {
    let server = Server::start().await;
    let visitor = server.visitor();
    for (path, place) in
        [("/", "/signin"), ("/w/1?tab=a", "/signin?next=%2Fw%2F1%3Ftab%3Da"), ("/odd", "/signin?next=%2Fodd")]
    {
        let answer = visitor.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (303, place), "{path}");
    }
    for path in ["/signin", "/signup"] {
        let answer = visitor.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
    }
    let client = server.user("ada").await;
    assert_eq!(client.get("/signin?next=%2Fw%2F1").await.header("location"), "/w/1");
    assert_eq!(client.get("/signup?next=//evil.example").await.header("location"), "/");
}

#[tokio::test]
async fn every_workspace_is_listed_however_many_there_are() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    // More than the longest page that a store answers.
    let mut ids = vec![client.first_workspace().await];
    for n in 0..201 {
        let body = json!({ "name": format!("Number {n}"), "processor": "external" });
        let made = client.post("/api/workspaces", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        ids.push(made.json()["id"].as_str().expect("an id").to_owned());
    }
    let html = String::from_utf8(client.get("/").await.body).expect("text");
    for id in &ids {
        assert!(html.contains(&format!("data-workspace-id=\"{id}\"")), "{id} is missing");
    }
}

#[tokio::test]
async fn pages_show_data_without_a_script_and_name_the_nonce_of_their_policy() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let answer = client.get("/").await;
    let html = String::from_utf8(answer.body.clone()).expect("text");
    assert!(html.contains("My documents") && html.contains("ada"), "{html}");
    let policy = answer.header("content-security-policy");
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
    let scripts: Vec<&str> = html.split("<script").skip(1).collect();
    assert!(!scripts.is_empty());
    for script in scripts {
        let tag = script.split('>').next().unwrap_or_default();
        assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "{tag}");
    }
    assert!(answer.header("cache-control").contains("no-store"));

    let workspace = client.first_workspace().await;
    let page = client.get(&format!("/w/{workspace}")).await;
    assert_eq!(page.status, 200);
    let bob = server.user("bob").await;
    for (who, path) in [(&client, "/odd".to_owned()), (&bob, format!("/w/{workspace}"))] {
        let answer = who.get(&path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(String::from_utf8_lossy(&answer.body).contains("There is no such"), "{path}");
    }
}

/// The parts of a page are rendered on several threads. A part that came out otherwise than in the browser's own
/// reckoning could not be taken over by the script.
#[tokio::test]
async fn a_page_comes_out_the_same_in_whatever_order_its_parts_are_rendered() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let document = client.upload_one(&workspace, "note.txt", b"A workspace holds documents.").await;
    client.settled(&document).await;
    for (path, title) in [
        ("/".to_owned(), "Workspaces"),
        (format!("/w/{workspace}"), "My documents"),
        (format!("/w/{workspace}?q=documents"), "My documents"),
        (format!("/d/{document}"), "note.txt"),
    ] {
        let loads = (0..40).map(|_| async {
            let answer = client.get(&path).await;
            let policy = answer.header("content-security-policy").to_owned();
            let nonce =
                policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
            let page = String::from_utf8(answer.body.clone()).expect("text").replace(nonce, "");
            // Each load draws keys of its own for forms that make something.
            let mut parts = page.split("name=\"key\" value=\"");
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |page, part| page + part.split_once('"').map_or(part, |(_, rest)| rest))
        });
        let pages = futures::future::join_all(loads).await;
        assert!(pages[0].contains(&format!("<title>{title} · InsightHub</title>")), "{}", pages[0]);
        assert!(pages[0].contains(&format!("<a href=\"/w/{workspace}\" data-workspace-id")), "{}", pages[0]);
        for page in &pages {
            assert_eq!(page, &pages[0], "{path}");
        }
    }
}

#[tokio::test]
async fn the_forms_of_sign_up_in_and_out_work_without_a_script() {
    let server = Server::start().await;
    let mut browser = server.visitor();
    let send = async |client: &crate::common::Client, path: &str, body: String| {
        let request =
            client.request("POST", path).header("accept", "text/html").header("origin", &client.base);
        client.send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    };
    let form = format!("username=ada&email=ada%40example.org&password={PASSWORD}&full_name=&next=%2Fw%2F1");
    let answer = send(&browser, "/_fn/auth/sign_up", form).await;
    assert_eq!((answer.status, answer.header("location")), (302, "/w/1"), "{answer:?}");
    browser.cookie = answer.session_cookie();
    assert_eq!(browser.read("/api/auth/me").await["username"], "ada");

    let answer = send(&browser, "/_fn/auth/sign_out", String::new()).await;
    assert_eq!((answer.status, answer.header("location")), (302, "/signin"), "{answer:?}");
    browser.get("/api/auth/me").await.problem(401, "unauthorized");
    browser.cookie = None;

    let wrong =
        send(&browser, "/_fn/auth/sign_in", "email=ada%40example.org&password=Wrong1horse".to_owned()).await;
    assert_eq!((wrong.status, wrong.header("location")), (302, "/signin"), "{wrong:?}");
    assert!(wrong.session_cookie().is_none());
    let flash = wrong.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    let again = browser.send(browser.request("GET", "/signin").header("cookie", flash)).await;
    let html = String::from_utf8(again.body).expect("text");
    assert!(
        html.contains("The e-mail address or the password is wrong.") && html.contains("ada@example.org"),
        "{html}"
    );
    assert!(!html.contains("Wrong1horse"));

    let right =
        send(&browser, "/_fn/auth/sign_in", format!("email=ada%40example.org&password={PASSWORD}")).await;
    assert_eq!((right.status, right.header("location")), (302, "/"));
    browser.cookie = right.session_cookie();
    browser.read("/api/auth/me").await;
}

#[tokio::test]
async fn a_server_function_takes_no_endless_body() {
    let server = Server::start().await;
    let visitor = server.visitor();
    let body = format!("email={}&password=x", "a".repeat(1 << 20));
    let request = visitor
        .request("POST", "/_fn/auth/sign_in")
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = visitor.send(request.body(body)).await;
    assert_eq!(answer.status, 413, "{answer:?}");
}

#[tokio::test]
async fn the_sites_files_come_compressed_and_whole() {
    let site = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(site.path().join("pkg")).expect("made");
    std::fs::write(site.path().join("pkg/app.js"), "let plain = 1;").expect("written");
    std::fs::write(site.path().join("pkg/app.js.br"), "compressed").expect("written");
    std::fs::write(site.path().join("favicon.svg"), "<svg/>").expect("written");
    let server = Setup::new().env("LEPTOS_SITE_ROOT", site.path().display().to_string()).start().await;
    let visitor = server.visitor();
    let plain = visitor.get("/pkg/app.js").await;
    assert_eq!((plain.status, plain.body.as_slice()), (200, b"let plain = 1;".as_slice()));
    assert_eq!(
        (plain.header("content-type"), plain.header("cache-control")),
        ("text/javascript", "no-cache")
    );
    let packed =
        visitor.send(visitor.request("GET", "/pkg/app.js").header("accept-encoding", "gzip, br")).await;
    assert_eq!((packed.header("content-encoding"), packed.body.as_slice()), ("br", b"compressed".as_slice()));
    assert_eq!(visitor.get("/favicon.svg").await.header("content-type"), "image/svg+xml");
    for outside in
        ["/pkg/none.js", "/..%2f..%2fetc%2fpasswd.txt", "/pkg/../../log.txt", "/pkg%2f..%2f..%2fx.txt"]
    {
        visitor.get(outside).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn files_with_the_hash_of_their_build_are_kept_for_ever_and_come_with_brotli() {
    // The hashes are told beside the executable, so this server is one of its own.
    let dir = tempfile::tempdir().expect("a folder");
    let pkg = dir.path().join("site/pkg");
    std::fs::create_dir_all(&pkg).expect("made");
    std::fs::write(dir.path().join("hash.txt"), "css: C0\njs: A1\nmanifest: A1\nsplit: A1\nwasm: A1\n")
        .expect("written");
    let kept = [
        ("app.A1.js", "text/javascript"),
        ("app.A1.wasm", "application/wasm"),
        ("split_home.A1.wasm", "application/wasm"),
        ("__wasm_split.A1.js", "text/javascript"),
        ("app.C0.css", "text/css"),
    ];
    for (name, _) in kept.iter().chain(&[("app.B2.js", "")]) {
        std::fs::write(pkg.join(name), "plain").expect("written");
        std::fs::write(pkg.join(format!("{name}.br")), "packed").expect("written");
    }
    let server = Setup::new().executable_in(dir.path()).start().await;
    let visitor = server.visitor();
    let packed = async |name: &str| {
        visitor.send(visitor.request("GET", &format!("/pkg/{name}")).header("accept-encoding", "br")).await
    };
    for (name, kind) in kept {
        let answer = packed(name).await;
        assert_eq!(
            (answer.header("content-encoding"), answer.body.as_slice()),
            ("br", b"packed".as_slice()),
            "{name}"
        );
        assert_eq!(
            (answer.header("content-type"), answer.header("cache-control")),
            (kind, "public, max-age=31536000, immutable"),
            "{name}"
        );
    }
    // Of another build: it may change.
    assert_eq!(packed("app.B2.js").await.header("cache-control"), "no-cache");
    // The page names them.
    let html = String::from_utf8(server.user("ada").await.get("/").await.body).expect("text");
    for name in ["/pkg/insighthub.A1.js", "/pkg/insighthub.A1.wasm", "/pkg/insighthub.C0.css"] {
        assert!(html.contains(name), "{name} in {html}");
    }
}

#[tokio::test]
async fn pages_and_answers_are_compressed_for_those_who_take_it() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for n in 0..10 {
        client.post("/api/workspaces", json!({ "name": format!("Workspace {n}") })).await;
    }
    for path in ["/", "/api/workspaces", "/api/openapi.json"] {
        for encoding in ["br", "gzip"] {
            let answer = client.send(client.request("GET", path).header("accept-encoding", encoding)).await;
            assert_eq!((answer.status, answer.header("content-encoding")), (200, encoding), "{path}");
            assert!(answer.header("vary").contains("accept-encoding"));
        }
        assert_eq!(client.get(path).await.header("content-encoding"), "", "{path}");
    }
}
