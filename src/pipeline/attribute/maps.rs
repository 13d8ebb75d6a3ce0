//! Makes of gradients what methods call an attribution, on the host.

use candle_core::{D, Result as TensorResult, Tensor};

use crate::model::TapGradient;
use crate::nn::{HostTensor, Site};

/// Makes the class activation map (Selvaraju et al. 2017) of a view: `max(0, sum_d w_d x_d)` for
/// each row, where `w` is the mean gradient over the patches: `(N)` of `x (R, D)`, whose first `lead`
/// rows are no patches.
pub(super) fn grad_cam(tap: &TapGradient, lead: usize) -> TensorResult<HostTensor> {
    // The class token is no place of the picture.
    let patches = |t: &HostTensor| t.narrow(0, lead, t.dim(0)? - lead);
    let gradient = patches(&tap.gradient)?; // (N, D)
    let value = match &tap.value {
        Some(value) => patches(value)?,
        None => gradient.zeros_like()?,
    };
    let weights = gradient.mean_keepdim(0)?; // (1, D)
    HostTensor::download(&value.broadcast_mul(&weights)?.sum(D::Minus1)?.relu()?)
}

/// Returns what was found at a point with its rows first, as captures have them: a whole pattern
/// `(H, R, K)` as `(R, H, K)`.
pub(super) fn rows_first(tap: &TapGradient) -> TensorResult<HostTensor> {
    if tap.point.site == Site::Pattern && tap.gradient.rank() == 3 {
        return HostTensor::download(&tap.gradient.transpose(0, 1)?.contiguous()?);
    }
    Ok(tap.gradient.clone())
}

/// Computes relevance through attention: `R <- share (R + A R)` from the first layer to the last
/// one. With `share` 1 and `A (T, T)` the positive part of attention times gradient, mean over
/// heads, it is that of Chefer et al. 2021; with 1/2 and attention itself the rollout of Abnar and
/// Zuidema 2020. Returns row `row` of it, `(T)`; `layers` go from the last layer to the first, as
/// gradients do.
pub(super) fn relevance(
    layers: &[&TapGradient],
    row: usize,
    share: f64,
) -> TensorResult<Option<HostTensor>> {
    let Some(first) = layers.first() else {
        return Ok(None);
    };
    let count = first.gradient.dim(0)?;
    let mut unit = vec![0f32; count];
    unit[row] = 1.0;
    // One row of the product, from the left: no (T, T) product is made.
    let mut relevance = Tensor::from_vec(unit, (1, count), first.gradient.device())?;
    for layer in layers {
        // `(1, T)`.
        let through = relevance.matmul(&layer.gradient)?;
        // The residual stream carries a row past the attention as well.
        relevance = ((relevance + through)? * share)?;
    }
    HostTensor::download(&relevance.squeeze(0)?).map(Some)
}

/// Sums pixels' attributions over the colours: `(V, 3, H, W) -> (V, H, W)`; a norm where there is no
/// way to multiply by.
pub(super) fn of_pixels(gradient: &HostTensor, along: Option<&Tensor>) -> TensorResult<HostTensor> {
    let reduced = match along {
        Some(along) => (&**gradient * along)?.sum(1)?,
        None => gradient.sqr()?.sum(1)?.sqrt()?,
    };
    HostTensor::download(&reduced)
}

/// Adds `more` times `share` to a sum.
pub(super) fn add(sum: Option<HostTensor>, more: &Tensor, share: f64) -> TensorResult<HostTensor> {
    let more = (more * share)?;
    let total = match sum {
        Some(sum) => (&*sum + more)?,
        None => more,
    };
    HostTensor::download(&total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Point, Span, Stack};

    fn tap(value: &[f32], gradient: &[f32], shape: (usize, usize)) -> TapGradient {
        let tensor = |numbers: &[f32]| HostTensor::from_vec(numbers.to_vec(), shape).unwrap();
        TapGradient {
            point: Point::at(Stack::VisionTower, 0, Site::ResidPost),
            span: Span::default(),
            value: Some(tensor(value)),
            gradient: tensor(gradient),
        }
    }

    #[test]
    fn a_map_weighs_channels_by_their_mean_gradient() {
        // The class token in front counts for neither.
        let tap = tap(
            &[9.0, 9.0, 1.0, 2.0, 3.0, -1.0],
            &[7.0, 7.0, 1.0, 0.0, 3.0, 2.0],
            (3, 2),
        );
        let map: Vec<f32> = grad_cam(&tap, 1).unwrap().to_vec1().unwrap();
        assert_eq!(map, [2.0 + 2.0, 6.0 - 1.0]);
    }

    #[test]
    fn a_pattern_has_its_rows_first() {
        let numbers: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let mut tap = tap(&[], &[], (0, 0));
        // Two heads of two rows that look at three keys.
        tap.gradient = HostTensor::from_vec(numbers, (2, 2, 3)).unwrap();
        assert_eq!(rows_first(&tap).unwrap().dims(), [2, 2, 3]);
        tap.point.site = Site::Pattern;
        let turned: Vec<Vec<Vec<f32>>> = rows_first(&tap).unwrap().to_vec3().unwrap();
        assert_eq!(turned[0], [[0.0, 1.0, 2.0], [6.0, 7.0, 8.0]]);
        assert_eq!(turned[1], [[3.0, 4.0, 5.0], [9.0, 10.0, 11.0]]);
    }

    #[test]
    fn relevance_is_a_row_of_the_product() {
        let first = tap(&[], &[], (0, 0));
        let of = |a: [f32; 4]| TapGradient {
            gradient: HostTensor::from_vec(a.to_vec(), (2, 2)).unwrap(),
            value: None,
            ..first.clone()
        };
        let (lower, upper) = (of([1.0, 0.0, 0.5, 0.5]), of([1.0, 0.0, 0.25, 0.75]));
        // (I + upper) (I + lower), row 1.
        let row = relevance(&[&upper, &lower], 1, 1.0).unwrap().unwrap();
        let row: Vec<f32> = row.to_vec1().unwrap();
        assert_eq!(row, [0.25 * 2.0 + 1.75 * 0.5, 1.75 * 1.5]);
        assert!(relevance(&[], 0, 1.0).unwrap().is_none());
        let halved = relevance(&[&upper, &lower], 1, 0.5).unwrap().unwrap();
        let halved: Vec<f32> = halved.to_vec1().unwrap();
        assert_eq!(halved, [row[0] / 4.0, row[1] / 4.0]);
    }
}
