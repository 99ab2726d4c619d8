//! What the fused form needs to go back.
//!
//! candle's own backward pass makes a tensor of zeros for every gradient and adds to it, through a pool of threads of its
//! own that wait for each other actively. On the CPU that costs up to half of a training step (docs: speed of models).
//! Here a gradient that comes first is taken as it is, and what a step kept is freed as soon as the step has been undone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use candle_core::{CustomOp1, Result, Tensor, TensorId, Var};

use super::fused;

/// From the gradient of an output to those of the inputs.
type Undo = Box<dyn FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>> + Send>;

struct Step {
    inputs: Vec<TensorId>,
    output: TensorId,
    undo: Undo,
}

/// The steps of a forward pass, in their order.
#[derive(Default)]
pub(crate) struct Tape {
    steps: Mutex<Vec<Step>>,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").finish_non_exhaustive()
    }
}

impl Tape {
    /// Notes how an output came about.
    pub(super) fn note(
        &self,
        inputs: &[&Tensor],
        output: &Tensor,
        undo: impl FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + 'static,
    ) {
        let inputs = inputs.iter().map(|input| input.id()).collect();
        let step = Step { inputs, output: output.id(), undo: Box::new(undo) };
        // A poisoned lock means that another thread panicked; its error is on its way.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// Runs an operation of one input.
    pub(super) fn apply(&self, x: &Tensor, op: impl CustomOp1 + Send + 'static) -> Result<Tensor> {
        let kept = x.contiguous()?;
        let y = kept.apply_op1_no_bwd(&op)?;
        let result = y.clone();
        self.note(&[x], &y, move |dy| Ok(vec![op.bwd(&kept, &result, dy)?]));
        Ok(y)
    }

    /// Runs a part of the pass that candle differentiates.
    pub(super) fn by_candle<E: From<candle_core::Error>>(
        &self,
        inputs: &[&Tensor],
        work: impl FnOnce(&[&Tensor]) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Tensor, E> {
        let leaves = inputs.iter().map(|input| Var::from_tensor(input)).collect::<Result<Vec<_>>>()?;
        let graph = work(&leaves.iter().map(Var::as_tensor).collect::<Vec<_>>())?;
        let output = graph.detach();
        self.note(inputs, &output, move |dy| {
            let gradients = (graph * dy)?.sum_all()?.backward()?;
            Ok(leaves.iter().map(|leaf| gradients.get(leaf.as_tensor()).cloned()).collect())
        });
        Ok(output)
    }

    /// The gradient of `input`, given that of `output`; empties the tape.
    pub(crate) fn backward(&self, input: &Tensor, output: &Tensor, gradient: Tensor) -> Result<Option<Tensor>> {
        let steps = std::mem::take(&mut *self.steps.lock().unwrap_or_else(PoisonError::into_inner));
        let mut gradients = HashMap::from([(output.id(), gradient)]);
        for Step { inputs, output, undo } in steps.into_iter().rev() {
            let Some(dy) = gradients.remove(&output) else { continue };
            for (input, dx) in inputs.into_iter().zip(undo(&dy)?) {
                let Some(dx) = dx else { continue };
                let sum = match gradients.remove(&input) {
                    Some(earlier) => fused::sum(&earlier, &dx)?,
                    None => dx,
                };
                gradients.insert(input, sum);
            }
        }
        Ok(gradients.remove(&input.id()))
    }
}
