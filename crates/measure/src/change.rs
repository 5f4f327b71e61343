//! Changing bytes at random: what a fuzz target is given.

use crate::dice::Dice;

/// No case is longer.
const LONGEST: usize = 256 * 1024;

/// One of the samples with a few changes.
pub fn changed(samples: &[Vec<u8>], words: &[&str], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.one_of(samples).clone();
    for _ in 0..=dice.below(6) {
        change(&mut bytes, samples, words, dice);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, samples: &[Vec<u8>], words: &[&str], dice: &mut Dice) {
    let at = dice.below(bytes.len() as u64 + 1) as usize;
    let end = (at + length(dice)).min(bytes.len());
    match dice.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
        2 => drop(bytes.drain(at..end)),
        // Once or many times.
        3 => {
            let part = bytes[at..end].repeat(1 << dice.below(6));
            insert(bytes, at, &part);
        }
        4 => bytes.truncate(at),
        5 => {
            let other = dice.one_of(samples);
            let from = dice.below(other.len() as u64 + 1) as usize;
            let part = other[from..(from + length(dice)).min(other.len())].to_vec();
            insert(bytes, at, &part);
        }
        6 => {
            let noise: Vec<u8> = (0..length(dice)).map(|_| dice.below(256) as u8).collect();
            insert(bytes, at, &noise);
        }
        _ if !words.is_empty() => {
            let word = dice.one_of(words).repeat(1 + dice.below(3) as usize);
            insert(bytes, at, word.as_bytes());
        }
        _ => {}
    }
}

/// Mostly short.
fn length(dice: &mut Dice) -> usize {
    let most = 1 << dice.below(11);
    dice.below(most) as usize + 1
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}
