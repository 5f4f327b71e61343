//! The interface as a page for people, made from the OpenAPI document. Plain HTML and one style sheet of its own: it
//! needs no script, loads nothing from elsewhere, and keeps the site's policy.

use super::bytes;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;
use std::{fmt::Write, sync::OnceLock};

/// This interface, to read.
#[utoipa::path(get, path = "/api/docs", tag = "operations",
    responses((status = 200, description = "a page", content_type = "text/html")))]
pub async fn page() -> Response {
    // The same for everybody and for the whole life of the process.
    static PAGE: OnceLock<Bytes> = OnceLock::new();
    let page = PAGE.get_or_init(|| {
        let api = serde_json::to_value(super::openapi()).unwrap_or_default();
        Bytes::from(render(&api))
    });
    bytes("text/html; charset=utf-8", page.clone())
}

/// Where the style of that page lies.
pub const STYLE_PATH: &str = "/api/docs.css";

/// The style of that page; no part of the interface.
pub async fn style() -> Response {
    bytes("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()))
}

const STYLE: &str = include_str!("docs.css");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A sentence; what stands between backticks is code.
fn prose(sentence: &str) -> String {
    let parts = sentence.split('`').enumerate();
    let marked = parts.map(|(n, part)| match n % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    marked.collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn render(api: &Value) -> String {
    let title = escape(text(&api["info"], "title"));
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}: the interface</title><link rel=\"icon\" href=\"/favicon.svg\"><link rel=\"stylesheet\" href=\"/api/docs.css\"></head><body><main>\
         <h1>{title} {}</h1><p>{}</p><p><a href=\"/api/openapi.json\">The same for programs</a></p>",
        escape(text(&api["info"], "version")),
        prose(text(&api["info"], "description")),
    );
    for tag in items(&api["tags"]) {
        let name = text(tag, "name");
        push(
            &mut html,
            format_args!(
                "<section aria-labelledby=\"tag-{0}\"><h2 id=\"tag-{0}\">{0}</h2><p>{1}</p>",
                escape(name),
                prose(text(tag, "description"))
            ),
        );
        for (path, methods) in entries(&api["paths"]) {
            for method in METHODS {
                let operation = &methods[method];
                if items(&operation["tags"]).any(|t| t == name) {
                    operation_of(&mut html, method, path, operation);
                }
            }
        }
        html.push_str("</section>");
    }
    html.push_str("<section aria-labelledby=\"shapes\"><h2 id=\"shapes\">Shapes</h2>");
    for (name, schema) in entries(&api["components"]["schemas"]) {
        let name = escape(name);
        push(&mut html, format_args!("<details id=\"shape-{name}\"><summary><code>{name}</code></summary>"));
        note(&mut html, schema);
        fields(&mut html, schema);
        html.push_str("</details>");
    }
    html.push_str("</section></main></body></html>");
    html
}

/// Writing to a `String` cannot fail.
fn push(html: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = html.write_fmt(what);
}

fn note(html: &mut String, of: &Value) {
    let note = text(of, "description");
    if !note.is_empty() {
        push(html, format_args!("<p>{}</p>", prose(note)));
    }
}

fn operation_of(html: &mut String, method: &str, path: &str, operation: &Value) {
    push(
        html,
        format_args!(
            "<details><summary><span class=\"method\" data-method=\"{method}\">{}</span> <code>{}</code> {}</summary>",
            method.to_uppercase(),
            escape(path),
            prose(text(operation, "summary")),
        ),
    );
    note(html, operation);
    if operation["parameters"].is_array() {
        html.push_str("<table><caption>Parameters</caption><tbody>");
        for parameter in items(&operation["parameters"]) {
            push(
                html,
                format_args!(
                    "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td><td>{}</td></tr>",
                    escape(text(parameter, "name")),
                    escape(text(parameter, "in")),
                    shape(&parameter["schema"]),
                    prose(text(parameter, "description")),
                ),
            );
        }
        html.push_str("</tbody></table>");
    }
    for (kind, body) in entries(&operation["requestBody"]["content"]) {
        let shape = if body["schema"].is_null() { "bytes".to_owned() } else { shape(&body["schema"]) };
        push(html, format_args!("<p>Body: {shape} as <code>{}</code></p>", escape(kind)));
    }
    html.push_str("<table><caption>Answers</caption><tbody>");
    for (status, answer) in entries(&operation["responses"]) {
        let bodies: Vec<String> =
            entries(&answer["content"]).map(|(_, content)| shape(&content["schema"])).collect();
        push(
            html,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
                escape(status),
                bodies.join(", "),
                prose(text(answer, "description")),
            ),
        );
    }
    html.push_str("</tbody></table></details>");
}

fn fields(html: &mut String, schema: &Value) {
    if let Some(names) = schema["enum"].as_array() {
        let names: Vec<String> =
            names.iter().filter_map(Value::as_str).map(|n| format!("<code>{}</code>", escape(n))).collect();
        push(html, format_args!("<p>One of {}</p>", names.join(", ")));
    }
    if schema["properties"].is_object() {
        html.push_str("<table><tbody>");
        for (name, property) in entries(&schema["properties"]) {
            push(
                html,
                format_args!(
                    "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td></tr>",
                    escape(name),
                    shape(property),
                    prose(text(property, "description")),
                ),
            );
        }
        html.push_str("</tbody></table>");
    }
    for part in items(&schema["allOf"]) {
        push(html, format_args!("<p>{}</p>", shape(part)));
        fields(html, part);
    }
}

/// A schema in a word or two, with a link where it has a name.
fn shape(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#shape-{name}\">{name}</a>");
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if schema[choice].is_array() {
            let parts: Vec<String> = items(&schema[choice]).map(shape).filter(|s| !s.is_empty()).collect();
            return parts.join(" or ");
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kinds = kinds.iter().map(|kind| match *kind {
        "array" => format!("list of {}", shape(&schema["items"])),
        "null" => "null".to_owned(),
        kind => match text(schema, "format") {
            "" => escape(kind),
            format => format!("{} ({})", escape(kind), escape(format)),
        },
    });
    kinds.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_operation_and_every_shape_is_on_the_page() {
        let api = serde_json::to_value(crate::http::openapi()).expect("JSON");
        let page = render(&api);
        let operations: usize =
            entries(&api["paths"]).map(|(_, m)| METHODS.iter().filter(|k| m[**k].is_object()).count()).sum();
        let shapes = entries(&api["components"]["schemas"]).count();
        assert_eq!(page.matches("<summary>").count(), operations + shapes);
        for (name, _) in entries(&api["components"]["schemas"]) {
            assert!(page.contains(&format!("id=\"shape-{name}\"")), "{name}");
        }
    }

    #[test]
    fn code_in_a_sentence_is_marked_and_nothing_of_it_is_markup() {
        assert_eq!(prose("Lists answer `{items}`; <b>"), "Lists answer <code>{items}</code>; &lt;b&gt;");
    }

    #[test]
    fn a_shape_is_told_in_a_word_or_two() {
        assert_eq!(shape(&json!({ "$ref": "#/components/schemas/Job" })), "<a href=\"#shape-Job\">Job</a>");
        assert_eq!(shape(&json!({ "type": ["string", "null"], "format": "uuid" })), "string (uuid) or null");
        assert_eq!(shape(&json!({ "type": "array", "items": { "type": "string" } })), "list of string");
        assert_eq!(shape(&json!({ "type": "<b>" })), "&lt;b&gt;");
    }
}
