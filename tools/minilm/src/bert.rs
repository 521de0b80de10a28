//! The forward pass of BERT in the shape of all-MiniLM-L6-v2.
//!
//! Plain matrix code, because frameworks such as candle take minutes to compile.

use anyhow::{Context, Result};
use ndarray::{Array1, Array2, Axis, Zip, s};
use serde::Deserialize;

use crate::weights::Weights;

/// The parameters of a BERT model in its `config.json`.
#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Shape {
    vocab_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    pub(crate) hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    layer_norm_eps: f32,
}

pub(crate) const SHAPE: Shape = Shape {
    vocab_size: 30_522,
    max_position_embeddings: 512,
    type_vocab_size: 2,
    hidden_size: 384,
    num_hidden_layers: 6,
    num_attention_heads: 12,
    intermediate_size: 1536,
    layer_norm_eps: 1e-12,
};

const HEAD_SIZE: usize = SHAPE.hidden_size / SHAPE.num_attention_heads;

/// The model's weights. Matrices have a row per token.
pub(crate) struct Bert {
    words: Array2<f32>,
    /// Sum of each position's embedding and that of token type 0, the only type of a single text.
    positions: Array2<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Bert {
    pub(crate) fn new(weights: &Weights<'_>) -> Result<Self> {
        let table = |rows, name: &str| {
            let name = format!("embeddings.{name}_embeddings.weight");
            weights.matrix(&name, [rows, SHAPE.hidden_size])
        };
        let types = table(SHAPE.type_vocab_size, "token_type")?;
        Ok(Self {
            words: table(SHAPE.vocab_size, "word")?,
            positions: table(SHAPE.max_position_embeddings, "position")? + types.row(0),
            norm: Norm::new(weights, "embeddings.LayerNorm")?,
            layers: (0..SHAPE.num_hidden_layers)
                .map(|index| Layer::new(weights, &format!("encoder.layer.{index}")))
                .collect::<Result<_>>()?,
        })
    }

    /// Returns the last layer's output for each token.
    pub(crate) fn forward(&self, tokens: &[u32]) -> Result<Array2<f32>> {
        let mut rows = Array2::zeros((0, SHAPE.hidden_size));
        for (token, position) in tokens.iter().zip(self.positions.rows()) {
            let token = usize::try_from(*token)?;
            let known = token < self.words.nrows();
            let word = known.then(|| self.words.row(token));
            let row = &word.context("find a token among the words")? + &position;
            rows.push_row(row.view())?;
        }
        let mut rows = self.norm.apply(rows);
        for layer in &self.layers {
            rows = layer.forward(rows);
        }
        Ok(rows)
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attended_norm: Norm,
    widen: Linear,
    narrow: Linear,
    norm: Norm,
}

impl Layer {
    fn new(weights: &Weights<'_>, layer: &str) -> Result<Self> {
        let (width, wide) = (SHAPE.hidden_size, SHAPE.intermediate_size);
        let linear = |inputs, outputs, name: &str| {
            Linear::new(weights, &format!("{layer}.{name}"), inputs, outputs)
        };
        let norm = |name: &str| Norm::new(weights, &format!("{layer}.{name}"));
        Ok(Self {
            query: linear(width, width, "attention.self.query")?,
            key: linear(width, width, "attention.self.key")?,
            value: linear(width, width, "attention.self.value")?,
            attended: linear(width, width, "attention.output.dense")?,
            attended_norm: norm("attention.output.LayerNorm")?,
            widen: linear(width, wide, "intermediate.dense")?,
            narrow: linear(wide, width, "output.dense")?,
            norm: norm("output.LayerNorm")?,
        })
    }

    fn forward(&self, rows: Array2<f32>) -> Array2<f32> {
        let attended = self.attended.apply(&self.attend(&rows));
        let rows = self.attended_norm.apply(attended + rows);
        let wide = self.widen.apply(&rows).mapv_into(gelu);
        self.norm.apply(self.narrow.apply(&wide) + rows)
    }

    /// Self-attention. No token is masked, because texts are not padded.
    fn attend(&self, rows: &Array2<f32>) -> Array2<f32> {
        let query = self.query.apply(rows) / (HEAD_SIZE as f32).sqrt();
        let key = self.key.apply(rows);
        let mut mixed = self.value.apply(rows);
        for head in 0..SHAPE.num_attention_heads {
            let part = s![.., head * HEAD_SIZE..(head + 1) * HEAD_SIZE];
            let mut fit = query.slice(part).dot(&key.slice(part).t());
            soften(&mut fit);
            let value = mixed.slice(part).to_owned();
            mixed.slice_mut(part).assign(&fit.dot(&value));
        }
        mixed
    }
}

/// A matrix and its bias.
struct Linear {
    /// One row per output.
    weight: Array2<f32>,
    bias: Array1<f32>,
}

impl Linear {
    fn new(weights: &Weights<'_>, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: weights.matrix(&format!("{name}.weight"), [outputs, inputs])?,
            bias: weights.vector(&format!("{name}.bias"), outputs)?,
        })
    }

    fn apply(&self, rows: &Array2<f32>) -> Array2<f32> {
        rows.dot(&self.weight.t()) + &self.bias
    }
}

struct Norm {
    weight: Array1<f32>,
    bias: Array1<f32>,
}

impl Norm {
    fn new(weights: &Weights<'_>, name: &str) -> Result<Self> {
        Ok(Self {
            weight: weights.vector(&format!("{name}.weight"), SHAPE.hidden_size)?,
            bias: weights.vector(&format!("{name}.bias"), SHAPE.hidden_size)?,
        })
    }

    fn apply(&self, mut rows: Array2<f32>) -> Array2<f32> {
        let width = SHAPE.hidden_size as f32;
        for mut row in rows.rows_mut() {
            row -= row.sum() / width;
            let variance = row.iter().map(|part| part * part).sum::<f32>() / width;
            row /= (variance + SHAPE.layer_norm_eps).sqrt();
            Zip::from(&mut row)
                .and(&self.weight)
                .and(&self.bias)
                .for_each(|part, weight, bias| *part = *part * weight + bias);
        }
        rows
    }
}

fn soften(rows: &mut Array2<f32>) {
    for mut row in rows.axis_iter_mut(Axis(0)) {
        let greatest = row.fold(f32::NEG_INFINITY, |greatest, part| greatest.max(*part));
        row.mapv_inplace(|part| (part - greatest).exp());
        row /= row.sum();
    }
}

fn gelu(part: f32) -> f32 {
    part * 0.5 * (1.0 + libm::erff(part * std::f32::consts::FRAC_1_SQRT_2))
}
