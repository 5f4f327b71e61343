//! What is pressed and what is filled in, in each of its states.

use super::Part;
use crate::{components::*, view};
use leptos::prelude::*;

#[component]
pub fn Buttons(theme: &'static str) -> impl IntoView {
    let open = RwSignal::new(false);
    let (busy, set_busy) = signal(true);
    view! {
        <Part
            title="Buttons, menus, dialogs"
            sample="Button LinkButton IconButton CopyButton Menu MenuLine MenuLink Avatar Logo Reason Dialog"
        >
            <div class="row">
                <Button kind=ButtonKind::Primary icon=IconName::Upload>
                    "Upload files"
                </Button>
                <Button icon=IconName::Plus on:click=move |_| open.set(true)>
                    "New workspace"
                </Button>
                <Button kind=ButtonKind::Quiet>"Cancel"</Button>
                <Button kind=ButtonKind::Danger>"Delete workspace"</Button>
                <Button kind=ButtonKind::Primary busy>"Save profile"</Button>
                <Button busy on:click=move |_| set_busy.set(true)>
                    "Save"
                </Button>
                <Button kind=ButtonKind::Primary disabled=true>"Save profile"</Button>
                <LinkButton href="#".to_owned()>"A link"</LinkButton>
                <LinkButton href="#".to_owned() locked="This workspace is being deleted.">"A locked link"</LinkButton>
                <CopyButton words="Copy details" text="Nothing".to_owned() />
                <Reason text="Live updates are paused, so what you see may be old. This waits until they are back." />
                <IconButton icon=IconName::Cross label="Close" />
                <Menu
                    label="Account"
                    start=true
                    trigger=|| view! { <Avatar name="Ada Lovelace".to_owned() /> }
                >
                    <p class="menu-note">"ada@example.org"</p>
                    <MenuLine />
                    <MenuLink href="#" icon=IconName::Settings words="Settings" />
                    <MenuLink href="#" icon=IconName::Edit words="Edit" locked="The connection is lost." />
                    <button type="button" class="menu-item">
                        <Icon name=IconName::SignOut />
                        "Sign out"
                    </button>
                </Menu>
                <Avatar name="Grace Hopper".to_owned() large=true />
                <Logo />
                <a class="link" href="#">
                    "Forgot it?"
                </a>
                <kbd class="kbd">"/"</kbd>
            </div>
            <fieldset class="segmented justify-self-start">
                <legend class="sr-only">"Theme"</legend>
                {[("light", IconName::Sun, "Light"), ("dark", IconName::Moon, "Dark"), ("system", IconName::Auto, "System")]
                    .map(|(value, icon, word)| {
                        view! {
                            <label>
                                <input type="radio" name=format!("theme-{theme}") value=value checked=value == theme />
                                <Icon name=icon />
                                {word}
                            </label>
                        }
                    })
                    .collect_view()}
            </fieldset>
            <div class="gallery-stage">
                <Dialog id=if theme == "dark" { "open-dark" } else { "open-light" } title="Delete “Contracts”?" open=RwSignal::new(true)>
                    <p>"Its 12 documents go with it."</p>
                    <div class="form-actions">
                        <Button kind=ButtonKind::Danger>"Delete workspace"</Button>
                    </div>
                </Dialog>
            </div>
            <Dialog id=if theme == "dark" { "dialog-dark" } else { "dialog-light" } title="New workspace" open>
                <p>"A dialog has one title, one purpose and one deed."</p>
                <div class="form-actions">
                    <Button kind=ButtonKind::Quiet on:click=move |_| open.set(false)>
                        "Cancel"
                    </Button>
                    <Button kind=ButtonKind::Primary>"Make workspace"</Button>
                </div>
            </Dialog>
        </Part>
    }
}

#[component]
pub fn Fields(theme: &'static str) -> impl IntoView {
    let dark = theme == "dark";
    let name = move |light: &'static str, night: &'static str| if dark { night } else { light };
    view! {
        <Part title="Fields" sample="Field NumberField Select TextArea Note SearchField">
            <form class="form panel" novalidate>
                <Field
                    label="Workspace name"
                    name=name("name", "name-dark")
                    value="Contracts".to_owned()
                    help="3–100 letters, digits, spaces, - and _".to_owned()
                />
                <Field
                    label="E-mail"
                    name=name("email", "email-dark")
                    kind="email"
                    value="ada@example".to_owned()
                    error="Enter a whole address, such as ada@example.org".to_owned()
                />
                <Field
                    label="Full name"
                    name=name("full_name", "full_name-dark")
                    optional=true
                    placeholder="Ada Lovelace"
                />
                <NumberField
                    label="Chunk size"
                    name=name("chunk_size", "chunk_size-dark")
                    value="1000".to_owned()
                    range=100..=5000
                    step=50
                    unit="characters"
                    help="100–5,000. Smaller chunks find more exactly, larger ones keep more context.".to_owned()
                />
                <Select
                    label="Retriever"
                    name=name("retriever", "retriever-dark")
                    options=[("vector", "By meaning"), ("keyword", "By words"), ("hybrid", "Both")]
                        .map(|(value, words)| SelectOption::new(value, words))
                        .to_vec()
                    value="hybrid".to_owned()
                />
                <TextArea label="Description" name=name("description", "description-dark") optional=true />
                <SearchField
                    label="Search in this workspace"
                    name=name("q", "q-dark")
                    value="lantern".to_owned()
                    maxlength=500
                />
                <Note
                    id=name("note", "note-dark").to_owned()
                    error=MaybeProp::default()
                    help="Only the built-in model is ready.".to_owned()
                />
                <Note
                    id=name("wrong", "wrong-dark").to_owned()
                    error=MaybeProp::from("The overlap has to be smaller than the chunk.".to_owned())
                />
                <label class="check">
                    <input type="checkbox" checked />
                    "Rerank what was found"
                </label>
            </form>
        </Part>
    }
}
