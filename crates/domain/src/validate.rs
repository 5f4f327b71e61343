//! What may be entered. Each rule and its message stand here once; the form, the server function and the REST body
//! all say the same.

use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Messages by field, in the order of the field names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(value_type = std::collections::BTreeMap<String, Vec<String>>)
)]
#[serde(transparent)]
pub struct FieldErrors(LiteMap<String, Vec<String>>);

impl FieldErrors {
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(message.into());
    }

    /// Keeps the value, or notes the messages under `field`.
    pub fn take<T>(&mut self, field: &str, result: Result<T, Invalid>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Invalid(messages)) => {
                self.0.entry(field.to_owned()).or_default().extend(messages);
                None
            }
        }
    }

    pub fn of(&self, field: &str) -> &[String] {
        self.0.get(field).map_or(&[], Vec::as_slice)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets the messages of all fields but those.
    pub fn keep(&mut self, mut fields: impl FnMut(&str) -> bool) {
        self.0.retain(|field, _| fields(field));
    }

    /// How many fields have a message.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_slice()))
    }

    /// `Err(self)` when there is any message.
    pub fn check(self) -> Result<(), FieldErrors> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Why one value is refused: one message a broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<String>);

impl Invalid {
    fn because(message: impl Into<String>) -> Self {
        Self(vec![message.into()])
    }
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_newtype!(
    /// 3–50 of letters, digits, `-`, `_`.
    Username
);
text_newtype!(
    /// An address with one `@`, kept in lower case, at most 254 characters.
    Email
);
text_newtype!(
    /// 3–100 of letters, digits, space, `-`, `_`; outer spaces are removed.
    WorkspaceName
);
text_newtype!(
    /// At most 500 characters.
    Description
);
text_newtype!(
    /// At most 100 characters, no control characters.
    FullName
);
text_newtype!(
    /// 1–60 characters, no control characters; outer spaces are removed.
    KeyName
);

/// Turns the direction of what follows, so that a text reads as another one than it is.
pub const fn turns_text(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Takes no ink, although it is no space: joiners, fillers and marks of formats.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}'
    ) || turns_text(c)
}

/// A name that people can see, and that does not pretend to be another one. Joiners between letters are a part of some
/// scripts, and stay.
fn is_name(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || turns_text(c))
        && text.chars().any(|c| !c.is_whitespace() && !is_invisible(c))
}

impl Username {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let n = text.chars().count();
        if !(3..=50).contains(&n) {
            return Err(Invalid::because("Use 3 to 50 characters."));
        }
        if !text.chars().all(|c| (c.is_alphanumeric() && !is_invisible(c)) || c == '-' || c == '_') {
            return Err(Invalid::because("Use letters, digits, - and _ only."));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Email {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_lowercase();
        let wrong = || Invalid::because("Enter an e-mail address, such as ada@example.org.");
        let (local, host) = text.split_once('@').ok_or_else(wrong)?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && local.chars().all(|c| !c.is_whitespace() && !c.is_control() && !is_invisible(c));
        let host_ok = host.split('.').count() >= 2
            && host.split('.').all(|label| {
                !label.is_empty()
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            });
        if text.len() > 254 || !local_ok || !host_ok {
            return Err(wrong());
        }
        Ok(Self(text))
    }
}

impl WorkspaceName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let n = text.chars().count();
        if !(3..=100).contains(&n) {
            return Err(Invalid::because("Use 3 to 100 characters."));
        }
        if !text.chars().all(|c| (c.is_alphanumeric() && !is_invisible(c)) || matches!(c, ' ' | '-' | '_')) {
            return Err(Invalid::because("Use letters, digits, spaces, - and _ only."));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Description {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.chars().count() > 500 {
            return Err(Invalid::because("Use at most 500 characters."));
        }
        // PostgreSQL cannot keep a zero, and nobody types the others.
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(Invalid::because("Use letters, spaces, line breaks and punctuation only."));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FullName {
    /// An empty name is no name.
    pub fn parse(text: &str) -> Result<Option<Self>, Invalid> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text.chars().count() > 100 {
            return Err(Invalid::because("Use at most 100 characters."));
        }
        if !is_name(text) {
            return Err(Invalid::because("Use letters, spaces and punctuation only."));
        }
        Ok(Some(Self(text.to_owned())))
    }
}

/// One of a set of names, such as the themes.
pub fn choice<T: FromStr + fmt::Display>(text: &str, all: &[T]) -> Result<T, Invalid> {
    text.trim().parse().map_err(|_| {
        let names: Vec<String> = all.iter().map(ToString::to_string).collect();
        match names.as_slice() {
            [only] => Invalid::because(format!("Use {only}.")),
            names => Invalid::because(format!("Use one of {}.", names.join(", "))),
        }
    })
}

impl KeyName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if !(1..=60).contains(&text.chars().count()) {
            return Err(Invalid::because("Use 1 to 60 characters."));
        }
        if !is_name(text) {
            return Err(Invalid::because("Use letters, digits, spaces and punctuation only."));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A rule of the password, and whether a text keeps it; the form ticks them as one types.
#[derive(Clone, Copy, Debug)]
pub struct PasswordRule {
    pub message: &'static str,
    keeps: fn(&str) -> bool,
}

impl PasswordRule {
    pub fn is_kept_by(&self, text: &str) -> bool {
        (self.keeps)(text)
    }
}

/// 8–128 characters, upper, lower and digit.
pub const PASSWORD_RULES: [PasswordRule; 4] = [
    PasswordRule { message: "Use 8 to 128 characters.", keeps: |t| (8..=128).contains(&t.chars().count()) },
    PasswordRule { message: "Use an upper-case letter.", keeps: |t| t.chars().any(char::is_uppercase) },
    PasswordRule { message: "Use a lower-case letter.", keeps: |t| t.chars().any(char::is_lowercase) },
    PasswordRule { message: "Use a digit.", keeps: |t| t.chars().any(|c| c.is_ascii_digit()) },
];

/// Each rule of the password with whether `text` keeps it, for a list that is ticked while somebody types.
pub fn password_rules(text: &str) -> [(&'static str, bool); PASSWORD_RULES.len()] {
    PASSWORD_RULES.map(|rule| (rule.message, rule.is_kept_by(text)))
}

/// The password that somebody says is the present one: it has to be there; whether it is right is found out elsewhere.
pub fn current_password(text: &str) -> Result<(), Invalid> {
    if text.is_empty() { Err(Invalid::because("Enter your current password.")) } else { Ok(()) }
}

/// A password that keeps the rules. It is never shown, logged or serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let broken: Vec<String> =
            PASSWORD_RULES.iter().filter(|r| !r.is_kept_by(text)).map(|r| r.message.to_owned()).collect();
        if broken.is_empty() { Ok(Self(text.to_owned())) } else { Err(Invalid(broken)) }
    }

    /// A new password in place of `current`.
    pub fn instead_of(current: &str, text: &str) -> Result<Self, Invalid> {
        let password = Self::parse(text)?;
        if text == current {
            return Err(Invalid::because("This is your current password. Choose another one."));
        }
        Ok(password)
    }

    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usernames_keep_their_rules() {
        for good in ["ada", "Ada_L-1815", "Zoë", &"a".repeat(50)] {
            assert!(Username::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "a b", "a/b", "ada@x", &"a".repeat(51)] {
            assert!(Username::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_kept_in_lower_case_and_checked() {
        assert_eq!(Email::parse("  Ada@Example.ORG ").unwrap().as_str(), "ada@example.org");
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@localhost",
            "a b@example.org",
            "ada@-x.org",
            "a@b@c.org",
            "ada@example..org",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn workspace_names_keep_their_rules() {
        assert_eq!(WorkspaceName::parse("  My documents ").unwrap().as_str(), "My documents");
        for bad in ["ab", "a.b.c", "<script>", &"a".repeat(101)] {
            assert!(WorkspaceName::parse(bad).is_err(), "{bad}");
        }
        assert!(Description::parse(&"é".repeat(500)).is_ok());
        assert!(Description::parse(&"é".repeat(501)).is_err());
    }

    #[test]
    fn a_weak_password_names_each_rule_it_breaks() {
        let Err(Invalid(broken)) = Password::parse("short") else { panic!("accepted") };
        assert_eq!(broken, ["Use 8 to 128 characters.", "Use an upper-case letter.", "Use a digit."]);
        assert!(Password::parse("Correct1horse").is_ok());
        assert!(Password::parse(&format!("Aa1{}", "x".repeat(125))).is_ok());
        assert!(Password::parse(&format!("Aa1{}", "x".repeat(126))).is_err());
    }

    #[test]
    fn each_password_rule_is_told_by_itself() {
        let kept = |text: &str| password_rules(text).map(|(_, kept)| kept);
        assert_eq!(kept(""), [false; 4]);
        assert_eq!(kept("abc"), [false, false, true, false]);
        assert_eq!(kept("ABCDEFG1"), [true, true, false, true]);
        assert_eq!(kept("Correct1horse"), [true; 4]);
        let Err(Invalid(broken)) = Password::parse("abc") else { panic!("accepted") };
        let unticked: Vec<&str> =
            password_rules("abc").iter().filter(|(_, kept)| !kept).map(|(m, _)| *m).collect();
        assert_eq!(broken, unticked, "the list and the refusal say the same");
    }

    #[test]
    fn a_new_password_is_another_one() {
        let same = Password::instead_of("Correct1horse", "Correct1horse");
        assert_eq!(same, Err(Invalid::because("This is your current password. Choose another one.")));
        assert!(Password::instead_of("Correct1horse", "Correct2horse").is_ok());
        let Err(Invalid(broken)) = Password::instead_of("short", "short") else { panic!("accepted") };
        assert_eq!(broken.len(), 3, "the rules come first");
        assert!(current_password("").is_err() && current_password("x").is_ok());
    }

    #[test]
    fn a_choice_names_what_may_be_chosen() {
        use crate::resource::{Language, Theme};
        assert_eq!(choice("dark", Theme::ALL), Ok(Theme::Dark));
        assert_eq!(choice("pink", Theme::ALL), Err(Invalid::because("Use one of light, dark, system.")));
        assert_eq!(choice("xx", Language::ALL), Err(Invalid::because("Use en.")));
    }

    #[test]
    fn a_password_never_shows_itself() {
        assert_eq!(format!("{:?}", Password::parse("Correct1horse").unwrap()), "Password(…)");
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_accepted_names_parse_to_themselves(text in "\\PC{0,120}") {
            if let Ok(name) = WorkspaceName::parse(&text) {
                prop_assert_eq!(WorkspaceName::parse(name.as_str()), Ok(name.clone()));
            }
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
            }
            let _ = Username::parse(&text);
            let _ = Password::parse(&text);
        }
    }
}
