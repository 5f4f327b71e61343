//! The public face: loads the folder, cuts texts into groups for the cores, gives vectors and tokens.
//! The arithmetic lives in `forward`, the words in `tokenizer`.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde_json::Value;

use crate::files::{Tensors, read_json};
use crate::forward::{Encoder, Room};
use crate::kernels;
use crate::tokenizer::{Token, Tokenizer};
use crate::{EmbedError, ModelError};

/// Tokens that one core takes through the layers together: enough to use each weight that comes from
/// memory many times, few enough for the caches.
const GROUP_TOKENS: usize = 512;
/// Smaller groups than this make a core wait for weights.
const MIN_GROUP_TOKENS: usize = 64;

/// all-MiniLM-L6-v2, loaded once and shared by all threads.
pub struct MiniLm {
    tokenizer: Tokenizer,
    encoder: Encoder,
    rooms: Mutex<Vec<Room>>,
}

impl MiniLm {
    pub const NAME: &str = "all-MiniLM-L6-v2";
    pub const DIM: usize = kernels::HIDDEN;
    /// The two special tokens included.
    pub const MAX_TOKENS: usize = kernels::MAX_TOKENS;

    /// Whether the files are there and whole, as far as it can be told without reading their numbers: a download that
    /// broke off shows by its length.
    ///
    /// # Errors
    /// What is missing or damaged.
    pub fn check(dir: &Path) -> Result<(), ModelError> {
        let config = dir.join("config.json");
        check_config(&read_json(&config)?)
            .map_err(|reason| ModelError::Damaged { file: config.clone(), reason })?;
        let tokenizer = dir.join("tokenizer.json");
        if !tokenizer.is_file() {
            return Err(ModelError::Missing { file: tokenizer });
        }
        Tensors::open(&dir.join("model.safetensors")).map(drop)
    }

    /// Reads `config.json`, `tokenizer.json` and `model.safetensors` from a folder.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let config = dir.join("config.json");
        check_config(&read_json(&config)?)
            .map_err(|reason| ModelError::Damaged { file: config.clone(), reason })?;
        let tokenizer = Tokenizer::load(&dir.join("tokenizer.json"))?;
        let encoder = Encoder::read(&mut Tensors::open(&dir.join("model.safetensors"))?)?;
        Ok(Self { tokenizer, encoder, rooms: Mutex::default() })
    }

    /// One vector of length one for each text, in the texts' order; what lies beyond `MAX_TOKENS` of a text
    /// is left out. Uses all cores of rayon's pool; a text's vector does not depend on its companions.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let tokens: Vec<Vec<u32>> = texts.par_iter().map(|text| self.input(text)).collect();
        // Texts of like length side by side, the longest first, so that the cores end together.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(tokens[index].len()));
        let vectors: Vec<Vec<Vec<f32>>> = groups(&order, &tokens)
            .into_par_iter()
            .with_max_len(1)
            .map(|group| {
                let sequences: Vec<&[u32]> = group.iter().map(|&index| tokens[index].as_slice()).collect();
                let mut room = self.rooms().pop().unwrap_or_else(Room::new);
                let vectors = self.encoder.run(&sequences, &mut room);
                self.rooms().push(room);
                vectors
            })
            .collect();
        let mut result = vec![Vec::new(); texts.len()];
        for (&index, vector) in order.iter().zip(vectors.into_iter().flatten()) {
            if !vector.iter().all(|x| x.is_finite()) {
                return Err(EmbedError::NotFinite { index });
            }
            result[index] = vector;
        }
        Ok(result)
    }

    /// How many tokens the text has, without the special ones and without an upper limit.
    pub fn count_tokens(&self, text: &str) -> usize {
        let mut count = 0;
        self.tokenizer.walk(text, |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        count
    }

    /// Where each token of the text lies, as byte offsets on character boundaries; without the special
    /// tokens and without an upper limit.
    pub fn token_offsets(&self, text: &str) -> Vec<(usize, usize)> {
        self.collect(text, |token| (token.start, token.end))
    }

    /// Each token of the text with its number in the vocabulary and its place; without the special tokens
    /// that surround a text and without an upper limit.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        self.collect(text, |token| token)
    }

    fn collect<T>(&self, text: &str, take: impl Fn(Token) -> T) -> Vec<T> {
        let mut all = Vec::with_capacity(text.len() / 4);
        self.tokenizer.walk(text, |token| {
            all.push(take(token));
            ControlFlow::Continue(())
        });
        all
    }

    /// What the encoder reads: the start token, as much of the text as fits, the end token.
    fn input(&self, text: &str) -> Vec<u32> {
        let mut ids = vec![self.tokenizer.first];
        self.tokenizer.walk(text, |token| {
            ids.push(token.id);
            if ids.len() == Self::MAX_TOKENS - 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        ids.push(self.tokenizer.last);
        ids
    }

    fn rooms(&self) -> std::sync::MutexGuard<'_, Vec<Room>> {
        // A room holds no state between passes, so one left by a panicking thread is as good as any.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts the sorted texts into groups, the fewer the larger, but with work for every core.
fn groups<'a>(order: &'a [usize], tokens: &[Vec<u32>]) -> Vec<&'a [usize]> {
    let total: usize = tokens.iter().map(Vec::len).sum();
    let share = total.div_ceil(rayon::current_num_threads()).clamp(MIN_GROUP_TOKENS, GROUP_TOKENS);
    let mut groups = Vec::new();
    let (mut begin, mut sum) = (0, 0);
    for (place, &index) in order.iter().enumerate() {
        let count = tokens[index].len();
        if sum > 0 && sum + count > share {
            groups.push(&order[begin..place]);
            (begin, sum) = (place, 0);
        }
        sum += count;
    }
    if sum > 0 {
        groups.push(&order[begin..]);
    }
    groups
}

/// The forward pass is written for these sizes; another model's files must not be taken for this one's.
fn check_config(config: &Value) -> Result<(), String> {
    for (key, expected) in [
        ("hidden_size", Value::from(384)),
        ("intermediate_size", Value::from(1536)),
        ("num_attention_heads", Value::from(12)),
        ("num_hidden_layers", Value::from(6)),
        ("vocab_size", Value::from(30_522)),
        ("hidden_act", Value::from("gelu")),
    ] {
        let found = config.get(key).unwrap_or(&Value::Null);
        if *found != expected {
            return Err(format!("`{key}` is {found} where {} has {expected}", MiniLm::NAME));
        }
    }
    Ok(())
}
