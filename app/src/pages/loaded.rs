//! A page below the frame that shows what was read for it once, and keeps none of it in the stores.

use super::problem::ProblemView;
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

/// Waits for the data; `what` they are about is named when they cannot be read.
pub fn loaded<T>(
    page: PageData<Result<Wire<T>, AppError>>,
    what: &'static str,
    show: fn(T) -> AnyView,
) -> impl IntoView
where
    T: Clone + PartialEq + Serialize + FromJson + Send + Sync + 'static,
{
    Live::expect().shows(Screen::Other);
    let ShellData(shell) = expect_context();
    view! {
        <div class="page">
            <Suspense fallback=|| view! { <RowsSkeleton rows=8 /> }>
                {move || Suspend::new(async move {
                    let shell = shell.await;
                    match page.await {
                        Ok(Wire(read)) => {
                            let take = |stores: Stores, live: Live| {
                                if let Ok(Wire(shell)) = &shell {
                                    take_shell(stores, live, shell);
                                }
                            };
                            part(&take, move || show(read)).into_any()
                        }
                        Err(error) => {
                            let retry = Callback::new(move |()| page.refetch());
                            view! { <ProblemView error what retry /> }
                        }
                    }
                })}
            </Suspense>
        </div>
    }
}
