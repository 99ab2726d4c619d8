//! The same mathematics in f64, as the formulas read: one loop per index, no fusion.

use tdrm_kernels::layer::{LayerParts, LayerShape};

/// `y_o = Σ_i w_oi x_i`.
fn linear(w: &[f64], x: &[f64]) -> Vec<f64> {
    w.chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

pub(crate) fn rmsnorm(x: &[f64], w: &[f64], epsilon: f64) -> Vec<f64> {
    let scale = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + epsilon).sqrt();
    x.iter().zip(w).map(|(x, w)| x * scale * w).collect()
}

/// Rotates one head by its position.
fn rope(head: &mut [f64], position: usize, theta: f64) {
    let half = head.len() / 2;
    for i in 0..half {
        let angle = position as f64 * theta.powf(-((2 * i) as f64) / head.len() as f64);
        let (a, b) = (head[i], head[i + half]);
        head[i] = a * angle.cos() - b * angle.sin();
        head[i + half] = b * angle.cos() + a * angle.sin();
    }
}

fn softmax(z: &[f64]) -> Vec<f64> {
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = z.iter().map(|z| (z - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| e / sum).collect()
}

/// Causal attention of one sequence: rows of queries, keys and values, to rows of outputs.
pub(crate) fn attention(shape: &LayerShape, qkv: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (h, k, d) = (shape.heads.query, shape.heads.key_value, shape.heads.dim);
    let part = |row: &[f64], head: usize| row[head * d..(head + 1) * d].to_vec();
    (0..qkv.len())
        .map(|t| {
            (0..h)
                .flat_map(|head| {
                    let (q, kv) = (part(&qkv[t], head), head / (h / k));
                    let score = |row: &Vec<f64>| {
                        let key = part(row, h + kv);
                        q.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() / (d as f64).sqrt()
                    };
                    let p = softmax(&qkv[..=t].iter().map(score).collect::<Vec<_>>());
                    let value = |i: usize| p.iter().zip(qkv).map(|(p, row)| p * part(row, h + k + kv)[i]).sum::<f64>();
                    (0..d).map(value).collect::<Vec<_>>()
                })
                .collect()
        })
        .collect()
}

/// One decoder layer on one sequence of rows.
pub(crate) fn layer(shape: &LayerShape, theta: f64, w: &[f64], x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let LayerParts { input_norm, qkv, bias, output, post_norm, gate_up, down } = shape.parts();
    let epsilon = f64::from(shape.epsilon);
    let project = |(position, x): (usize, &Vec<f64>)| {
        let mut row = linear(&w[qkv.clone()], &rmsnorm(x, &w[input_norm.clone()], epsilon));
        row.iter_mut().zip(&w[bias.clone()]).for_each(|(x, b)| *x += b);
        let rotated = (shape.heads.query + shape.heads.key_value) * shape.heads.dim;
        row[..rotated].chunks_exact_mut(shape.heads.dim).for_each(|head| rope(head, position, theta));
        row
    };
    let projected: Vec<_> = x.iter().enumerate().map(project).collect();
    let add = |x: &[f64], y: Vec<f64>| x.iter().zip(y).map(|(x, y)| x + y).collect::<Vec<_>>();
    let finish = |(x, o): (&Vec<f64>, Vec<f64>)| {
        let middle = add(x, linear(&w[output.clone()], &o));
        let both = linear(&w[gate_up.clone()], &rmsnorm(&middle, &w[post_norm.clone()], epsilon));
        let (gate, up) = both.split_at(shape.intermediate);
        let activated: Vec<_> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
        add(&middle, linear(&w[down.clone()], &activated))
    };
    x.iter().zip(attention(shape, &projected)).map(finish).collect()
}

/// log p of the target and the entropy, at temperature τ.
pub(crate) fn score(
    norm: &[f64],
    epsilon: f64,
    head: &[f64],
    x: &[f64],
    target: usize,
    temperature: f64,
) -> (f64, f64) {
    let logits = linear(head, &rmsnorm(x, norm, epsilon));
    let p = softmax(&logits.iter().map(|z| z / temperature).collect::<Vec<_>>());
    (p[target].ln(), -p.iter().map(|p| p * p.ln()).sum::<f64>())
}
