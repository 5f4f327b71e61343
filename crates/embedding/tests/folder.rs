//! What loading says about a folder that is not as it should be.
#![allow(clippy::unwrap_used)] // Everything here is a test or a part of one.

mod common;

use std::fs;
use std::path::Path;

use embedding::{MiniLm, ModelError};
use serde_json::json;

/// A copy of the small files of the real folder, with `change` done to it.
fn with_changed_folder(change: impl FnOnce(&Path)) -> ModelError {
    let copy = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(common::folder().join(file), copy.path().join(file))
            .unwrap_or_else(|_| panic!("{file} of the model is missing: run `cargo xtask setup`"));
    }
    change(copy.path());
    MiniLm::load(copy.path()).err().expect("such a folder must not load")
}

/// A safetensors file with this header and this many bytes of data.
fn tensors(folder: &Path, header: &serde_json::Value, data: usize) {
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    fs::write(folder.join("model.safetensors"), bytes).unwrap();
}

#[test]
fn an_empty_folder_is_missing_its_files_and_the_sentence_says_what_to_run() {
    let empty = tempfile::tempdir().unwrap();
    let error = MiniLm::load(empty.path()).err().unwrap();
    assert!(matches!(&error, ModelError::Missing { file } if file.ends_with("config.json")));
    assert!(error.to_string().contains("cargo xtask setup"));
}

#[test]
fn missing_weights_are_named() {
    let error = with_changed_folder(|_| ());
    assert!(matches!(error, ModelError::Missing { file } if file.ends_with("model.safetensors")));
}

#[test]
fn another_model_is_refused() {
    let error = with_changed_folder(|folder| {
        let file = folder.join("config.json");
        let config =
            fs::read_to_string(&file).unwrap().replace("\"hidden_size\": 384", "\"hidden_size\": 768");
        fs::write(file, config).unwrap();
    });
    assert!(error.to_string().contains("`hidden_size` is 768"), "{error}");
}

#[test]
fn another_tokenizer_is_refused() {
    let error = with_changed_folder(|folder| {
        let file = folder.join("tokenizer.json");
        let config = fs::read_to_string(&file).unwrap().replace("BertNormalizer", "NFC");
        fs::write(file, config).unwrap();
    });
    assert!(matches!(error, ModelError::Damaged { file, .. } if file.ends_with("tokenizer.json")));
}

#[test]
fn half_a_json_file_is_damaged() {
    let error =
        with_changed_folder(|folder| fs::write(folder.join("tokenizer.json"), "{\"model\": ").unwrap());
    assert!(matches!(error, ModelError::Damaged { file, .. } if file.ends_with("tokenizer.json")));
}

#[test]
fn weights_that_end_too_early_are_damaged() {
    for length in [0, 5, 8, 100] {
        let error = with_changed_folder(|folder| {
            let mut bytes = 64u64.to_le_bytes().to_vec();
            bytes.resize(100, b' ');
            fs::write(folder.join("model.safetensors"), &bytes[..length]).unwrap();
        });
        assert!(matches!(error, ModelError::Damaged { .. }), "{length} bytes");
    }
}

#[test]
fn a_header_longer_than_the_file_is_damaged() {
    let error = with_changed_folder(|folder| {
        fs::write(folder.join("model.safetensors"), u64::MAX.to_le_bytes()).unwrap();
    });
    assert!(matches!(error, ModelError::Damaged { .. }));
}

#[test]
fn a_tensor_beyond_the_end_of_the_file_is_damaged() {
    let error = with_changed_folder(|folder| {
        let header = json!({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}});
        tensors(folder, &header, 12);
    });
    assert!(error.to_string().contains("the tensor x wrongly"), "{error}");
}

#[test]
fn a_tensor_of_another_shape_is_named() {
    let name = "embeddings.word_embeddings.weight";
    for entry in [
        json!({"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}),
        json!({"dtype": "F16", "shape": [30522, 384], "data_offsets": [0, 16]}),
        json!({"dtype": "F32", "shape": [30522, 384], "data_offsets": [0, 16]}),
    ] {
        let error = with_changed_folder(|folder| tensors(folder, &json!({name: entry}), 16));
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn an_absent_tensor_is_named() {
    let error = with_changed_folder(|folder| tensors(folder, &json!({"__metadata__": {}}), 0));
    assert!(error.to_string().contains("embeddings.word_embeddings.weight"), "{error}");
}
