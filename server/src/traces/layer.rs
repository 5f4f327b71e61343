//! Takes note of the spans of this program, and hands each on when it has ended.
//!
//! What of a span may leave this machine is in one table, `TOLD`: ids, routes, numbers and stable words. A field that is not
//! in it stays here, so that no later one tells by accident what people typed or uploaded.

use super::{
    collector::Share,
    identity::{SpanId, TraceId},
};
use crate::adapters::SystemClock;
use services::ports::Clock;
use std::{fmt, time::Instant};
use tokio::sync::mpsc;
use tracing::{
    Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, LevelFilter, filter_fn},
    layer::Context,
    registry::LookupSpan,
};
use uuid::Uuid;

/// Whose spans are sent: those of our own crates.
const OURS: [&str; 6] = ["server", "services", "ingest", "chat", "messaging", "storage"];

/// A field of a span, by which name it is sent, and what it may be.
struct Told {
    field: &'static str,
    attribute: &'static str,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// A UUID; something else in its place is not sent.
    Id,
    /// One of a few words of ours.
    Word,
    /// One of HTTP's own; anybody may send another one, which is not told.
    Method,
    Number,
}

const fn told(field: &'static str, attribute: &'static str, what: What) -> Told {
    Told { field, attribute, what }
}

static TOLD: [Told; 11] = [
    told("request_id", "correlation_id", What::Id),
    told("correlation_id", "correlation_id", What::Id),
    told("began", "began", What::Id),
    told("concerns", "concerns", What::Id),
    told("job_id", "job_id", What::Id),
    told("document_id", "document_id", What::Id),
    told("workspace_id", "workspace_id", What::Id),
    told("method", "http.request.method", What::Method),
    told("route", "http.route", What::Word),
    told("status", "http.response.status_code", What::Number),
    told("code", "error.type", What::Word),
];

const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
/// What stands for every other one, by the conventions of OpenTelemetry.
const OTHER_METHOD: &str = "_OTHER";

/// Words longer than this are none.
const LONGEST_WORD: usize = 100;

/// Fields that name the work that a span belongs to, the most telling first, and whether it is where that work began.
const PLACES: [(&str, bool); 5] = [
    ("began", true),
    ("concerns", false),
    ("job_id", false),
    ("correlation_id", false),
    ("request_id", true),
];

/// Takes note of spans.
pub struct Spans {
    ended: mpsc::Sender<Ended>,
    share: Share,
}

/// A span that has ended.
#[derive(Debug)]
pub struct Ended {
    pub name: String,
    /// It is somebody's request.
    pub serves: bool,
    pub place: Place,
    /// Nanoseconds since 1970.
    pub began: u64,
    pub ended: u64,
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it did not end well; empty where there is no word for it.
    pub failed: Option<String>,
}

/// Where a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    Text(String),
    Number(i64),
}

/// A span that has not ended: kept beside it.
struct Open {
    began: u64,
    timer: Instant,
    /// Where it is the root of no trace.
    id: SpanId,
    fields: Fields,
}

impl Open {
    /// Where it stands when no other span is around it.
    fn outermost(&self) -> Place {
        let named = PLACES.iter().find_map(|(field, roots)| Some((self.fields.text(field)?, *roots)));
        match named.map(|(work, roots)| (TraceId::of(work), roots)) {
            Some((trace, true)) => Place { trace, id: trace.root(), parent: None },
            Some((trace, false)) => Place { trace, id: self.id, parent: Some(trace.root()) },
            None => Place { trace: TraceId::of(&self.id.hex()), id: self.id, parent: None },
        }
    }
}

/// What is kept of a span's fields.
#[derive(Default)]
struct Fields(Vec<(&'static Told, Attribute)>);

impl Fields {
    fn text(&self, field: &str) -> Option<&str> {
        self.0.iter().find_map(|(told, value)| match value {
            Attribute::Text(text) if told.field == field => Some(text.as_str()),
            _ => None,
        })
    }

    fn number(&self, field: &str) -> Option<i64> {
        self.0.iter().find_map(|(told, value)| match value {
            Attribute::Number(number) if told.field == field => Some(*number),
            _ => None,
        })
    }

    fn keep_text(&mut self, field: &Field, text: &str) {
        let Some(told) = TOLD.iter().find(|told| told.field == field.name()) else { return };
        let is_right = match told.what {
            What::Id => Uuid::parse_str(text).is_ok(),
            What::Word => text.len() <= LONGEST_WORD,
            What::Method => METHODS.contains(&text),
            What::Number => false,
        };
        if told.what == What::Method && !is_right {
            return self.keep(told, Attribute::Text(OTHER_METHOD.to_owned()));
        }
        if is_right {
            self.keep(told, Attribute::Text(text.to_owned()));
        }
    }

    fn keep_number(&mut self, field: &Field, number: i64) {
        let told = TOLD.iter().find(|told| told.field == field.name() && told.what == What::Number);
        if let Some(told) = told {
            self.keep(told, Attribute::Number(number));
        }
    }

    fn keep(&mut self, told: &'static Told, value: Attribute) {
        // What is recorded once more takes the place of what was there.
        self.0.retain(|(before, _)| before.field != told.field);
        self.0.push((told, value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep_text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep_number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep_number(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if TOLD.iter().any(|told| told.field == field.name()) {
            self.keep_text(field, &format!("{value:?}"));
        }
    }
}

impl Spans {
    pub(super) fn new(ended: mpsc::Sender<Ended>, share: Share) -> Self {
        Self { ended, share }
    }

    /// What this layer is to see, whatever the log shows.
    pub fn filter() -> FilterFn {
        let ours: fn(&Metadata<'_>) -> bool = |metadata| {
            let krate = metadata.target().split("::").next().unwrap_or_default();
            metadata.is_span() && *metadata.level() <= Level::DEBUG && OURS.contains(&krate)
        };
        filter_fn(ours).with_max_level_hint(LevelFilter::DEBUG)
    }
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let micros = u64::try_from(SystemClock.now().micros()).unwrap_or(0);
        let open =
            Open { began: micros.saturating_mul(1_000), timer: Instant::now(), id: SpanId::drawn(), fields };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(open) = extensions.get_mut::<Open>() {
            values.record(&mut open.fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let open = span.extensions_mut().remove::<Open>();
        let Some(open) = open else { return };
        // The spans around it are open as long as it is; of what they are told later it knows nothing.
        let around: Vec<(SpanId, Place)> = span
            .scope()
            .skip(1)
            .filter_map(|outer| {
                let extensions = outer.extensions();
                let outer = extensions.get::<Open>()?;
                Some((outer.id, outer.outermost()))
            })
            .collect();
        let place = match around.as_slice() {
            [] => open.outermost(),
            // The outermost one says which trace it is, and may be its root.
            [(_, root)] => Place { trace: root.trace, id: open.id, parent: Some(root.id) },
            [(parent, _), .., (_, root)] => Place { trace: root.trace, id: open.id, parent: Some(*parent) },
        };
        if !self.share.takes(place.trace) {
            return;
        }
        let serves = span.name() == "request";
        let failed = if serves {
            open.fields.number("status").filter(|status| *status >= 500).map(|_| String::new())
        } else {
            open.fields.text("code").map(str::to_owned)
        };
        let name = match (open.fields.text("method"), open.fields.text("route")) {
            (Some(method), Some(route)) => format!("{method} {route}"),
            _ => span.name().to_owned(),
        };
        let took = u64::try_from(open.timer.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let ended = Ended {
            name,
            serves,
            place,
            began: open.began,
            ended: open.began.saturating_add(took),
            attributes: open.fields.0.into_iter().map(|(told, value)| (told.attribute, value)).collect(),
            failed,
        };
        if self.ended.try_send(ended).is_err() {
            metrics::counter!("insighthub_spans_dropped_total").increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{debug_span, field::Empty, info_span, trace_span};
    use tracing_subscriber::{layer::SubscriberExt, registry};

    const REQUEST: &str = "0198c1de-0000-7000-8000-000000000001";
    const JOB: &str = "0198c1de-0000-7000-8000-000000000002";
    const DOCUMENT: &str = "0198c1de-0000-7000-8000-000000000003";

    /// The spans that were handed on while that was done, in the order in which they ended.
    fn ended(share: Share, work: impl FnOnce()) -> Vec<Ended> {
        let (sender, mut receiver) = mpsc::channel(16);
        let layer = Spans::new(sender, share).with_filter(Spans::filter());
        tracing::subscriber::with_default(registry().with(layer), work);
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    /// What [`crate::http`] makes of a request.
    fn request() -> tracing::Span {
        info_span!(
            "request",
            request_id = REQUEST,
            method = "POST",
            route = "/x/{id}",
            status = Empty,
            began = Empty,
            concerns = Empty
        )
    }

    fn attribute<'s>(span: &'s Ended, name: &str) -> Option<&'s Attribute> {
        span.attributes.iter().find_map(|(key, value)| (*key == name).then_some(value))
    }

    #[test]
    fn a_request_is_the_root_of_what_it_began_and_the_work_goes_below_it() {
        let spans = ended(Share::ALL, || {
            let request = request();
            request.record("began", JOB);
            request.record("status", 202_u16);
            drop(request);
            let document = info_span!("document", correlation_id = DOCUMENT, job_id = JOB, code = Empty);
            document.in_scope(|| drop(debug_span!("load", correlation_id = DOCUMENT)));
            document.record("code", "no_text");
        });
        let [request, load, document] = spans.as_slice() else { panic!("{spans:?}") };
        let trace = TraceId::of(JOB);
        assert_eq!(request.place, Place { trace, id: trace.root(), parent: None });
        assert_eq!((document.place.trace, document.place.parent), (trace, Some(trace.root())));
        assert_eq!((load.place.trace, load.place.parent), (trace, Some(document.place.id)));
        assert_eq!((request.name.as_str(), load.name.as_str()), ("POST /x/{id}", "load"));
        assert_eq!((request.serves, document.serves), (true, false));
        assert_eq!(attribute(request, "correlation_id"), Some(&Attribute::Text(REQUEST.to_owned())));
        assert_eq!(attribute(request, "http.response.status_code"), Some(&Attribute::Number(202)));
        assert_eq!(attribute(document, "correlation_id"), Some(&Attribute::Text(DOCUMENT.to_owned())));
        assert_eq!((&request.failed, document.failed.as_deref()), (&None, Some("no_text")));
    }

    #[test]
    fn a_request_that_begins_nothing_is_a_trace_by_itself_or_goes_below_what_it_concerns() {
        let spans = ended(Share::ALL, || {
            request().record("status", 503_u16);
            request().record("concerns", JOB);
        });
        let [alone, other] = spans.as_slice() else { panic!("{spans:?}") };
        let own = TraceId::of(REQUEST);
        assert_eq!(alone.place, Place { trace: own, id: own.root(), parent: None });
        assert_eq!(alone.failed.as_deref(), Some(""));
        let job = TraceId::of(JOB);
        assert_eq!((other.place.trace, other.place.parent), (job, Some(job.root())));
        assert_ne!(other.place.id, job.root());
    }

    #[test]
    fn what_is_not_in_the_table_stays_here_and_so_does_what_is_no_id() {
        let long = "x".repeat(LONGEST_WORD + 1);
        let spans = ended(Share::ALL, || {
            drop(info_span!(
                "document",
                correlation_id = "ada@example.org",
                filename = "will.pdf",
                code = long
            ));
            drop(info_span!("request", method = "ADA-LOVELACE", route = "/x"));
            drop(info_span!(target: "hyper", "connection"));
            drop(trace_span!("detail"));
        });
        let [document, odd] = spans.as_slice() else { panic!("{spans:?}") };
        assert!(document.attributes.is_empty(), "{document:?}");
        assert_eq!(odd.name, "_OTHER /x");
        assert!(ended(Share::NONE, || drop(request())).is_empty());
    }
}
