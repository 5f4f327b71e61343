//! Spans as OTLP writes them in JSON: ids in hexadecimal, times and whole numbers as text.

use super::layer::{Attribute, Ended};
use bytes::Bytes;
use serde_json::{Value, json};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Kinds of spans, as they are numbered there.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
/// The status of a span that went wrong.
const ERROR: u8 = 2;

/// Who sends: one of these is made for each run of the program.
pub struct Resource {
    pub service: String,
    pub instance: String,
}

/// The body of one call.
pub fn body(resource: &Resource, spans: &[Ended]) -> Bytes {
    let text = |key: &str, text: &str| json!({ "key": key, "value": { "stringValue": text } });
    let attributes = [
        text("service.name", &resource.service),
        text("service.version", VERSION),
        text("service.instance.id", &resource.instance),
    ];
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let scope = json!({ "scope": { "name": "insighthub", "version": VERSION }, "spans": spans });
    let whole =
        json!({ "resourceSpans": [{ "resource": { "attributes": attributes }, "scopeSpans": [scope] }] });
    Bytes::from(whole.to_string())
}

fn span(span: &Ended) -> Value {
    let attributes: Vec<Value> = span
        .attributes
        .iter()
        .map(|(key, value)| match value {
            Attribute::Text(text) => json!({ "key": key, "value": { "stringValue": text } }),
            Attribute::Number(number) => json!({ "key": key, "value": { "intValue": number.to_string() } }),
        })
        .collect();
    let mut out = json!({
        "traceId": span.place.trace.hex(),
        "spanId": span.place.id.hex(),
        "name": span.name,
        "kind": if span.serves { SERVER } else { INTERNAL },
        "startTimeUnixNano": span.began.to_string(),
        "endTimeUnixNano": span.ended.to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = span.place.parent {
        out["parentSpanId"] = json!(parent.hex());
    }
    if let Some(why) = &span.failed {
        out["status"] = json!({ "code": ERROR, "message": why });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::{
        identity::{SpanId, TraceId},
        layer::Place,
    };

    #[test]
    fn a_span_is_written_as_the_protocol_says() {
        let trace = TraceId::of("0198c1de-7b4a-7c3e-9a10-0123456789ab");
        let place = Place { trace, id: SpanId::drawn(), parent: Some(trace.root()) };
        let ended = Ended {
            name: "load".to_owned(),
            serves: false,
            place,
            began: 1_700_000_000_000_000_000,
            ended: 1_700_000_000_250_000_000,
            attributes: vec![
                ("correlation_id", Attribute::Text("c".to_owned())),
                ("http.response.status_code", Attribute::Number(503)),
            ],
            failed: Some("no_text".to_owned()),
        };
        let resource = Resource { service: "hub".to_owned(), instance: "one".to_owned() };
        let whole: Value = serde_json::from_slice(&body(&resource, &[ended])).expect("JSON");
        let sent = &whole["resourceSpans"][0];
        let name = json!({ "key": "service.name", "value": { "stringValue": "hub" } });
        assert_eq!(sent["resource"]["attributes"][0], name);
        assert_eq!(
            sent["scopeSpans"][0]["spans"],
            json!([{
                "traceId": "0198c1de7b4a7c3e9a100123456789ab",
                "spanId": place.id.hex(),
                "parentSpanId": "9a100123456789ab",
                "name": "load",
                "kind": 1,
                "startTimeUnixNano": "1700000000000000000",
                "endTimeUnixNano": "1700000000250000000",
                "attributes": [
                    { "key": "correlation_id", "value": { "stringValue": "c" } },
                    { "key": "http.response.status_code", "value": { "intValue": "503" } },
                ],
                "status": { "code": 2, "message": "no_text" },
            }])
        );
    }
}
