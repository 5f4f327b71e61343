//! The kernels against plain arithmetic in 64-bit floats, on every instruction set that this machine has:
//! `dispatch` alone would try only the widest.

use rten_simd::isa::GenericIsa;

use super::*;

/// Runs `check` with each instruction set; the macro is needed because they are different types.
macro_rules! on_each_instruction_set {
    ($check:ident) => {
        $check(GenericIsa::new());
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(isa) = rten_simd::isa::Avx2Isa::new() {
                $check(isa);
            }
            if let Some(isa) = rten_simd::isa::Avx512Isa::new() {
                $check(isa);
            }
        }
    };
}

/// Numbers between −1 and 1 in no visible order.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A matrix of `k` rows and `n` columns in the panels that an instruction set wants.
fn panels(b: &[f32], k: usize, n: usize, panel: usize) -> Vec<f32> {
    let mut packed = Vec::with_capacity(k * n);
    for first in (0..n).step_by(panel) {
        for row in b.chunks_exact(n) {
            packed.extend_from_slice(&row[first..first + panel]);
        }
    }
    assert_eq!(packed.len(), k * n);
    packed
}

/// The normal distribution function by its series.
fn phi(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-18 {
        n += 2.0;
        term *= x * x / n;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[test]
fn products_equal_plain_arithmetic() {
    fn check<I: Isa>(isa: I) {
        const ROWS: usize = 2 * ROWS_32 * ROWS_16;
        let lanes = isa.f32().len();
        let (a, b) = (noise(ROWS * HIDDEN, 1), noise(HIDDEN * HIDDEN, 2));
        let (bias, before) = (noise(HIDDEN, 3), noise(ROWS * HIDDEN, 4));
        let weights = panels(&b, HIDDEN, HIDDEN, WIDE * lanes);
        for then in [Then::Bias, Then::Gelu, Then::Residual] {
            let mut out = before.clone();
            let product = Product::<HIDDEN, HIDDEN> {
                a: &a,
                weights: &weights,
                bias: &bias,
                out: &mut out,
                rows: ROWS,
                then,
            };
            product.eval(isa);
            for row in [0, 1, ROWS_16, ROWS_32 + 1, ROWS - 1] {
                for column in 0..HIDDEN {
                    let products = (0..HIDDEN)
                        .map(|k| f64::from(a[row * HIDDEN + k]) * f64::from(b[k * HIDDEN + column]));
                    let x = products.sum::<f64>() + f64::from(bias[column]);
                    let expected = match then {
                        Then::Bias => x,
                        Then::Gelu => x * phi(x),
                        Then::Residual => x + f64::from(before[row * HIDDEN + column]),
                    };
                    let found = f64::from(out[row * HIDDEN + column]);
                    assert!((found - expected).abs() < 1e-4, "{found} for {expected} with {lanes} lanes");
                }
            }
        }
    }
    on_each_instruction_set!(check);
}

#[test]
fn gelu_errs_by_less_than_two_millionths() {
    fn check<I: Isa>(isa: I) {
        let bias: Vec<f32> = (0..INNER).map(|i| i as f32 / 96.0 - 8.0).collect();
        let (a, weights) = (vec![0.0; ROWS_32 * ROWS_16 * HIDDEN], vec![0.0; HIDDEN * INNER]);
        let mut out = vec![0.0; ROWS_32 * ROWS_16 * INNER];
        let rows = ROWS_32 * ROWS_16;
        Product::<HIDDEN, INNER> {
            a: &a,
            weights: &weights,
            bias: &bias,
            out: &mut out,
            rows,
            then: Then::Gelu,
        }
        .eval(isa);
        for (x, found) in bias.iter().zip(&out) {
            let expected = f64::from(*x) * phi(f64::from(*x));
            assert!((f64::from(*found) - expected).abs() < 2e-6, "{found} for {expected} at {x}");
        }
    }
    on_each_instruction_set!(check);
}

#[test]
fn attention_equals_plain_arithmetic_for_every_length() {
    fn check<I: Isa>(isa: I) {
        let start = 3;
        let mut room = AttentionRoom::new();
        // From long to short, so that the room holds old numbers beyond the short ones.
        for tokens in [256, 200, 33, 32, 31, 14, 5, 1] {
            let rows = start + tokens + SPARE_ROWS;
            let qkv: Vec<f32> = noise(rows * QKV, tokens as u64).iter().map(|x| 2.0 * x).collect();
            let mut out = vec![7.0; (start + tokens + 1) * HIDDEN];
            Attention { qkv: &qkv, start, tokens, out: &mut out, room: &mut room }.eval(isa);
            let part = |token: usize, of: usize, head: usize| {
                &qkv[(start + token) * QKV + of * HIDDEN + head * HEAD..][..HEAD]
            };
            for (token, head) in [(0, 0), (tokens / 2, 5), (tokens - 1, HEADS - 1)] {
                let query = part(token, 0, head);
                let powers: Vec<f64> = (0..tokens)
                    .map(|other| {
                        let key = part(other, 1, head);
                        query.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>().exp2()
                    })
                    .collect();
                let sum: f64 = powers.iter().sum();
                for d in 0..HEAD {
                    let weighted =
                        powers.iter().enumerate().map(|(at, p)| p * f64::from(part(at, 2, head)[d]));
                    let expected = weighted.sum::<f64>() / sum;
                    let found = f64::from(out[(start + token) * HIDDEN + head * HEAD + d]);
                    assert!((found - expected).abs() < 1e-4, "{found} for {expected}, {tokens} tokens");
                }
            }
            let beside = out[..start * HIDDEN].iter().chain(&out[(start + tokens) * HIDDEN..]);
            assert!(beside.into_iter().all(|x| *x == 7.0), "another sequence's rows were written");
        }
    }
    on_each_instruction_set!(check);
}

#[test]
fn normalised_rows_have_mean_and_variance_of_the_parameters() {
    fn check<I: Isa>(isa: I) {
        let mut rows = noise(3 * HIDDEN, 9);
        let before = rows.clone();
        let (gain, shift) = (noise(HIDDEN, 10), noise(HIDDEN, 11));
        LayerNorm { rows: &mut rows, gain: &gain, shift: &shift, epsilon: 1e-12 }.eval(isa);
        for (row, before) in rows.chunks_exact(HIDDEN).zip(before.chunks_exact(HIDDEN)) {
            let mean = before.iter().map(|x| f64::from(*x)).sum::<f64>() / HIDDEN as f64;
            let variance = before.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / HIDDEN as f64;
            for (i, x) in row.iter().enumerate() {
                let expected = (f64::from(before[i]) - mean) / variance.sqrt() * f64::from(gain[i])
                    + f64::from(shift[i]);
                assert!((f64::from(*x) - expected).abs() < 1e-5);
            }
        }
    }
    on_each_instruction_set!(check);
}
