//! What the fields of a form hold, and which of them differ from what is saved. What is saved is what the browser
//! itself knows as the default of a field, so no field needs a signal of its own.

use crate::components::tell_input;
use js_sys::JsString;
use wasm_bindgen::JsCast;
use web_sys::{
    Element, FormData, HtmlFormElement, HtmlInputElement, HtmlOptionElement, HtmlSelectElement,
    HtmlTextAreaElement,
};

/// A form as it stands now; in the browser only.
#[derive(Clone)]
pub struct Typed(HtmlFormElement);

/// A field that a person fills in.
enum Control {
    Text(HtmlInputElement),
    /// A checkbox or a radio button.
    Mark(HtmlInputElement),
    Lines(HtmlTextAreaElement),
    Choice(HtmlSelectElement),
}

impl Control {
    fn of(element: &Element) -> Option<Self> {
        if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
            return match input.type_().as_str() {
                _ if input.name().is_empty() => None,
                "hidden" | "submit" | "button" => None,
                "checkbox" | "radio" => Some(Control::Mark(input.clone())),
                _ => Some(Control::Text(input.clone())),
            };
        }
        if let Some(area) = element.dyn_ref::<HtmlTextAreaElement>() {
            return Some(Control::Lines(area.clone()));
        }
        element.dyn_ref::<HtmlSelectElement>().map(|select| Control::Choice(select.clone()))
    }

    fn is_changed(&self) -> bool {
        match self {
            Control::Text(input) => input.value() != input.default_value(),
            Control::Mark(input) => input.checked() != input.default_checked(),
            Control::Lines(area) => area.default_value().is_ok_and(|default| area.value() != default),
            Control::Choice(select) => options(select).any(|o| o.selected() != o.default_selected()),
        }
    }

    /// Makes what it holds the default.
    fn settle(&self) {
        match self {
            Control::Text(input) => input.set_default_value(&input.value()),
            Control::Mark(input) => input.set_default_checked(input.checked()),
            Control::Lines(area) => {
                let _ = area.set_default_value(&area.value());
            }
            Control::Choice(select) => options(select).for_each(|o| o.set_default_selected(o.selected())),
        }
    }
}

fn options(select: &HtmlSelectElement) -> impl Iterator<Item = HtmlOptionElement> + use<> {
    let select = select.clone();
    (0..select.length()).filter_map(move |i| select.item(i)?.dyn_into().ok())
}

impl Typed {
    pub fn of(form: &HtmlFormElement) -> Self {
        Self(form.clone())
    }

    fn elements(&self) -> impl Iterator<Item = Element> + use<> {
        let all = self.0.elements();
        (0..all.length()).filter_map(move |i| all.item(i))
    }

    /// What a field holds, in the form in which the server reads it: a letter and its accent are one character. Empty
    /// when it is not there or not marked.
    pub fn text(&self, field: &str) -> String {
        let data = FormData::new_with_form(&self.0).ok();
        let text = data.and_then(|d| d.get(field).as_string()).unwrap_or_default();
        if text.is_ascii() { text } else { JsString::from(text).normalize("NFC").into() }
    }

    /// The names of the changed fields, as their labels say them.
    pub fn changed(&self) -> Vec<String> {
        let mut labels = Vec::new();
        for element in self.elements() {
            if Control::of(&element).is_some_and(|control| control.is_changed()) {
                let place = element.closest("[data-field]").ok().flatten();
                let label = place.and_then(|p| p.get_attribute("data-field")).unwrap_or_default();
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
        }
        labels
    }

    /// Takes what is typed for saved. The reset makes the fields follow later changes of what is saved.
    pub fn settle(&self) {
        self.elements().filter_map(|e| Control::of(&e)).for_each(|control| control.settle());
        self.0.reset();
    }

    /// Fills a field in as if it had been typed.
    pub fn fill(&self, field: &str, value: &str) {
        for element in self.elements().filter(|e| e.get_attribute("name").as_deref() == Some(field)) {
            match Control::of(&element) {
                Some(Control::Text(input)) => input.set_value(value),
                Some(Control::Mark(input)) => {
                    let is_radio = input.type_() == "radio";
                    input.set_checked(if is_radio { input.value() == value } else { !value.is_empty() });
                }
                Some(Control::Lines(area)) => area.set_value(value),
                Some(Control::Choice(select)) => select.set_value(value),
                None => {}
            }
        }
        tell_input(&self.0);
    }
}
