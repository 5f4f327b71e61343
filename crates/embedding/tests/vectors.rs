//! The vectors against a reference made by another implementation (make_reference.py), and what callers
//! rely on: order, truncation, independence from companions.
#![allow(clippy::unwrap_used)] // Everything here is a test or a part of one.

mod common;

use common::{cosine, model};
use embedding::MiniLm;
use serde_json::Value;

struct Reference {
    text: String,
    tokens: usize,
    vector: Vec<f32>,
}

fn references() -> Vec<Reference> {
    let json: Value = serde_json::from_str(include_str!("reference.json")).unwrap();
    let read = |entry: &Value| Reference {
        text: entry["text"].as_str().unwrap().to_owned(),
        tokens: entry["tokens"].as_u64().unwrap() as usize,
        vector: entry["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect(),
    };
    json.as_array().unwrap().iter().map(read).collect()
}

#[test]
fn every_vector_equals_the_reference() {
    let references = references();
    assert!(references.len() >= 12);
    let texts: Vec<&str> = references.iter().map(|reference| reference.text.as_str()).collect();
    let vectors = model().embed(&texts).unwrap();
    assert_eq!(vectors.len(), references.len());
    for (vector, reference) in vectors.iter().zip(&references) {
        let cosine = cosine(vector, &reference.vector);
        let furthest = vector.iter().zip(&reference.vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(cosine >= 0.999_99, "{cosine} for {:?}", reference.text);
        assert!(furthest < 2e-5, "{furthest} for {:?}", reference.text);
    }
}

#[test]
fn every_vector_has_384_numbers_and_length_one() {
    for vector in model().embed(&["one", "", "three words here"]).unwrap() {
        assert_eq!(vector.len(), MiniLm::DIM);
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn no_texts_give_no_vectors() {
    assert!(model().embed(&[]).unwrap().is_empty());
}

#[test]
fn a_text_has_the_same_vector_alone_and_in_any_company() {
    let references = references();
    let texts: Vec<&str> = references.iter().map(|reference| reference.text.as_str()).collect();
    let alone: Vec<Vec<f32>> = texts.iter().map(|text| model().embed(&[text]).unwrap().remove(0)).collect();
    let mut crowd: Vec<&str> = Vec::new();
    for shift in 0..5 {
        crowd.extend(texts.iter().cycle().skip(shift * 3).take(texts.len()));
    }
    for (text, vector) in crowd.iter().zip(model().embed(&crowd).unwrap()) {
        let index = texts.iter().position(|known| known == text).unwrap();
        for (a, b) in vector.iter().zip(&alone[index]) {
            assert!((a - b).abs() <= 1e-5, "{text:?}");
        }
    }
}

#[test]
fn only_the_first_254_tokens_of_a_text_count() {
    let long = "word ".repeat(300);
    let cut = "word ".repeat(MiniLm::MAX_TOKENS - 2);
    let shorter = "word ".repeat(MiniLm::MAX_TOKENS - 3);
    let vectors = model().embed(&[&long, &cut, &shorter]).unwrap();
    assert_eq!(vectors[0], vectors[1]);
    assert_ne!(vectors[0], vectors[2]);
}

#[test]
fn related_sentences_are_nearer_than_unrelated_ones() {
    let texts =
        ["Where can I find the invoice of March?", "The March invoice is in the archive.", "Cats purr."];
    let vectors = model().embed(&texts).unwrap();
    assert!(cosine(&vectors[0], &vectors[1]) > 0.5);
    assert!(cosine(&vectors[0], &vectors[2]) < 0.2);
}

#[test]
fn count_tokens_knows_no_limit_and_no_special_tokens() {
    for reference in references() {
        assert_eq!(model().count_tokens(&reference.text), reference.tokens, "{:?}", reference.text);
    }
}

#[test]
fn many_threads_share_one_model() {
    let expected = model().embed(&["shared"]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(model().embed(&["shared"]).unwrap(), expected));
        }
    });
}
