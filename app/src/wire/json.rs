//! Text into JSON: by the browser where there is one.

use serde_json::Value;

/// `None` when the text is no JSON.
#[cfg(not(target_arch = "wasm32"))]
pub fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// `None` when the text is no JSON.
#[cfg(target_arch = "wasm32")]
pub fn parse(text: &str) -> Option<Value> {
    js_sys::JSON::parse(text).ok().map(browser::value)
}

#[cfg(target_arch = "wasm32")]
mod browser {
    use js_sys::{Array, Object};
    use serde_json::{Map, Value};
    use wasm_bindgen::{JsCast, JsValue};

    /// JavaScript knows every whole number up to here.
    const WHOLE: f64 = 9_007_199_254_740_992.0;

    /// JSON that the browser has parsed.
    pub fn value(js: JsValue) -> Value {
        if let Some(text) = js.as_string() {
            Value::String(text)
        } else if let Some(n) = js.as_f64() {
            number(n)
        } else if let Some(yes) = js.as_bool() {
            Value::Bool(yes)
        } else if Array::is_array(&js) {
            Value::Array(js.unchecked_into::<Array>().iter().map(value).collect())
        } else if js.is_object() {
            Value::Object(fields(&js.unchecked_into()))
        } else {
            Value::Null
        }
    }

    /// Whole numbers stay whole: JavaScript does not tell 1 from 1.0.
    fn number(n: f64) -> Value {
        if n.abs() > WHOLE || n != n.trunc() {
            Value::from(n)
        } else if n < 0.0 {
            Value::from(n as i64)
        } else {
            Value::from(n as u64)
        }
    }

    fn fields(object: &Object) -> Map<String, Value> {
        let field = |entry: JsValue| {
            let entry = entry.unchecked_into::<Array>();
            (entry.get(0).as_string().unwrap_or_default(), value(entry.get(1)))
        };
        Object::entries(object).iter().map(field).collect()
    }
}
