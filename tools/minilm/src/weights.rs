//! Reads weights from a safetensors file.

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensors};

pub(crate) struct Weights<'file>(SafeTensors<'file>);

impl<'file> Weights<'file> {
    pub(crate) fn new(file: &'file [u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(file).context("read model.safetensors")?;
        Ok(Self(tensors))
    }

    pub(crate) fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>> {
        self.numbers(name, &[length]).map(Array1::from_vec)
    }

    pub(crate) fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Array2<f32>> {
        let numbers = self.numbers(name, &shape)?;
        Array2::from_shape_vec(shape, numbers).with_context(|| format!("shape {name}"))
    }

    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self
            .0
            .tensor(name)
            .with_context(|| format!("find {name}"))?;
        ensure!(
            tensor.dtype() == Dtype::F32 && tensor.shape() == shape,
            "{name} is {} of shape {:?}, not F32 of shape {shape:?}",
            tensor.dtype(),
            tensor.shape()
        );
        let (numbers, _) = tensor.data().as_chunks::<4>();
        Ok(numbers.iter().copied().map(f32::from_le_bytes).collect())
    }
}
