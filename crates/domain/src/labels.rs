//! What a person does with a document beside its content: its name, its tags, and whether searches find it.

use crate::{
    provision::Refusal, resource::Document, timestamp::Timestamp, upload::kept_name, validate::FieldErrors,
};

/// Tags of one document.
pub const MOST_TAGS: usize = 20;
/// Characters of one tag.
pub const LONGEST_TAG: usize = 40;
/// Characters of a name.
const LONGEST_NAME: usize = 200;

/// A change that somebody wants; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    pub filename: Option<String>,
    pub enabled: Option<bool>,
    /// All tags, in place of those that are there.
    pub tags: Option<Vec<String>>,
    pub add_tags: Vec<String>,
    pub remove_tags: Vec<String>,
}

/// A tag as it is kept: in lower case, with single spaces, without a leading `#`.
///
/// # Errors
/// The sentence that says what a tag may be.
pub fn tag(text: &str) -> Result<String, String> {
    let text = text.trim().trim_start_matches('#').to_lowercase();
    let tag = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '/' | '+' | '&');
    if tag.is_empty() {
        Err("Enter a tag.".into())
    } else if tag.chars().count() > LONGEST_TAG {
        Err(format!("A tag has at most {LONGEST_TAG} characters."))
    } else if !tag.chars().all(fits) {
        Err("A tag has letters, digits, spaces, and - _ . / + & only.".into())
    } else {
        Ok(tag)
    }
}

fn tags(field: &str, all: Vec<String>, errors: &mut FieldErrors) -> Vec<String> {
    let mut kept: Vec<String> = vec![];
    for text in all {
        match tag(&text) {
            Ok(tag) => kept.push(tag),
            Err(message) => errors.add(field, message),
        }
    }
    kept.sort_unstable();
    kept.dedup();
    if kept.len() > MOST_TAGS {
        errors.add(field, TOO_MANY.sentence);
    }
    kept
}

/// The sentence has [`MOST_TAGS`].
const TOO_MANY: Refusal = Refusal::new("too_many_tags", "A document has at most 20 tags.");

impl Edit {
    /// The change in the form in which it is kept.
    ///
    /// # Errors
    /// The messages by field.
    pub fn checked(self) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let filename = self.filename.map(|name| {
            if name.trim().is_empty() {
                errors.add("filename", "Enter a name.");
            } else if name.trim().chars().count() > LONGEST_NAME {
                errors.add("filename", format!("A name has at most {LONGEST_NAME} characters."));
            }
            // Nobody means a folder by a slash here.
            kept_name(&name.replace(['/', '\\'], "-"))
        });
        let edit = Self {
            filename,
            enabled: self.enabled,
            tags: self.tags.map(|all| tags("tags", all, &mut errors)),
            add_tags: tags("add_tags", self.add_tags, &mut errors),
            remove_tags: tags("remove_tags", self.remove_tags, &mut errors),
        };
        errors.check()?;
        Ok(edit)
    }

    /// Makes the change; false when all is so already.
    ///
    /// # Errors
    /// When the document would have too many tags.
    pub fn apply(&self, document: &mut Document, now: Timestamp) -> Result<bool, Refusal> {
        let mut tags = self.tags.clone().unwrap_or_else(|| document.tags.clone());
        tags.retain(|tag| !self.remove_tags.contains(tag));
        tags.extend(self.add_tags.iter().cloned());
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > MOST_TAGS {
            return Err(TOO_MANY);
        }
        let filename = self.filename.as_ref().unwrap_or(&document.filename);
        let enabled = self.enabled.unwrap_or(document.enabled);
        if *filename == document.filename && enabled == document.enabled && tags == document.tags {
            return Ok(false);
        }
        document.filename = filename.clone();
        document.enabled = enabled;
        document.tags = tags;
        document.updated_at = now;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_kept_in_one_form() {
        assert_eq!(tag("  #To  Do "), Ok("to do".into()));
        assert_eq!(tag("Übersicht/2026"), Ok("übersicht/2026".into()));
        for bad in ["", "  ", "#", "a\"b", "a,b", "a\nb\u{0}", "a%b"] {
            assert!(tag(bad).is_err(), "{bad:?}");
        }
        assert!(tag(&"x".repeat(LONGEST_TAG)).is_ok() && tag(&"x".repeat(LONGEST_TAG + 1)).is_err());
    }

    #[test]
    fn the_sentence_has_the_bound() {
        assert!(TOO_MANY.sentence.contains(&MOST_TAGS.to_string()));
    }

    #[test]
    fn a_change_names_each_field_that_is_wrong() {
        let wrong = Edit {
            filename: Some(" ".into()),
            tags: Some((0..=MOST_TAGS).map(|n| n.to_string()).collect()),
            add_tags: vec!["?".into()],
            ..Edit::default()
        };
        let errors = wrong.checked().expect_err("refused");
        assert_eq!(errors.count(), 3, "{errors:?}");
        let fine = Edit { filename: Some(" a/b\\c.txt ".into()), ..Edit::default() }.checked().expect("fine");
        assert_eq!(fine.filename.as_deref(), Some("a-b-c.txt"));
    }
}
