//! Forms as a browser without scripts has them: sent twice they do their work once, and what was wrong stands at its
//! field, with the cursor there.

use crate::common::{Client, PASSWORD, Server, form_of, key_of, prose};
use serde_json::{Value, json};

/// Sends the form of a page twice, as a double click does; answers what the second sending left for the page after it.
async fn twice(client: &Client, page: &str, action: &str, fields: &[(&str, &str)]) -> Option<String> {
    let html = client.page_after(page, None).await;
    let key = key_of(form_of(&html, action));
    let all: Vec<(&str, &str)> = [("key", key.as_str())].into_iter().chain(fields.iter().copied()).collect();
    let mut left = None;
    for _ in 0..2 {
        let answer = client.post_form(action, &all).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        left = answer.flash_cookie();
    }
    left
}

fn count(list: &Value) -> usize {
    list["items"].as_array().expect("items").len()
}

#[tokio::test]
async fn a_key_is_made_once_and_its_secret_is_shown_after_the_second_click_as_well() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let page = "/settings/api-keys";
    let fields = [("name", "Backup"), ("scopes[]", "read"), ("expires_in_days", "90")];
    let left = twice(&ada, page, "/_fn/settings/make_key", &fields).await;
    assert_eq!(count(&ada.read("/api/auth/api-keys").await), 1);
    let html = ada.page_after(page, left).await;
    let start = html.find("ihk_").expect("the secret is shown");
    let secret = &html[start..start + 68];
    let program = Client { cookie: None, key: Some(secret.to_owned()), ..ada.clone() };
    assert_eq!(count(&program.read("/api/workspaces").await), 1);
    // Two forms are two keys, also when they come together.
    let both = async |name: &'static str| {
        let html = ada.page_after(page, None).await;
        let key = key_of(form_of(&html, "/_fn/settings/make_key"));
        let fields = [("key", key.as_str()), ("name", name), ("scopes[]", "read")];
        ada.post_form("/_fn/settings/make_key", &fields).await.status
    };
    assert_eq!(futures::join!(both("One"), both("Two")), (302, 302));
    assert_eq!(count(&ada.read("/api/auth/api-keys").await), 3);
}

#[tokio::test]
async fn a_workspace_an_export_and_an_indexing_are_made_once() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    twice(&ada, "/?new", "/_fn/workspaces/create", &[("name", "Papers"), ("description", "")]).await;
    assert_eq!(count(&ada.read("/api/workspaces").await), 2);

    let html = ada.page_after("/settings/account", None).await;
    let key = key_of(form_of(&html, "/_fn/settings/start_export"));
    let mut ids = vec![];
    for _ in 0..2 {
        ada.post_form("/_fn/settings/start_export", &[("key", &key)]).await;
        ids.push(ada.read("/api/auth/export").await["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);

    let document = ada.upload_one(&workspace, "notes.txt", &prose(1, 300)).await;
    ada.settled(&document).await;
    let config = json!({ "chunk_size": 400, "chunk_overlap": 40 });
    let path = format!("/api/workspaces/{workspace}/rag-config");
    assert_eq!(ada.send(ada.request("PUT", &path).json(&config)).await.status, 200);
    let page = format!("/w/{workspace}/rag?reindex");
    twice(&ada, &page, "/_fn/rag/reindex", &[("id", &workspace)]).await;
    assert_eq!(count(&ada.read("/api/jobs").await), 2, "the upload, and one indexing");
}

/// A form with something wrong: its page, where it is sent, what is sent, and the field where the cursor belongs.
type Wrong<'a> = (&'static str, &'static str, &'a [(&'static str, &'static str)], &'static str, &'static str);

#[tokio::test]
async fn what_was_wrong_stands_at_its_field_and_the_cursor_is_in_the_first_one() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let rag = |size: &'static str, overlap: &'static str| {
        [
            ("embedding_model", "all-MiniLM-L6-v2"),
            ("retriever_type", "vector"),
            ("chunking_strategy", "sentence"),
            ("chunk_size", size),
            ("chunk_overlap", overlap),
            ("top_k", "99"),
        ]
    };
    let (sizes, overlaps) = (rag("1", "x"), rag("1000", "x"));
    let forms: &[Wrong<'_>] = &[
        (
            "/settings/profile",
            "/_fn/settings/save_profile",
            &[("email", "nowhere"), ("full_name", "Ada")],
            "email",
            "Enter an e-mail address",
        ),
        (
            "/settings/profile",
            "/_fn/settings/save_profile",
            &[("email", "nowhere"), ("full_name", "\u{7}")],
            "full_name",
            "Use letters",
        ),
        (
            "/settings/password",
            "/_fn/settings/change_password",
            &[("current_password", PASSWORD), ("new_password", "short"), ("repeated_password", "short")],
            "new_password",
            "Use 8 to 128 characters.",
        ),
        (
            "/settings/preferences",
            "/_fn/settings/save_preferences",
            &[("theme", "pink"), ("density", "huge"), ("language", "tlh")],
            "theme",
            "Use one of light, dark, system.",
        ),
        (
            "/settings/preferences",
            "/_fn/settings/save_preferences",
            &[("theme", "dark"), ("density", "compact"), ("language", "tlh")],
            "language",
            "Use en.",
        ),
        (
            "/settings/api-keys",
            "/_fn/settings/make_key",
            &[("name", ""), ("expires_in_days", "0")],
            "name",
            "Use 1 to 60 characters.",
        ),
        (
            "/settings/api-keys",
            "/_fn/settings/make_key",
            &[("name", "Backup"), ("expires_in_days", "0")],
            "scopes[]",
            "Choose at least one thing",
        ),
        (
            "/settings/api-keys",
            "/_fn/settings/make_key",
            &[("name", "Backup"), ("scopes[]", "read"), ("expires_in_days", "0")],
            "expires_in_days",
            "Use 1 to 3650 days.",
        ),
        (
            "/settings/account",
            "/_fn/settings/delete_account",
            &[("password", "Wrong1horse")],
            "password",
            "This is not your current password.",
        ),
        ("/settings/rag", "/_fn/rag/save", &sizes, "chunk_size", "Use a whole number from 100 to"),
        ("/settings/rag", "/_fn/rag/save", &overlaps, "chunk_overlap", "Use a whole number from 0 to"),
        ("/", "/_fn/workspaces/create", &[("name", "a"), ("description", "")], "name", "Use 3 to 100"),
    ];
    for (page, action, fields, field, sentence) in forms {
        let answer = ada.post_form(action, fields).await;
        assert_eq!((answer.status, answer.header("location")), (302, *page), "{action}: {answer:?}");
        let html = ada.page_after(page, answer.flash_cookie()).await;
        let form = form_of(&html, action);
        assert!(form.contains(sentence), "{action} {field}: {form}");
        let tags = |text: &str| -> Vec<String> {
            let tags = text.split('<').map(|part| part.split('>').next().unwrap_or_default().to_owned());
            tags.filter(|tag| tag.contains(" autofocus")).collect()
        };
        let focused = tags(&html);
        assert_eq!(focused.len(), 1, "{action} {field}: {focused:?}");
        let named = format!("name=\"{field}\"");
        assert!(focused[0].contains(&named), "{action} {field}: {focused:?}");
        assert!(focused[0].contains("aria-invalid=\"true\""), "{focused:?}");
    }
}

#[tokio::test]
async fn what_a_lone_button_was_refused_for_stands_on_its_page() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let document = ada.upload_one(&workspace, "a.txt", b"A lantern on the bridge.").await;
    ada.settled(&document).await;
    let nobodys = "01999999-9999-7999-8999-999999999999";
    let case =
        [("id", workspace.as_str()), ("question", "Where?"), ("document", nobodys), ("chunk", nobodys)];
    let retry = [("id", document.as_str())];
    let buttons = [
        (format!("/d/{document}"), "/_fn/documents/retry", &retry[..]),
        (format!("/w/{workspace}/retrieval"), "/_fn/retrieval/add_case", &case[..]),
    ];
    for (page, action, fields) in &buttons {
        let answer = ada.post_form(action, fields).await;
        assert_eq!(answer.status, 302, "{action}: {answer:?}");
        let html = ada.page_after(page, answer.flash_cookie()).await;
        assert!(html.contains("That did not work"), "{action}: {html}");
        assert!(!ada.page_after(page, None).await.contains("That did not work"), "{action}: it is told once");
    }
}

#[tokio::test]
async fn presets_and_the_way_back_of_one_field_work_without_a_script() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let field = |html: &str, name: &str| {
        let tags = html.split('<').filter(|part| part.starts_with("input "));
        let tag = tags.map(|part| part.split('>').next().unwrap_or_default());
        let mut tag = tag.filter(|tag| tag.contains(&format!("name=\"{name}\"")));
        let tag = tag.next().unwrap_or_else(|| panic!("{name} in {html}"));
        tag.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    };
    let html = ada.page_after("/settings/rag", None).await;
    assert!(html.contains("href=\"/settings/rag?preset=precise\""), "{html}");
    assert_eq!(field(&html, "chunk_size"), "1000");
    let html = ada.page_after("/settings/rag?preset=precise", None).await;
    assert_eq!((field(&html, "chunk_size"), field(&html, "top_k")), ("500".into(), "5".into()));
    assert!(form_of(&html, "/_fn/rag/save").contains("data-changed"), "it is not saved yet");
    assert_eq!(ada.read("/api/auth/default-rag-config").await["is_default"], true);

    let path = format!("/api/workspaces/{workspace}/rag-config");
    let config = json!({ "chunk_size": 400, "chunk_overlap": 40 });
    ada.send(ada.request("PUT", &path).json(&config)).await;
    let page = format!("/w/{workspace}/rag");
    let html = ada.page_after(&page, None).await;
    assert_eq!((field(&html, "chunk_size"), field(&html, "chunk_overlap")), ("400".into(), "40".into()));
    let back = format!("{page}?reset=chunk_size");
    assert!(html.contains(&format!("href=\"{back}\"")), "{html}");
    let html = ada.page_after(&back, None).await;
    assert_eq!((field(&html, "chunk_size"), field(&html, "chunk_overlap")), ("1000".into(), "40".into()));
    assert!(!html.contains(&format!("href=\"{back}\"")) && html.contains("?reset=chunk_overlap"));
    for odd in ["?preset=odd", "?reset=odd"] {
        assert_eq!(field(&ada.page_after(&format!("{page}{odd}"), None).await, "chunk_size"), "400");
    }
}
