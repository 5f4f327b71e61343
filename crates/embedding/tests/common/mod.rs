//! The model folder and small helpers that the test files share.
#![allow(dead_code)] // Each test file uses its own part.

use std::path::PathBuf;
use std::sync::OnceLock;

use embedding::MiniLm;

/// The folder of the model: below `INSIGHTHUB_MODELS_DIR` or the cache folder.
pub fn folder() -> PathBuf {
    let models = std::env::var_os("INSIGHTHUB_MODELS_DIR").map(PathBuf::from);
    models.unwrap_or_else(|| measure::peer::cache().join("models")).join(MiniLm::NAME)
}

/// Loaded once for each test process.
pub fn model() -> &'static MiniLm {
    static MODEL: OnceLock<MiniLm> = OnceLock::new();
    MODEL.get_or_init(|| MiniLm::load(&folder()).unwrap_or_else(|error| panic!("{error}")))
}

pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
