//! What a plain form shows after it was sent: that it worked, or the typed values again (never a password) with the
//! messages at their fields. On its way to the page it travels in a short-lived cookie, so that nothing personal is in
//! an address.

#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::wire::{Wire, WireJson};
use domain::FieldErrors;
use leptos::prelude::*;
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

/// Longest typed value that is given back, in characters: the longest that any field allows is shown whole.
#[cfg(feature = "ssr")]
const LONGEST_VALUE: usize = 500;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FormState {
    pub values: LiteMap<String, String>,
    pub errors: FieldErrors,
    /// What is wrong with the form as a whole.
    pub message: Option<String>,
    /// What a success tells.
    #[serde(default)]
    pub said: Option<String>,
}

/// What the server does with a form.
#[cfg(feature = "ssr")]
impl FormState {
    pub fn refused(error: &AppError, values: &[(&str, &str)]) -> Self {
        let kept =
            |(name, value): &(&str, &str)| ((*name).to_owned(), value.chars().take(LONGEST_VALUE).collect());
        Self {
            values: values.iter().map(kept).collect(),
            message: error.0.errors.is_empty().then(|| error.0.detail.clone()),
            errors: error.0.errors.clone(),
            said: None,
        }
    }

    /// The messages of a field as one text.
    pub fn error(&self, field: &str) -> Option<String> {
        let messages = self.errors.of(field);
        (!messages.is_empty()).then(|| messages.join(" "))
    }

    /// The field that the cursor belongs in: the first wrong one, else `otherwise`.
    pub fn focus<'a>(&self, fields: &[&'a str], otherwise: &'a str) -> &'a str {
        fields.iter().find(|f| !self.errors.of(f).is_empty()).copied().unwrap_or(otherwise)
    }
}

impl FormState {
    /// What the page at this address has to show of a form that was sent without a script. Called at the top of a page
    /// and not below its data: its place among what the server sends along has to be fixed.
    pub fn of_page() -> Self {
        let Wire(state) = SharedValue::<_, WireJson>::new_with_encoding(|| {
            #[cfg(feature = "ssr")]
            {
                Wire(crate::ssr::flash::take(&crate::ssr::request_path()))
            }
            #[cfg(not(feature = "ssr"))]
            Wire::default()
        })
        .into_inner();
        state
    }

    /// What a form left behind, for the first rendering of its page alone. The browser renders a page once and then
    /// lives on; the server may render a part more than once before it sends it, so there it stays.
    pub fn told_once(left: StoredValue<FormState>) -> Self {
        #[cfg(feature = "ssr")]
        let told = left.try_get_value();
        #[cfg(not(feature = "ssr"))]
        let told = left.try_update_value(std::mem::take);
        told.unwrap_or_default()
    }

    /// All that was wrong, as one text.
    pub fn all_messages(&self) -> String {
        let fields = self.errors.iter().flat_map(|(_, messages)| messages.iter());
        let all: Vec<&str> = self.message.iter().chain(fields).map(String::as_str).collect();
        all.join(" ")
    }

    /// Whether a form of this page was sent back.
    pub fn is_refused(&self) -> bool {
        self.message.is_some() || !self.errors.is_empty()
    }

    /// The messages, with the one for the whole form at a field.
    pub fn at_field(&self, field: &str) -> FieldErrors {
        let mut errors = self.errors.clone();
        if let Some(message) = &self.message {
            errors.add(field, message);
        }
        errors
    }

    /// What a field starts with: what was typed before it was refused, else what is saved.
    pub fn typed_or(&self, field: &str, saved: impl Into<String>) -> String {
        self.values.get(field).cloned().unwrap_or_else(|| saved.into())
    }

    pub fn value(&self, field: &str) -> String {
        self.values.get(field).cloned().unwrap_or_default()
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;
    use domain::Problem;

    #[test]
    fn a_refused_form_keeps_values_and_puts_messages_at_their_fields() {
        let errors = FieldErrors::one("username", "Use 3 to 50 characters.");
        let state =
            FormState::refused(&Problem::invalid(errors).into(), &[("username", "a"), ("email", "a@b.c")]);
        assert_eq!((state.value("username").as_str(), state.value("email").as_str()), ("a", "a@b.c"));
        assert_eq!(state.error("username").as_deref(), Some("Use 3 to 50 characters."));
        assert_eq!((state.error("email"), state.message.as_deref()), (None, None));
        assert_eq!(state.focus(&["email", "username"], "email"), "username");
    }

    #[test]
    fn a_refusal_without_fields_is_told_once_for_the_form() {
        let error = AppError::from(Problem::new(401, "wrong_credentials", "Wrong."));
        let state = FormState::refused(&error, &[("email", "a@b.c")]);
        assert_eq!(state.message.as_deref(), Some("Wrong."));
        assert_eq!(state.focus(&["email"], "password"), "password");
    }
}
