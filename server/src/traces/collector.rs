//! Where traces go, as the operator wrote it.

use super::identity::TraceId;
use percent_encoding::percent_decode_str;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use std::{fmt, str::FromStr};

/// The path of the call, below the address that is set.
const CALL: &str = "/v1/traces";

#[derive(Clone)]
pub struct Collector {
    /// The address of the call.
    pub(super) url: Url,
    /// What goes along with each call, such as a key.
    pub headers: HeaderMap,
    /// By which name this program goes there.
    pub service: String,
    /// Which part of all traces is sent.
    pub share: Share,
}

impl FromStr for Collector {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "give an address such as http://127.0.0.1:4318";
        let mut url = Url::parse(text.trim()).map_err(|_| WRONG)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(WRONG);
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').trim_end_matches(CALL).trim_end_matches('/').to_owned();
        url.set_path(&format!("{path}{CALL}"));
        Ok(Self { url, headers: HeaderMap::new(), service: String::new(), share: Share::ALL })
    }
}

/// Without the headers, and without a password in the address.
impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Collector");
        shown.field("host", &self.url.host_str()).field("service", &self.service).finish_non_exhaustive()
    }
}

/// Headers as they are written in one setting: `name=value`, parted by commas, the values percent-encoded.
pub struct Headers(pub HeaderMap);

impl FromStr for Headers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "use name=value, parted by commas; a comma within a value is %2C";
        let mut headers = HeaderMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(WRONG)?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| WRONG)?;
            let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| WRONG)?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| WRONG)?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(Self(headers))
    }
}

/// How spans are written. Programs that share their settings with this one may speak others.
pub struct Protocol;

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "http/json" => Ok(Self),
            _ => Err("use http/json, or leave it out: this program speaks no other"),
        }
    }
}

/// Which traces are sent, by the standard's names. Each server decides by the trace alone, so all of one are sent or none;
/// whoever calls has no say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    All,
    None,
    /// A part, of which another setting says how large it is.
    Part,
}

impl FromStr for Sampler {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always_on" | "parentbased_always_on" => Ok(Self::All),
            "always_off" | "parentbased_always_off" => Ok(Self::None),
            "traceidratio" | "parentbased_traceidratio" => Ok(Self::Part),
            _ => Err("use always_on, always_off or traceidratio, also with parentbased_ before it"),
        }
    }
}

/// A part of all traces: those whose lot is not below this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    least: u64,
}

impl Share {
    pub const ALL: Self = Self { least: 0 };
    pub const NONE: Self = Self { least: 1 << 56 };

    pub(super) fn takes(self, trace: TraceId) -> bool {
        trace.lot() >= self.least
    }
}

/// From 0, none, to 1, all.
impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(part) if (0.0..=1.0).contains(&part) => {
                Ok(Self { least: ((1.0 - part) * Self::NONE.least as f64) as u64 })
            }
            _ => Err("use a number from 0 to 1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_the_call_however_it_is_written() {
        let url = |text: &str| text.parse::<Collector>().map(|collector| collector.url.to_string());
        for text in [
            "http://otel:4318",
            "http://otel:4318/",
            "http://otel:4318/v1/traces",
            "http://otel:4318/v1/traces/",
        ] {
            assert_eq!(url(text).as_deref(), Ok("http://otel:4318/v1/traces"), "{text}");
        }
        assert_eq!(url("https://example.org/otlp?x=y").as_deref(), Ok("https://example.org/otlp/v1/traces"));
        for text in ["otel:4318", "grpc://otel:4317", ""] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_read_as_the_standard_writes_them_and_never_shown() {
        let headers = "api-key=hush%20hush, x-tenant = 7,".parse::<Headers>().map(|headers| headers.0);
        let headers = headers.expect("right");
        assert_eq!(
            (headers["api-key"].as_bytes(), headers["x-tenant"].as_bytes()),
            (&b"hush hush"[..], &b"7"[..])
        );
        assert!(!format!("{headers:?}").contains("hush"));
        let collector = "http://ada:hush@otel:4318".parse::<Collector>().expect("right");
        assert!(!format!("{:?}", Collector { headers, ..collector }).contains("hush"));
        for text in ["api-key", "two words=x", "a=%0A", "a=%ff"] {
            assert!(text.parse::<Headers>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_takes_its_part_of_the_traces() {
        let parse = |text: &str| text.parse::<Share>();
        assert_eq!((parse("1"), parse("0.0")), (Ok(Share::ALL), Ok(Share::NONE)));
        let taken =
            |share: Share| (0..4_000).filter(|n| share.takes(TraceId::of(&format!("work {n}")))).count();
        assert_eq!((taken(Share::ALL), taken(Share::NONE)), (4_000, 0));
        let quarter = taken(parse("0.25").expect("right"));
        assert!((900..1_100).contains(&quarter), "{quarter}");
        for text in ["", "-0.1", "1.5", "NaN", "half"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
