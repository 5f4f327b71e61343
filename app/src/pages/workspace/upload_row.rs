//! A file on its way: the same row as a document's, until that takes its place.
use crate::{
    components::{
        DocumentProgress, FileName, FileTypeIcon, Icon, IconButton, IconName, LoadingSpinner, Size, words,
    },
    upload::{Speed, State, Uploads},
    view,
};
use domain::message::count;
use leptos::prelude::*;

#[component]
pub fn UploadRow(key_of: u64) -> impl IntoView {
    let uploads = Uploads::expect();
    let upload = uploads.row(key_of)?;
    let state = RwSignal::from(upload.state);
    let kind = Memo::new(move |_| state.with(Kind::of));
    let before = uploads.before(key_of);
    let percent = Signal::derive(move || match state.get() {
        State::Sending(percent, _) => percent,
        State::Kept | State::Joining => 100.0,
        _ => 0.0,
    });
    let reason = move || match state.get() {
        State::Refused(reason) | State::Broken(reason) => Some(reason),
        State::Sending(_, speed) => speed.map(sentence),
        State::Waiting => before.get().map(place),
        State::Kept | State::Joining => None,
    };
    let word = move || match state.get() {
        State::Waiting => "Waiting".to_owned(),
        State::Sending(percent, _) => format!("Uploading · {}", words::percent(percent, false)),
        State::Kept | State::Joining => "Uploaded".to_owned(),
        State::Refused(_) => "Not taken".to_owned(),
        State::Broken(_) => "Not uploaded".to_owned(),
    };
    let name = upload.name;
    let (label, title) = (name.clone(), name.clone());
    Some(view! {
        <div class="doc-row" role="row" data-upload=label data-status=move || kind.get().status()>
            <span class="doc-icon" role="cell">
                <FileTypeIcon mime=upload.mime />
            </span>
            <span class="doc-name font-medium" role="cell" title=title>
                <FileName name />
            </span>
            <span class="doc-state" role="cell">
                <span class="badge" data-status=move || kind.get().status() data-size="sm">
                    {move || match kind.get() {
                        Kind::Waiting | Kind::Kept => view! { <Icon name=IconName::Clock /> },
                        Kind::Moving | Kind::Joining => view! { <LoadingSpinner size=Size::Md /> },
                        Kind::Refused | Kind::Broken => view! { <Icon name=IconName::CrossCircle /> },
                    }}
                    <span class="badge-word">{word}</span>
                </span>
            </span>
            <span class="doc-message" role="cell" title=reason>
                {reason}
            </span>
            <span class="doc-size" role="cell">
                {words::bytes(upload.size)}
            </span>
            <span class="doc-when" role="cell"></span>
            <span class="doc-actions opacity-100!" role="cell">
                {move || {
                    (kind.get() == Kind::Broken)
                        .then(|| view! {
                            <IconButton icon=IconName::Retry label="Try again" on:click=move |_| uploads.retry(key_of) />
                        })
                }}
                {move || {
                    let label = match kind.get() {
                        Kind::Broken | Kind::Refused => "Dismiss",
                        Kind::Waiting | Kind::Moving | Kind::Kept => "Cancel upload",
                        Kind::Joining => return None,
                    };
                    Some(view! {
                        <IconButton icon=IconName::Cross label on:click=move |_| uploads.dismiss(key_of) />
                    })
                }}
            </span>
            <DocumentProgress value=percent />
        </div>
    })
}

/// "2 files before this one"
fn place(before: usize) -> String {
    format!("{} before this one", count(before as u64, "file", "files"))
}

/// "1.2 MB/s · about 3 s left"
fn sentence(speed: Speed) -> String {
    format!("{}/s · {}", words::bytes(speed.bytes_a_second), words::time_left(speed.seconds_left))
}

/// The state without its figures: what decides how the row looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Waiting,
    Moving,
    Kept,
    Joining,
    Refused,
    Broken,
}

impl Kind {
    fn of(state: &State) -> Self {
        match state {
            State::Waiting => Kind::Waiting,
            State::Sending(..) => Kind::Moving,
            State::Kept => Kind::Kept,
            State::Joining => Kind::Joining,
            State::Refused(_) => Kind::Refused,
            State::Broken(_) => Kind::Broken,
        }
    }

    /// Name for CSS and tests, of the state that a document would have.
    const fn status(self) -> &'static str {
        match self {
            Kind::Waiting | Kind::Kept => "pending",
            Kind::Moving | Kind::Joining => "processing",
            Kind::Refused | Kind::Broken => "failed",
        }
    }
}
