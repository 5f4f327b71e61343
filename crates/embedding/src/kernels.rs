//! The arithmetic in safe SIMD: matrix products on packed weights with the following step fused in,
//! attention of one sequence, and layer normalisation. rten-simd picks AVX-512, AVX2 or NEON at run time.
//! No weights are owned here and nothing is allocated.
//!
//! A row's result never depends on the rows beside it: each row has its own accumulators, and they are
//! summed in the same order wherever in a block the row stands. So a text's vector does not depend on its
//! companions.

use rten_simd::ops::{BitOps, FloatOps, IntOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp};

pub(crate) const HIDDEN: usize = 384;
pub(crate) const INNER: usize = 1536;
pub(crate) const HEADS: usize = 12;
pub(crate) const HEAD: usize = HIDDEN / HEADS;
pub(crate) const QKV: usize = 3 * HIDDEN;
/// Most tokens of one sequence.
pub(crate) const MAX_TOKENS: usize = 256;

/// Vectors side by side in one tile of a product.
const WIDE: usize = 2;
/// Rows of a tile with 32 registers (AVX-512) and with 16 (AVX2 and the others).
const ROWS_32: usize = 14;
const ROWS_16: usize = 6;
/// Rows beyond the last sequence that tiles may read, whatever the instruction set.
pub(crate) const SPARE_ROWS: usize = ROWS_32 + 1;
/// Room for every tile's width: the widest panel is two AVX-512 vectors.
const MAX_PANEL: usize = 32;

/// How the instruction set at hand cuts matrices: rows and columns of one tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    pub rows: usize,
    pub columns: usize,
}

impl Tiling {
    pub(crate) fn here() -> Self {
        struct Width;
        impl SimdOp for Width {
            type Output = usize;
            #[inline(always)]
            fn eval<I: Isa>(self, isa: I) -> usize {
                isa.f32().len()
            }
        }
        let lanes = Width.dispatch();
        Self { rows: if lanes == 16 { ROWS_32 } else { ROWS_16 }, columns: WIDE * lanes }
    }
}

/// `ROWS` × `WIDE` vectors of the product of `a` (rows `LDA` apart) and a panel of `b`, in registers.
#[inline(always)]
fn tile<I: Isa, const ROWS: usize, const LDA: usize>(
    isa: I,
    a: &[f32],
    depth: usize,
    b: &[f32],
) -> [[I::F32; WIDE]; ROWS] {
    let ops = isa.f32();
    let panel = WIDE * ops.len();
    // These let the compiler leave the bounds checks out of the loop.
    assert!(depth <= LDA && a.len() >= ROWS * LDA && b.len() >= depth * panel);
    let mut sum = [[ops.zero(); WIDE]; ROWS];
    for (k, b) in b.chunks_exact(panel).take(depth).enumerate() {
        let (left, right) = b.split_at(ops.len());
        let b = [ops.load(left), ops.load(right)];
        for r in 0..ROWS {
            let x = ops.splat(a[r * LDA + k]);
            for j in 0..WIDE {
                sum[r][j] = ops.mul_add(x, b[j], sum[r][j]);
            }
        }
    }
    sum
}

/// What happens to a product's elements before they are stored.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    /// Add the bias.
    Bias,
    /// Add the bias, then GELU.
    Gelu,
    /// Add the bias and what the output held before (the residual connection).
    Residual,
}

/// `out = then(a × weights)`, with `a` of `rows` × `K` and `out` of `rows` × `N`; `rows` is a multiple of
/// the tile's.
pub(crate) struct Product<'a, const K: usize, const N: usize> {
    pub a: &'a [f32],
    /// Panels of `Tiling::columns` columns, each panel with its `K` rows one after the other.
    pub weights: &'a [f32],
    pub bias: &'a [f32],
    pub out: &'a mut [f32],
    pub rows: usize,
    pub then: Then,
}

impl<const K: usize, const N: usize> SimdOp for Product<'_, K, N> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        if isa.f32().len() == 16 {
            self.run::<I, ROWS_32>(isa);
        } else {
            self.run::<I, ROWS_16>(isa);
        }
    }
}

impl<const K: usize, const N: usize> Product<'_, K, N> {
    #[inline(always)]
    fn run<I: Isa, const ROWS: usize>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        let panel = WIDE * lanes;
        let (a, out) = (&self.a[..self.rows * K], &mut self.out[..self.rows * N]);
        // Panel by panel: it stays in the nearest cache while all rows pass by.
        for (column, weights) in self.weights.chunks_exact(K * panel).enumerate() {
            let column = column * panel;
            let bias: [I::F32; WIDE] = ops.load_many(&self.bias[column..]);
            for (a, out) in a.chunks_exact(ROWS * K).zip(out.chunks_exact_mut(ROWS * N)) {
                let sum = tile::<I, ROWS, K>(isa, a, K, weights);
                for (sum, out) in sum.iter().zip(out.chunks_exact_mut(N)) {
                    for j in 0..WIDE {
                        let out = &mut out[column + j * lanes..][..lanes];
                        let x = ops.add(sum[j], bias[j]);
                        let x = match self.then {
                            Then::Bias => x,
                            Then::Gelu => gelu(isa, x),
                            Then::Residual => ops.add(x, ops.load(out)),
                        };
                        ops.store(x, out);
                    }
                }
            }
        }
    }
}

/// Beyond this distance from zero GELU is the identity or zero to seven digits.
const GELU_REACH: f32 = 5.0;
/// (Φ(x) − ½) ÷ x as a polynomial of 2(x ÷ 5)² − 1, Φ being the normal distribution function that the exact
/// GELU is made of. Fitted so that the largest error of x·Φ(x) is 1.5e-6.
const GELU_FIT: [f32; 13] = [
    0.141_363_78,
    -0.070_296_65,
    0.051_521_42,
    -0.040_432_945,
    0.031_426_225,
    -0.023_336_751,
    0.016_497_685,
    -0.010_973_175,
    0.006_165_357_3,
    -0.002_915_742_8,
    0.002_001_945_2,
    -0.001_514_123_4,
    0.000_492_933_85,
];

/// x·Φ(x): a polynomial only, since a vector division alone costs as much as all of this.
#[inline(always)]
fn gelu<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let ops = isa.f32();
    let near = ops.clamp(x, ops.splat(-GELU_REACH), ops.splat(GELU_REACH));
    let square = ops.mul(near, near);
    let t = ops.mul_add(square, ops.splat(2.0 / (GELU_REACH * GELU_REACH)), ops.splat(-1.0));
    let mut fit = ops.splat(GELU_FIT[GELU_FIT.len() - 1]);
    for factor in GELU_FIT.iter().rev().skip(1) {
        fit = ops.mul_add(fit, t, ops.splat(*factor));
    }
    ops.mul(x, ops.mul_add(fit, near, ops.splat(0.5)))
}

/// 2^f for |f| ≤ ½ as a polynomial, relative error 2e-7.
const EXP2_FIT: [f32; 6] =
    [1.000_000_1, 0.693_146_94, 0.240_221_22, 0.055_507_425, 0.009_675_469, 0.001_326_698];
/// Adding and subtracting this rounds to a whole number.
const ROUND: f32 = 12_582_912.0;

/// 2^x for x ≤ 0; everything below −126 gives 2^−126, which vanishes in any sum with a 1 in it.
#[inline(always)]
fn exp2<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let (ops, int) = (isa.f32(), isa.i32());
    let x = ops.max(x, ops.splat(-126.0));
    let whole = ops.sub(ops.add(x, ops.splat(ROUND)), ops.splat(ROUND));
    let part = ops.sub(x, whole);
    let mut fit = ops.splat(EXP2_FIT[EXP2_FIT.len() - 1]);
    for factor in EXP2_FIT.iter().rev().skip(1) {
        fit = ops.mul_add(fit, part, ops.splat(*factor));
    }
    let exponent = int.shift_left::<23>(int.add(ops.to_int_trunc(whole), int.splat(127)));
    ops.mul(fit, exponent.reinterpret_cast())
}

/// Room that the attention of one sequence needs, reused from sequence to sequence.
pub(crate) struct AttentionRoom {
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
}

impl AttentionRoom {
    pub(crate) fn new() -> Self {
        Self {
            keys: vec![0.0; HEAD * (MAX_TOKENS + MAX_PANEL)],
            values: vec![0.0; HEAD * MAX_TOKENS],
            scores: vec![0.0; ROWS_32 * MAX_TOKENS],
        }
    }
}

/// All heads of one sequence of `tokens` rows that begins at row `start` of `qkv`; the queries carry the
/// factor log₂e ÷ √(head size) already, so that the softmax is in powers of two.
pub(crate) struct Attention<'a> {
    pub qkv: &'a [f32],
    pub start: usize,
    pub tokens: usize,
    pub out: &'a mut [f32],
    pub room: &'a mut AttentionRoom,
}

impl SimdOp for Attention<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        if isa.f32().len() == 16 {
            self.run::<I, ROWS_32>(isa);
        } else {
            self.run::<I, ROWS_16>(isa);
        }
    }
}

impl Attention<'_> {
    #[inline(always)]
    fn run<I: Isa, const ROWS: usize>(mut self, isa: I) {
        let panel = WIDE * isa.f32().len();
        for head in 0..HEADS {
            self.pack(head, panel);
            for first in (0..self.tokens).step_by(ROWS) {
                self.block::<I, ROWS>(isa, head, first);
            }
        }
    }

    /// Lays the head's keys (transposed, filled up with zeros) and values out in panels.
    #[inline(always)]
    fn pack(&mut self, head: usize, panel: usize) {
        let n = self.tokens;
        let keys = &mut self.room.keys[..HEAD * n.next_multiple_of(panel)];
        for (p, keys) in keys.chunks_exact_mut(HEAD * panel).enumerate() {
            for column in 0..panel {
                let token = p * panel + column;
                if token < n {
                    let key = &self.qkv[(self.start + token) * QKV + HIDDEN + head * HEAD..][..HEAD];
                    for (k, key) in key.iter().enumerate() {
                        keys[k * panel + column] = *key;
                    }
                } else {
                    for k in 0..HEAD {
                        keys[k * panel + column] = 0.0;
                    }
                }
            }
        }
        for (p, values) in self.room.values[..HEAD * n].chunks_exact_mut(n * panel).enumerate() {
            for (token, value) in values.chunks_exact_mut(panel).enumerate() {
                let from = (self.start + token) * QKV + 2 * HIDDEN + head * HEAD + p * panel;
                value.copy_from_slice(&self.qkv[from..][..panel]);
            }
        }
    }

    /// `ROWS` queries of a head against all keys; rows beyond the sequence are computed and dropped.
    #[inline(always)]
    fn block<I: Isa, const ROWS: usize>(&mut self, isa: I, head: usize, first: usize) {
        let ops = isa.f32();
        let (n, lanes, panel) = (self.tokens, ops.len(), WIDE * ops.len());
        let padded = n.next_multiple_of(panel);
        let rows = ROWS.min(n - first);
        let queries = &self.qkv[(self.start + first) * QKV + head * HEAD..];
        let scores = &mut self.room.scores[..ROWS * MAX_TOKENS];
        for (p, keys) in self.room.keys[..HEAD * padded].chunks_exact(HEAD * panel).enumerate() {
            let sum = tile::<I, ROWS, QKV>(isa, queries, HEAD, keys);
            for r in 0..ROWS {
                let scores = &mut scores[r * MAX_TOKENS + p * panel..][..panel];
                let (left, right) = scores.split_at_mut(lanes);
                ops.store(sum[r][0], left);
                ops.store(sum[r][1], right);
            }
        }
        // All rows' maxima before the first power: one row's is a chain of waits that the next rows fill.
        let mut largest = [0.0; ROWS];
        for (scores, largest) in scores.chunks_exact_mut(MAX_TOKENS).zip(&mut largest) {
            let scores = &mut scores[..padded];
            for x in &mut scores[n..] {
                *x = f32::MIN;
            }
            let mut lanewise = ops.splat(f32::MIN);
            for x in scores.chunks_exact(lanes) {
                lanewise = ops.max(lanewise, ops.load(x));
            }
            *largest = highest(lanewise.to_array().as_ref());
        }
        let mut scale = [0.0; ROWS];
        for ((scores, scale), largest) in scores.chunks_exact_mut(MAX_TOKENS).zip(&mut scale).zip(largest) {
            let largest = ops.splat(largest);
            let mut sum = ops.zero();
            for x in scores[..padded].chunks_exact_mut(lanes) {
                let power = exp2(isa, ops.sub(ops.load(x), largest));
                sum = ops.add(sum, power);
                ops.store(power, x);
            }
            *scale = 1.0 / ops.sum(sum);
        }
        for (p, values) in self.room.values[..HEAD * n].chunks_exact(n * panel).enumerate() {
            let sum = tile::<I, ROWS, MAX_TOKENS>(isa, scores, n, values);
            let out = &mut self.out[(self.start + first) * HIDDEN + head * HEAD + p * panel..];
            for (r, out) in out.chunks_mut(HIDDEN).take(rows).enumerate() {
                let scale = ops.splat(scale[r]);
                let (left, right) = out[..panel].split_at_mut(lanes);
                ops.store(ops.mul(sum[r][0], scale), left);
                ops.store(ops.mul(sum[r][1], scale), right);
            }
        }
    }
}

/// The largest of a vector's lanes, halving: shorter waits than one lane after the other.
#[inline(always)]
fn highest(lanes: &[f32]) -> f32 {
    let mut all = [f32::MIN; 16];
    all[..lanes.len()].copy_from_slice(lanes);
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            if all[i + half] > all[i] {
                all[i] = all[i + half];
            }
        }
    }
    all[0]
}

/// Layer normalisation of each row of `HIDDEN` numbers in place.
pub(crate) struct LayerNorm<'a> {
    pub rows: &'a mut [f32],
    pub gain: &'a [f32],
    pub shift: &'a [f32],
    pub epsilon: f32,
}

impl SimdOp for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        let (gain, shift) = (&self.gain[..HIDDEN], &self.shift[..HIDDEN]);
        for row in self.rows.chunks_exact_mut(HIDDEN) {
            let mut sum = ops.zero();
            for x in row.chunks_exact(lanes) {
                sum = ops.add(sum, ops.load(x));
            }
            let mean = ops.splat(ops.sum(sum) / HIDDEN as f32);
            let mut squares = ops.zero();
            for x in row.chunks_exact(lanes) {
                let x = ops.sub(ops.load(x), mean);
                squares = ops.mul_add(x, x, squares);
            }
            let scale = ops.splat(1.0 / (ops.sum(squares) / HIDDEN as f32 + self.epsilon).sqrt());
            for ((x, gain), shift) in
                row.chunks_exact_mut(lanes).zip(gain.chunks_exact(lanes)).zip(shift.chunks_exact(lanes))
            {
                let centred = ops.mul(ops.sub(ops.load(x), mean), scale);
                ops.store(ops.mul_add(centred, ops.load(gain), ops.load(shift)), x);
            }
        }
    }
}

#[cfg(test)]
mod tests;
