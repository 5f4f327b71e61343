//! A file on its way: the same row as a document's, until that takes its place.
use crate::{
    components::{
        DocumentProgress, FileName, FileTypeIcon, Icon, IconButton, IconName, LoadingSpinner, Size, words,
    },
    upload::{Speed, State, Uploads},
    view,
};
use domain::{files::ACCEPT, message::count};
use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::HtmlInputElement;

#[component]
pub fn UploadRow(key_of: u64) -> impl IntoView {
    let uploads = Uploads::expect();
    let upload = uploads.row(key_of)?;
    let is_long = upload.is_long();
    let state = RwSignal::from(upload.state);
    let kind = Memo::new(move |_| state.with(Kind::of));
    // One place each: a view that takes the place of another one on the same element keeps what that did on a click.
    let may_pause = Memo::new(move |_| is_long && matches!(kind.get(), Kind::Moving | Kind::Held));
    let may_resume = Memo::new(move |_| kind.get() == Kind::Paused);
    let before = uploads.before(key_of);
    // Why the file that was chosen again is not the one that is meant.
    let other = RwSignal::new(None::<String>);
    let percent = Signal::derive(move || match state.get() {
        State::Sending(percent, _)
        | State::Held(percent)
        | State::Paused(percent)
        | State::Reselect(percent) => percent,
        State::Kept | State::Joining => 100.0,
        _ => 0.0,
    });
    let reason = move || match state.get() {
        State::Refused(reason) | State::Broken(reason) => Some(reason),
        State::Sending(_, speed) => speed.map(sentence),
        State::Waiting => before.get().map(place),
        State::Held(_) => Some("Goes on by itself.".to_owned()),
        State::Reselect(_) => other.get().or_else(|| Some("Choose the file again.".to_owned())),
        State::Paused(_) | State::Kept | State::Joining => None,
    };
    let word = move || match state.get() {
        State::Waiting => "Waiting".to_owned(),
        State::Sending(percent, _) => format!("Uploading · {}", words::percent(percent, false)),
        State::Paused(percent) => format!("Paused · {}", words::percent(percent, false)),
        State::Held(percent) | State::Reselect(percent) => {
            format!("Interrupted · {}", words::percent(percent, false))
        }
        State::Kept | State::Joining => "Uploaded".to_owned(),
        State::Refused(_) => "Not taken".to_owned(),
        State::Broken(_) => "Not uploaded".to_owned(),
    };
    let name = upload.name;
    let (label, title, again) = (name.clone(), name.clone(), name.clone());
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
                        Kind::Waiting | Kind::Kept | Kind::Held => view! { <Icon name=IconName::Clock /> },
                        Kind::Paused => view! { <Icon name=IconName::Pause /> },
                        Kind::Reselect => view! { <Icon name=IconName::Warning /> },
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
                    may_pause
                        .get()
                        .then(|| view! {
                            <IconButton icon=IconName::Pause label="Pause upload" on:click=move |_| uploads.pause(key_of) />
                        })
                }}
                {move || {
                    may_resume
                        .get()
                        .then(|| view! {
                            <IconButton icon=IconName::Play label="Resume upload" on:click=move |_| uploads.resume(key_of) />
                        })
                }}
                {move || {
                    (kind.get() == Kind::Reselect)
                        .then(|| view! { <ChooseAgain name=again.clone() chosen=move |file| other.set(uploads.choose_again(key_of, &file)) /> })
                }}
                {move || {
                    let label = match kind.get() {
                        Kind::Broken | Kind::Refused => "Dismiss",
                        Kind::Waiting | Kind::Moving | Kind::Kept | Kind::Held | Kind::Paused | Kind::Reselect => {
                            "Cancel upload"
                        }
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

/// Opens the browser's picker for the file of a row: a page that was loaded anew may not read it by itself.
#[component]
fn ChooseAgain(name: String, chosen: impl Fn(web_sys::File) + 'static) -> impl IntoView {
    let label = format!("Choose {name} again");
    let title = label.clone();
    let on_change = move |ev: ev::Event| {
        let Some(input) = ev.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok()) else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            chosen(file);
        }
        // So that the same file can be chosen again.
        input.set_value("");
    };
    view! {
        <label class="icon-button" title=title>
            <Icon name=IconName::Upload />
            <input class="sr-only" type="file" accept=ACCEPT aria-label=label on:change=on_change />
        </label>
    }
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
    Held,
    Paused,
    Reselect,
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
            State::Held(_) => Kind::Held,
            State::Paused(_) => Kind::Paused,
            State::Reselect(_) => Kind::Reselect,
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
            Kind::Held | Kind::Reselect => "interrupted",
            Kind::Paused => "paused",
            Kind::Moving | Kind::Joining => "processing",
            Kind::Refused | Kind::Broken => "failed",
        }
    }
}
