//! Presentational components: they show what they are given, and know neither stores nor the server. Values that
//! change come as signals. Their look stands in `style/parts.css`; nothing here writes a `style` attribute, which the
//! content security policy forbids.
//!
//! What moves is decided in CSS, by the nearest `data-live`: a ring turns only below `data-live="open"`, so that no
//! badge has to listen to the link.

mod avatar;
mod boundary;
mod button;
mod connection_badge;
mod copy_button;
mod dialog;
mod each;
mod empty_state;
mod error_panel;
mod field;
mod file_name;
mod file_type_icon;
mod icon;
mod menu;
mod page_header;
mod phase_timeline;
mod progress_bar;
mod progress_indicator;
mod reason;
mod said;
mod search_field;
mod select;
mod skeleton;
mod spinner;
mod status_badge;
mod step_timeline;
mod time;
mod toast;
mod waterfall;
pub mod words;

pub use avatar::Avatar;
pub use boundary::Boundary;
pub use button::{Button, ButtonKind, IconButton, LinkButton};
pub use connection_badge::{ConnectionBadge, Link};
pub use copy_button::CopyButton;
pub use dialog::Dialog;
pub use each::{Each, key_of};
pub use empty_state::EmptyState;
pub use error_panel::ErrorPanel;
pub use field::{Field, Note, NumberField, TextArea, guide_cursor, takes_cursor, tell_input};
pub use file_name::FileName;
pub use file_type_icon::FileTypeIcon;
pub use icon::{Icon, IconName, LiveIcon, Logo};
pub use menu::{Menu, MenuLine, MenuLink};
pub use page_header::{AwaitedTabTitle, AwaitedTitle, NOT_FOUND, PageHeader, TabTitle};
pub use phase_timeline::PhaseTimeline;
pub use progress_bar::{DocumentProgress, ProgressBar};
pub use progress_indicator::{ProgressIndicator, ProgressStep};
pub use reason::Reason;
pub use said::{Said, focus_if_lost};
pub use search_field::SearchField;
pub use select::{Select, SelectOption};
pub use skeleton::{CardSkeleton, RowsSkeleton};
pub use spinner::{LoadingSpinner, Size};
pub use status_badge::{BadgeSize, StatusBadge};
pub use step_timeline::StepTimeline;
pub use time::{Ago, Exactly, Now, OnDay, provide_now, use_now};
pub use toast::{Toast, Tone};
pub use waterfall::{JobWaterfall, Waterfall};
