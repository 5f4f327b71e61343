//! The BERT encoder: its weights, packed for the instruction set at hand when they are loaded, and the
//! forward pass of a group of sequences that lie one after the other without padding. Texts and threads
//! are not known here.

use rten_simd::SimdOp;

use crate::ModelError;
use crate::files::Tensors;
use crate::kernels::{
    Attention, AttentionRoom, HEAD, HIDDEN, INNER, LayerNorm, MAX_TOKENS, Product, QKV, SPARE_ROWS, Then,
    Tiling,
};

const LAYERS: usize = 6;
pub(crate) const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
const EPSILON: f32 = 1e-12;
/// Tiles of rows whose inner activations are made and used up before the next ones: few enough to stay in
/// the second cache, enough to use each panel of weights well.
const INNER_TILES: usize = 12;

/// A weight matrix in panels, and its bias.
struct Dense {
    /// A few numbers longer than the panels: they begin at `start`, where a cache line begins.
    weights: Vec<f32>,
    start: usize,
    bias: Vec<f32>,
}

impl Dense {
    /// `rows` holds the weights as the file has them: one row of `k` numbers for each output.
    fn pack(rows: &[f32], k: usize, bias: Vec<f32>, tiling: Tiling) -> Self {
        const LINE: usize = 16;
        let panel = tiling.columns;
        let mut weights = vec![0.0; rows.len() + LINE];
        // Loads that straddle two cache lines cost twice.
        let start = weights.as_ptr().align_offset(4 * LINE).min(LINE);
        for (weights, rows) in weights[start..].chunks_exact_mut(k * panel).zip(rows.chunks_exact(k * panel))
        {
            for (column, row) in rows.chunks_exact(k).enumerate() {
                for (k, weight) in row.iter().enumerate() {
                    weights[k * panel + column] = *weight;
                }
            }
        }
        Self { weights, start, bias }
    }

    fn apply<const K: usize, const N: usize>(&self, a: &[f32], out: &mut [f32], rows: usize, then: Then) {
        let weights = &self.weights[self.start..][..K * N];
        Product::<K, N> { a, weights, bias: &self.bias, out, rows, then }.dispatch();
    }
}

struct Norm {
    gain: Vec<f32>,
    shift: Vec<f32>,
}

impl Norm {
    fn read(tensors: &mut Tensors, name: &str) -> Result<Self, ModelError> {
        Ok(Self {
            gain: tensors.read(&format!("{name}.weight"), &[HIDDEN])?,
            shift: tensors.read(&format!("{name}.bias"), &[HIDDEN])?,
        })
    }

    fn apply(&self, rows: &mut [f32]) {
        LayerNorm { rows, gain: &self.gain, shift: &self.shift, epsilon: EPSILON }.dispatch();
    }
}

struct Layer {
    qkv: Dense,
    attended: Dense,
    attended_norm: Norm,
    up: Dense,
    down: Dense,
    down_norm: Norm,
}

impl Layer {
    fn read(tensors: &mut Tensors, index: usize, tiling: Tiling) -> Result<Self, ModelError> {
        let mut dense = |name: &str, k: usize, n: usize| -> Result<(Vec<f32>, Vec<f32>), ModelError> {
            let name = format!("encoder.layer.{index}.{name}");
            Ok((
                tensors.read(&format!("{name}.weight"), &[n, k])?,
                tensors.read(&format!("{name}.bias"), &[n])?,
            ))
        };
        let (mut weights, mut bias) = dense("attention.self.query", HIDDEN, HIDDEN)?;
        // Done once here instead of for every score: the scaling of dot products, and powers of two
        // instead of e.
        let scale = std::f32::consts::LOG2_E / (HEAD as f32).sqrt();
        weights.iter_mut().chain(&mut bias).for_each(|x| *x *= scale);
        for name in ["attention.self.key", "attention.self.value"] {
            let (more, more_bias) = dense(name, HIDDEN, HIDDEN)?;
            weights.extend(more);
            bias.extend(more_bias);
        }
        let attended = dense("attention.output.dense", HIDDEN, HIDDEN)?;
        let up = dense("intermediate.dense", HIDDEN, INNER)?;
        let down = dense("output.dense", INNER, HIDDEN)?;
        Ok(Self {
            qkv: Dense::pack(&weights, HIDDEN, bias, tiling),
            attended: Dense::pack(&attended.0, HIDDEN, attended.1, tiling),
            up: Dense::pack(&up.0, HIDDEN, up.1, tiling),
            down: Dense::pack(&down.0, INNER, down.1, tiling),
            attended_norm: Norm::read(tensors, &format!("encoder.layer.{index}.attention.output.LayerNorm"))?,
            down_norm: Norm::read(tensors, &format!("encoder.layer.{index}.output.LayerNorm"))?,
        })
    }
}

/// The room a forward pass works in; kept and reused, so that a pass allocates nothing once it is warm.
pub(crate) struct Room {
    hidden: Vec<f32>,
    qkv: Vec<f32>,
    attended: Vec<f32>,
    inner: Vec<f32>,
    attention: AttentionRoom,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { hidden: vec![], qkv: vec![], attended: vec![], inner: vec![], attention: AttentionRoom::new() }
    }

    fn fit(&mut self, rows: usize, inner_rows: usize) {
        for (buffer, size) in [
            (&mut self.hidden, rows * HIDDEN),
            (&mut self.qkv, (rows + SPARE_ROWS) * QKV),
            (&mut self.attended, rows * HIDDEN),
            (&mut self.inner, inner_rows * INNER),
        ] {
            if buffer.len() < size {
                buffer.resize(size, 0.0);
            }
        }
    }
}

pub(crate) struct Encoder {
    tiling: Tiling,
    words: Vec<f32>,
    /// Position and the one segment type in one table: they are always added together.
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Encoder {
    pub(crate) fn read(tensors: &mut Tensors) -> Result<Self, ModelError> {
        let tiling = Tiling::here();
        let words = tensors.read("embeddings.word_embeddings.weight", &[VOCABULARY, HIDDEN])?;
        let mut places = tensors.read("embeddings.position_embeddings.weight", &[POSITIONS, HIDDEN])?;
        places.truncate(MAX_TOKENS * HIDDEN);
        let types = tensors.read("embeddings.token_type_embeddings.weight", &[2, HIDDEN])?;
        for place in places.chunks_exact_mut(HIDDEN) {
            place.iter_mut().zip(&types).for_each(|(x, y)| *x += y);
        }
        let norm = Norm::read(tensors, "embeddings.LayerNorm")?;
        let layers =
            (0..LAYERS).map(|index| Layer::read(tensors, index, tiling)).collect::<Result<_, _>>()?;
        Ok(Self { tiling, words, places, norm, layers })
    }

    /// The vectors of some sequences of 1 to `MAX_TOKENS` tokens, mean-pooled and of length one.
    pub(crate) fn run(&self, sequences: &[&[u32]], room: &mut Room) -> Vec<Vec<f32>> {
        let tokens: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        let rows = tokens.next_multiple_of(self.tiling.rows);
        let inner_rows = rows.min(INNER_TILES * self.tiling.rows);
        room.fit(rows, inner_rows);
        let Room { hidden, qkv, attended, inner, attention } = room;
        let hidden = &mut hidden[..rows * HIDDEN];
        // The last tile's spare rows hold old numbers; they are computed with and never looked at.
        self.embed(sequences, hidden);
        for layer in &self.layers {
            layer.qkv.apply::<HIDDEN, QKV>(hidden, qkv, rows, Then::Bias);
            let mut start = 0;
            for sequence in sequences {
                Attention { qkv, start, tokens: sequence.len(), out: attended, room: attention }.dispatch();
                start += sequence.len();
            }
            layer.attended.apply::<HIDDEN, HIDDEN>(attended, hidden, rows, Then::Residual);
            for hidden in hidden.chunks_mut(inner_rows * HIDDEN) {
                let rows = hidden.len() / HIDDEN;
                layer.attended_norm.apply(hidden);
                layer.up.apply::<HIDDEN, INNER>(hidden, inner, rows, Then::Gelu);
                layer.down.apply::<INNER, HIDDEN>(inner, hidden, rows, Then::Residual);
                layer.down_norm.apply(hidden);
            }
        }
        let mut rest = &*hidden;
        sequences
            .iter()
            .map(|sequence| {
                let (own, others) = rest.split_at(sequence.len() * HIDDEN);
                rest = others;
                pool(own)
            })
            .collect()
    }

    fn embed(&self, sequences: &[&[u32]], hidden: &mut [f32]) {
        let mut rows = hidden.chunks_exact_mut(HIDDEN);
        for sequence in sequences {
            for ((&token, place), row) in sequence.iter().zip(self.places.chunks_exact(HIDDEN)).zip(&mut rows)
            {
                let word = &self.words[token as usize * HIDDEN..][..HIDDEN];
                for ((x, word), place) in row.iter_mut().zip(word).zip(place) {
                    *x = word + place;
                }
            }
        }
        for row in rows {
            row.fill(0.0);
        }
        self.norm.apply(hidden);
    }
}

/// The mean of the rows, scaled to length one.
fn pool(rows: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0f32; HIDDEN];
    for row in rows.chunks_exact(HIDDEN) {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    // The length scales the mean's divisor away. The floor is the reference's, against division by zero.
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    sum.iter_mut().for_each(|x| *x /= length);
    sum
}
