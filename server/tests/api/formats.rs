//! Each kind of document on its way through a real server: what it is taken for, the passages and where they stand, and
//! that it is found and given back as it was.

use crate::{
    common::{Client, Server, fixture, fixtures},
    office::{self, Body, DOCUMENT, DOCUMENT_END, docx_of, xlsx},
    pdf::{Line, Pdf, page_content},
};
use serde_json::{Value, json};

/// A file, what it has to be taken for, and which headings its passages have; `None` where the kind has none.
struct Sample {
    name: String,
    mime: &'static str,
    bytes: Vec<u8>,
    headings: Option<&'static [&'static str]>,
}

/// Real documents, of each kind that there is one.
fn real() -> Vec<Sample> {
    let mut all: Vec<Sample> = vec![];
    for entry in std::fs::read_dir(fixtures()).expect("documents") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let (mime, headings): (_, Option<&'static [&'static str]>) = match name.rsplit('.').next() {
            Some("pdf") => ("application/pdf", None),
            Some("html") => ("text/html", Some(&[])),
            Some("md") => ("text/markdown", Some(&[])),
            Some("txt") => ("text/plain", None),
            _ => continue,
        };
        if name != "README.md" && !all.iter().any(|sample| sample.mime == mime) {
            all.push(Sample { bytes: fixture(&name), name, mime, headings });
        }
    }
    assert_eq!(all.len(), 4, "one of each kind");
    all
}

const STYLES: &str =
    r#"<w:styles xmlns:w="w"><w:style w:styleId="b1"><w:name w:val="heading 1"/></w:style></w:styles>"#;

/// Those that are made as an office program would make them, long enough for several passages.
fn made() -> Vec<Sample> {
    let sample = |name: &str, mime, bytes, headings| Sample { name: name.to_owned(), mime, bytes, headings };
    let head = |text: &str| office::p(r#"<w:pStyle w:val="b1"/>"#, text);
    let body = |about: &str| {
        (0..40).map(|n| office::p("", &format!("Rule {n} of {about}: call the master."))).collect::<String>()
    };
    let rules = format!(
        "{DOCUMENT}{}{}{}{}{DOCUMENT_END}",
        head("Arrival"),
        body("arrival"),
        head("Fees"),
        body("fees")
    );
    let rows: Vec<[String; 3]> =
        (0..60).map(|n| [format!("Port {n}"), "Open and deep".to_owned(), n.to_string()]).collect();
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let sheet: Vec<&[&str]> =
        [["Port", "Remark", "Tons"].as_slice()].into_iter().chain(rows.iter().map(Vec::as_slice)).collect();
    let table: String = sheet.iter().map(|row| row.join(",") + "\n").collect();
    let list: Vec<Value> =
        rows.iter().map(|row| json!({ "port": row[0], "remark": row[1], "tons": row[2] })).collect();
    vec![
        sample(
            "rules.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            docx_of(Body::Text(&rules), &[("styles", STYLES)]),
            Some(&["Arrival", "Fees"]),
        ),
        sample(
            "ports.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            xlsx(&[("Ports of the year", &sheet)]),
            Some(&["Ports of the year"]),
        ),
        sample("ports.csv", "text/csv", table.into_bytes(), None),
        sample(
            "ports.json",
            "application/json",
            json!({ "ports": list }).to_string().into_bytes(),
            Some(&["ports"]),
        ),
    ]
}

async fn all_chunks(client: &Client, document: &str) -> Vec<Value> {
    let (mut chunks, mut after) = (vec![], String::new());
    loop {
        let page = client.read(&format!("/api/documents/{document}/chunks?limit=5{after}")).await;
        chunks.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return chunks,
        }
    }
}

#[tokio::test]
async fn each_kind_of_document_becomes_ready_found_and_given_back_unchanged() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let samples: Vec<Sample> = real().into_iter().chain(made()).collect();
    let files: Vec<(&str, &[u8])> = samples.iter().map(|s| (s.name.as_str(), s.bytes.as_slice())).collect();
    let uploaded = client.upload(&workspace, &files).await.json();
    for (n, Sample { name, mime, bytes, headings }) in samples.iter().enumerate() {
        let id = uploaded["documents"][n]["document_id"].as_str().expect("an id");
        let document = client.settled(id).await;
        assert_eq!(
            (&document["status"], &document["filename"], &document["mime_type"]),
            (&json!("ready"), &json!(name), &json!(mime)),
            "{document}"
        );
        assert_eq!((&document["progress"], &document["error"]), (&json!(100.0), &Value::Null));
        assert_eq!(
            (&document["document_id"], &document["processing_status"]),
            (&document["id"], &json!("ready"))
        );
        assert_eq!(document["size_bytes"], bytes.len());

        let chunks = all_chunks(&client, id).await;
        assert_eq!(Some(chunks.len() as u64), document["chunk_count"].as_u64());
        for (ordinal, chunk) in chunks.iter().enumerate() {
            assert_eq!((&chunk["ordinal"], &chunk["document_id"]), (&json!(ordinal), &json!(id)));
            assert!(chunk["text"].as_str().is_some_and(|t| !t.trim().is_empty()), "{chunk}");
            assert!(chunk["char_end"].as_u64() > chunk["char_start"].as_u64(), "{chunk}");
            // Pages are where the kind has pages.
            assert_eq!(chunk["page"].is_u64(), *mime == "application/pdf", "{chunk}");
        }
        has_headings(name, &chunks, *headings);

        let content = client.get(&format!("/api/documents/{id}/content")).await;
        assert_eq!((content.status, content.body == *bytes), (200, true), "{name}");
        assert_eq!(content.header("content-type"), *mime);
        assert!(content.header("content-disposition").starts_with("attachment; filename="));
        assert_eq!(content.header("x-content-type-options"), "nosniff");
        assert!(content.header("content-security-policy").contains("sandbox"));

        // It is shown with its structure, where its text has one.
        let preview = client.read(&format!("/api/documents/{id}/preview")).await;
        let is_plain = ["application/pdf", "text/plain"].contains(mime);
        assert_eq!(preview["kind"], if is_plain { "text" } else { "html" }, "{name}");
        let shown = preview["body"].as_str().expect("a text");
        for (of, part) in [
            ("rules.docx", "<h3>Arrival</h3><p>Rule 0 of arrival: call the master.</p>"),
            (
                "ports.xlsx",
                "<h3>Ports of the year</h3><ul><li>Port: Port 0; Remark: Open and deep; Tons: 0</li>",
            ),
            ("ports.csv", "<ul><li>Port: Port 0; Remark: Open and deep; Tons: 0</li><li>"),
        ] {
            assert!(name != of || shown.contains(part), "{name}: {shown}");
        }

        // A passage, asked for by its own words, is found with its document.
        let passage = chunks[chunks.len() / 2]["text"].as_str().expect("text");
        let question: String = passage.split_whitespace().take(30).collect::<Vec<_>>().join(" ");
        let question: String = question.chars().take(500).collect();
        let question = percent_encoding::utf8_percent_encode(&question, percent_encoding::NON_ALPHANUMERIC);
        let found = client.read(&format!("/api/workspaces/{workspace}/search?q={question}&top_k=5")).await;
        let items = found["items"].as_array().expect("items");
        assert!(
            items.len() <= 5 && items.iter().any(|hit| hit["document"]["id"] == id),
            "{question}: {found}"
        );
        let scores: Vec<f64> = items.iter().filter_map(|hit| hit["score"].as_f64()).collect();
        assert!(scores.len() == items.len() && scores.windows(2).all(|w| w[0] >= w[1]), "{scores:?}");
    }
    let counts = client.read(&format!("/api/workspaces/{workspace}")).await["counts"].clone();
    assert_eq!(
        (&counts["documents"], &counts["ready"], &counts["processing"]),
        (&json!(8), &json!(8), &json!(0))
    );
    assert_eq!(counts["bytes"], samples.iter().map(|s| s.bytes.len()).sum::<usize>());
}

/// Each passage names the section that it stands in, where the kind has sections; the named ones come in their order.
fn has_headings(name: &str, chunks: &[Value], expected: Option<&[&str]>) {
    let mut seen: Vec<&str> = chunks.iter().filter_map(|chunk| chunk["heading"].as_str()).collect();
    let Some(expected) = expected else {
        // A PDF may have an outline.
        assert!(seen.is_empty() || name.ends_with(".pdf"), "{name}: {seen:?}");
        return;
    };
    assert_eq!(seen.len(), chunks.len(), "{name}: {chunks:?}");
    seen.dedup();
    if expected.is_empty() {
        assert!(seen.len() > 1, "{name}: {seen:?}");
    } else {
        assert_eq!(seen, expected, "{name}");
    }
    assert!(chunks.len() > 1, "{name}");
}

#[tokio::test]
async fn rows_of_a_table_stay_whole_and_keep_the_names_of_their_columns_in_every_passage() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    for Sample { name, bytes, .. } in made().into_iter().filter(|s| s.name.starts_with("ports")) {
        let id = client.upload_one(&workspace, &name, &bytes).await;
        assert_eq!(client.settled(&id).await["status"], "ready", "{name}");
        let mut rows = 0;
        for chunk in all_chunks(&client, &id).await {
            for line in chunk["text"].as_str().expect("text").lines() {
                let line = line.to_lowercase();
                if line.contains("port ") {
                    rows += 1;
                    let whole = ["port: port ", "remark: open and deep", "tons: "];
                    assert!(whole.iter().all(|part| line.contains(part)), "{name}: {line}");
                }
            }
        }
        assert!(rows >= 60, "{name}: {rows}");
    }
}

/// Four pages: one with words, one that the parser trips over, one that is empty, and one with words again.
fn partly_readable() -> Vec<u8> {
    let mut pdf = Pdf::default();
    let (catalog, tree) = (pdf.reserve(), pdf.reserve());
    let font = pdf.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
    // So long that a passage begins on each of the pages.
    let lines: Vec<Line> = (0..30)
        .map(|n| Line::body(format!("Lantern {n} stands on the bridge, and burns until the morning.")))
        .collect();
    let good = pdf.stream("", &page_content(&lines));
    let empty = pdf.stream("", b"");
    let media = "/MediaBox [0 0 595 842]";
    let kids: String = [(good, media), (good, ""), (empty, media), (good, media)]
        .map(|(content, media)| {
            let page = pdf.add(format!(
                "<< /Type /Page /Parent {tree} 0 R {media} /Contents {content} 0 R /Resources << /Font << /F1 {font} 0 R >> >> >>"
            ));
            format!("{page} 0 R ")
        })
        .concat();
    pdf.set(tree, format!("<< /Type /Pages /Count 4 /Kids [{kids}] >>"));
    pdf.set(catalog, format!("<< /Type /Catalog /Pages {tree} 0 R >>"));
    pdf.finish(&format!("/Root {catalog} 0 R"))
}

#[tokio::test]
async fn a_pdf_that_can_be_read_in_part_is_ready_with_its_bad_pages_as_warnings() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let id = client.upload_one(&workspace, "partly.pdf", &partly_readable()).await;
    let document = client.settled(&id).await;
    assert_eq!((&document["status"], &document["error"]), (&json!("ready"), &Value::Null), "{document}");
    let warnings = document["warnings"].as_array().expect("warnings");
    let told: Vec<_> = warnings.iter().map(|w| (w["code"].as_str(), w["message"].as_str())).collect();
    assert_eq!(
        told,
        [
            (Some("pages_unreadable"), Some("Page 2 could not be read.")),
            (Some("pages_without_text"), Some("Page 3 holds no text."))
        ]
    );
    let mut pages: Vec<Value> =
        all_chunks(&client, &id).await.into_iter().map(|chunk| chunk["page"].clone()).collect();
    pages.dedup();
    assert_eq!(pages, [json!(1), json!(4)]);
    // Its page says the same, to everybody who opens it.
    for path in [format!("/d/{id}"), format!("/w/{workspace}")] {
        let page = client.get(&path).await;
        let html = String::from_utf8(page.body).expect("text");
        assert!(
            html.contains("Ready · 2 warnings") && html.contains("Page 2 could not be read."),
            "{path}: {html}"
        );
    }
}
