//! Asking what becomes of files that the workspace has already: once for all that were added together.

use crate::{
    components::{Button, ButtonKind, Dialog},
    effect::effect_after,
    upload::{Double, Uploads},
    view,
};
use domain::{
    OnDuplicate, WorkspaceId,
    message::{count, number},
};
use leptos::prelude::*;

/// Files that are named.
const NAMED: usize = 8;

/// Closing it in any way is to skip them: nothing is sent that nobody wanted.
#[component]
pub fn Doubled(id: WorkspaceId) -> impl IntoView {
    let uploads = Uploads::expect();
    let question = uploads.question(id);
    let open = RwSignal::new(false);
    effect_after(move |_: Option<()>| open.set(question.with(Option::is_some)));
    effect_after(move |was_open: Option<bool>| {
        let is_open = open.get();
        if was_open == Some(true) && !is_open {
            uploads.answer(id, OnDuplicate::Skip);
            // Another one may wait behind it.
            open.set(question.with_untracked(Option::is_some));
        }
        is_open
    });
    let answer = move |way: OnDuplicate| uploads.answer(id, way);
    let doubles =
        Memo::new(move |_| question.with(|q| q.as_ref().map(|q| q.doubles.clone()).unwrap_or_default()));
    view! {
        <Dialog id="doubled" title="Some of this is here already" open>
            <p>{move || question.with(|q| q.as_ref().map(|q| said(q.doubles.len() as u64, q.of as u64)))}</p>
            <ul class="doubled-list">
                {move || doubles.with(|all| all.iter().take(NAMED).map(line).collect_view())}
                {move || {
                    let more = doubles.with(Vec::len).saturating_sub(NAMED) as u64;
                    (more > 0).then(|| view! { <li class="meta">{format!("and {} more", number(more))}</li> })
                }}
            </ul>
            <div class="doubled-ways" role="group" aria-label=move || for_all(doubles.with(Vec::len) as u64)>
                <p class="meta">{move || for_all(doubles.with(Vec::len) as u64)}</p>
                {[
                    (OnDuplicate::Skip, "Skip", "They are not sent; what is here stays as it is."),
                    (OnDuplicate::Replace, "Replace", "Each becomes the next version of its document; the one before stays in its history."),
                    (OnDuplicate::KeepBoth, "Keep both", "Each becomes a document of its own."),
                ]
                    .map(|(way, words, means)| {
                        let kind = if way == OnDuplicate::Skip { ButtonKind::Primary } else { ButtonKind::Plain };
                        view! {
                            <div class="doubled-way">
                                <Button kind on:click=move |_| answer(way) attr:autofocus=way == OnDuplicate::Skip attr:data-way=way.as_str()>
                                    {words}
                                </Button>
                                <span class="meta">{means}</span>
                            </div>
                        }
                    })
                    .collect_view()}
            </div>
        </Dialog>
    }
}

fn said(doubled: u64, of: u64) -> String {
    match (doubled, of) {
        (1, 1) => "The workspace has this file already.".to_owned(),
        (n, of) if n == of => format!("The workspace has all {} already.", count(of, "file", "files")),
        (n, of) => format!("The workspace has {} of {} already.", number(n), count(of, "file", "files")),
    }
}

fn for_all(n: u64) -> String {
    match n {
        1 => "What is to become of it?".to_owned(),
        n => format!("For all {}:", count(n, "file", "files")),
    }
}

fn line(double: &Double) -> impl IntoView + use<> {
    let means = match (double.same, double.name == double.document) {
        (true, true) => "the very same file".to_owned(),
        (true, false) => format!("the same as {}", double.document),
        (false, _) => "another file of this name".to_owned(),
    };
    view! {
        <li>
            <span class="doubled-name">{double.name.clone()}</span>
            " "
            <span class="meta">{means}</span>
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_counts() {
        assert_eq!(said(1, 1), "The workspace has this file already.");
        assert_eq!(said(3, 3), "The workspace has all 3 files already.");
        assert_eq!(said(1, 3), "The workspace has 1 of 3 files already.");
        assert_eq!(
            (for_all(1), for_all(1_000)),
            ("What is to become of it?".into(), "For all 1,000 files:".into())
        );
    }
}
