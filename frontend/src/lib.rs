//! The entry of the WASM: hydrates the page that the server rendered, and nothing else.

/// Called by the page once the WASM is there.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    #[cfg(feature = "hydrate")]
    app::hydrate();
}
