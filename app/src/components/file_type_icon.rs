//! The icon of a file's type. It has no colour of its own: in a list, colour tells of states alone.

use super::IconName;
use crate::view;
use leptos::prelude::*;

/// `mime`: the type that the content was found to be.
#[component]
pub fn FileTypeIcon(#[prop(into)] mime: Signal<String>, #[prop(default = 16)] size: u8) -> impl IntoView {
    let kind = Memo::new(move |_| mime.with(|m| kind(m)));
    view! {
        <svg
            class=if size == 20 { "icon icon-20 file-icon" } else { "icon file-icon" }
            viewBox="0 0 16 16"
            role="img"
            aria-label=move || kind.get().1
            inner_html=move || kind.get().0.body()
        ></svg>
    }
}

fn kind(mime: &str) -> (IconName, &'static str) {
    let plain = mime.split(';').next().unwrap_or_default().trim();
    match plain {
        "application/pdf" => (IconName::FilePdf, "PDF"),
        "text/html" | "application/xhtml+xml" => (IconName::FileHtml, "HTML"),
        "text/markdown" => (IconName::FileMarkdown, "Markdown"),
        "text/plain" => (IconName::FileText, "Text"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => {
            (IconName::FileWord, "Word")
        }
        "text/csv" => (IconName::FileTable, "CSV"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => (IconName::FileTable, "Excel"),
        "application/json" => (IconName::FileJson, "JSON"),
        _ => (IconName::File, "File"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_of_the_type_does_not_hide_it() {
        assert_eq!(kind("text/html; charset=utf-8").1, "HTML");
        assert_eq!(kind("application/octet-stream").1, "File");
        assert_eq!(kind("").1, "File");
    }
}
