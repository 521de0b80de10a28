//! The model: turns a text into a unit vector.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use ndarray::Axis;
use tokenizers::{Tokenizer, TruncationParams};

use crate::bert::{Bert, SHAPE, Shape};
use crate::weights::Weights;

/// Name of the model.
pub const NAME: &str = "all-MiniLM-L6-v2";

/// Number of dimensions of its vectors.
pub const DIMENSIONS: usize = SHAPE.hidden_size;

/// Longer texts are truncated to this many tokens, the model's training length. Includes the two
/// enclosing tokens.
pub const TOKENS_MAX: usize = 256;

/// The loaded model.
pub struct Model {
    tokenizer: Tokenizer,
    bert: Bert,
}

/// Embedding of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// [`DIMENSIONS`] components, of length 1.
    pub vector: Vec<f32>,
    /// Number of tokens of the text.
    pub tokens: usize,
}

impl Model {
    /// Loads `model.safetensors` and `tokenizer.json` from a folder. A `config.json` must describe
    /// this model.
    pub fn load(folder: &Path) -> Result<Self> {
        check_shape(folder)?;
        let weights = read(folder, "model.safetensors")?;
        let bert = Weights::new(&weights).and_then(|weights| Bert::new(&weights));
        Ok(Self {
            tokenizer: load_tokenizer(folder)?,
            bert: bert.with_context(|| format!("load the weights of {NAME}"))?,
        })
    }

    /// Embeds a text: the normalised mean of the last layer's output. Fails without tokens.
    pub fn embed(&self, text: &str) -> Result<Embedding> {
        let tokens = self.tokens(text)?;
        Ok(Embedding {
            vector: self.embed_tokens(&tokens)?,
            tokens: tokens.len(),
        })
    }

    /// The tokens of the vocabulary, with their numbers.
    pub fn vocabulary(&self) -> impl Iterator<Item = (String, u32)> + use<> {
        self.tokenizer.get_vocab(false).into_iter()
    }

    /// Embeds a token of the vocabulary as a text of its own; returns the vector of length 1.
    pub fn embed_token(&self, number: u32) -> Result<Vec<f32>> {
        let mut tokens = self.tokens("")?;
        tokens.insert(tokens.len().div_ceil(2), number);
        self.embed_tokens(&tokens)
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = self.tokenizer.encode_fast(text, true);
        let encoded =
            encoded.map_err(|error| anyhow!(error).context("split a text into tokens"))?;
        Ok(encoded.get_ids().to_vec())
    }

    fn embed_tokens(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        let rows = self.bert.forward(tokens).context("run the model")?;
        let mean = rows.mean_axis(Axis(0)).context("a text of no tokens")?;
        let length = mean.dot(&mean).sqrt();
        Ok((mean / length).to_vec())
    }
}

/// Rejects other models whose weights would fit this shape.
fn check_shape(folder: &Path) -> Result<()> {
    if !folder.join("config.json").exists() {
        return Ok(());
    }
    let shape: Shape =
        serde_json::from_slice(&read(folder, "config.json")?).context("read config.json")?;
    ensure!(
        shape == SHAPE,
        "{} has another model than {NAME}: {shape:?}",
        folder.display()
    );
    Ok(())
}

fn load_tokenizer(folder: &Path) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_bytes(read(folder, "tokenizer.json")?)
        .map_err(|error| anyhow!(error).context("read tokenizer.json"))?;
    // The file configures other padding and truncation than the training used.
    let truncation = TruncationParams {
        max_length: TOKENS_MAX,
        ..TruncationParams::default()
    };
    tokenizer
        .with_padding(None)
        .with_truncation(Some(truncation))
        .map_err(|error| anyhow!(error).context("set the greatest number of tokens"))?;
    Ok(tokenizer)
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).with_context(|| format!("read {}", path.display()))
}
