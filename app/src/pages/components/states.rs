//! What stands there when there is nothing, when it is not here yet, and when it cannot be.

use super::{
    super::{
        not_found::NotThere,
        problem::{Around, NoAccess, Offline},
    },
    Part,
};
use crate::{AppError, components::*, view};
use domain::{Problem, files, shown::Shown};
use leptos::prelude::*;

#[component]
pub fn States() -> impl IntoView {
    let gone = Callback::new(|()| ());
    // The gallery has its own heading.
    provide_context(Around { has_heading: true, needs_title: false });
    view! {
        <Part
            title="Nothing, not yet, not possible"
            sample="EmptyState ErrorPanel Boundary Toast RowsSkeleton CardSkeleton"
        >
            <div class="card">
                <EmptyState
                    icon=IconName::Upload
                    title="No documents yet"
                    text=format!("Drop files anywhere on this page, or pick them: {}.", files::taken_list())
                >
                    <Button kind=ButtonKind::Primary icon=IconName::Upload>
                        "Pick files"
                    </Button>
                </EmptyState>
            </div>
            <div class="card">
                <Offline what="workspace" retry=gone />
            </div>
            <div class="card">
                <NoAccess what="workspace" detail="Your account may not see it." />
            </div>
            <div class="card">
                <NotThere what="workspace" />
            </div>
            <ErrorPanel
                title="3 of 40 files could not be read"
                detail="They are protected by a password. Save them without one and upload them again.".to_owned()
                phase="Phase: Loading".to_owned()
                code="pdf_encrypted".to_owned()
                id="01949c3e-5d40-7000-8000-000000000001".to_owned()
            >
                <Button>"Show the 3 files"</Button>
            </ErrorPanel>
            <div class="card-grid" data-sample="boundary">
                <Neighbour name="The card before" />
                <Boundary title="This card could not be shown" actions=|| view! { <Button>"Try again"</Button> }>
                    {Err::<(), _>(AppError::from(Problem::internal()))}
                </Boundary>
                <Neighbour name="The card after" />
            </div>
            <Toast text="“Contracts” was made" on_close=gone />
            <Toast tone=Tone::Failed text="The change was not saved: the server did not answer." on_close=gone>
                <Button kind=ButtonKind::Quiet>"Try again"</Button>
            </Toast>
            <RowsSkeleton rows=3 />
            <CardSkeleton cards=2 />
        </Part>
    }
}

/// A card that goes on beside a broken one.
#[component]
fn Neighbour(name: &'static str) -> impl IntoView {
    view! {
        <article class="card">
            <div class="card-body stack">
                <h3 class="section-title">{name}</h3>
                <StatusBadge shown=Signal::stored(Shown::Ready { warnings: 0 }) />
            </div>
        </article>
    }
}
