//! The frame of a page that shows what was read for it: it waits for the data and for what every page has, and says what
//! went wrong when they cannot be read.

use super::problem::{Around, ProblemView};
use crate::{
    AppError,
    components::RowsSkeleton,
    layout::{ShellData, part, take_shell},
    live::{Live, Screen},
    stores::Stores,
    view,
    wire::{FromJson, PageData, Wire},
};
use leptos::prelude::*;
use serde::Serialize;

/// A page whose data are read once, and that keeps none of it in the stores; `what` they are about is named when they
/// cannot be read.
pub fn loaded<T>(
    page: PageData<Result<Wire<T>, AppError>>,
    what: &'static str,
    show: fn(T) -> AnyView,
) -> impl IntoView
where
    T: Clone + PartialEq + Serialize + FromJson + Send + Sync + 'static,
{
    Live::expect().shows(Screen::Other);
    provide_context(Around::default());
    let skeleton = || view! { <RowsSkeleton rows=8 /> };
    view! { <div class="page">{read(page, || async {}, what, skeleton, |_, _, _| {}, move |read, (), _| show(read))}</div> }
}

/// `beside` is waited for as well. `skeleton` stands there meanwhile. `keep` puts what was read into the stores, after what
/// every page has. `show` gets what was read, what came beside it, and what reads it anew.
pub fn read<T, B>(
    page: PageData<Result<Wire<T>, AppError>>,
    beside: impl Fn() -> B + Clone + Send + Sync + 'static,
    what: &'static str,
    skeleton: fn() -> AnyView,
    keep: fn(&T, Stores, Live),
    show: impl Fn(T, B::Output, Callback<()>) -> AnyView + Clone + Send + Sync + 'static,
) -> impl IntoView
where
    T: Clone + PartialEq + Serialize + FromJson + Send + Sync + 'static,
    B: Future<Output: Send + 'static> + Send + 'static,
{
    let ShellData(shell) = expect_context();
    let again = Callback::new(move |()| page.refetch());
    view! {
        <Suspense fallback=skeleton>
            {move || {
                let (show, beside) = (show.clone(), beside());
                Suspend::new(async move {
                    let (shell, beside) = (shell.await, beside.await);
                    match page.await {
                        Ok(Wire(read)) => {
                            let take = |stores: Stores, live: Live| {
                                if let Ok(Wire(shell)) = &shell {
                                    take_shell(stores, live, shell);
                                }
                                keep(&read, stores, live);
                            };
                            part(&take, {
                                let read = read.clone();
                                move || show(read, beside, again)
                            })
                                .into_any()
                        }
                        Err(error) => view! { <ProblemView error what retry=again /> },
                    }
                })
            }}
        </Suspense>
    }
}
