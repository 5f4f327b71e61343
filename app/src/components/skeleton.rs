//! The shape of what comes, shown only when it takes longer than 150 ms.

use crate::view;
use leptos::prelude::*;

/// Rows of the document table.
#[component]
pub fn RowsSkeleton(#[prop(default = 6)] rows: usize) -> impl IntoView {
    view! {
        <div class="skeleton doc-table" aria-hidden="true">
            {(0..rows)
                .map(|_| {
                    view! {
                        <div class="skeleton-row">
                            <i class="skeleton-line"></i>
                            <i class="skeleton-line"></i>
                            <i class="skeleton-line"></i>
                            <i class="skeleton-line"></i>
                            <i class="skeleton-line"></i>
                        </div>
                    }
                })
                .collect_view()}
        </div>
    }
}

/// Cards of the list of workspaces.
#[component]
pub fn CardSkeleton(#[prop(default = 3)] cards: usize) -> impl IntoView {
    view! {
        <div class="skeleton card-grid" aria-hidden="true">
            {(0..cards)
                .map(|_| {
                    view! {
                        <div class="card skeleton-card">
                            <i class="skeleton-line"></i>
                            <i class="skeleton-line"></i>
                            <i class="skeleton-line"></i>
                        </div>
                    }
                })
                .collect_view()}
        </div>
    }
}
