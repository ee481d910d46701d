//! Floats that come from outside are numbers, or they do not come in.

use crate::{Error, Result};

/// Bits that are all set in a float that is not finite.
const EXPONENT: u32 = 0x7F80_0000;
/// Floats that are looked at together, by vectors.
const BLOCK: usize = 4096;

/// Fails with the first value that is NaN or infinite: `name`, and its place, as row and column if the value has several columns.
/// A pass over the data at the speed of memory.
pub(crate) fn check_finite(name: &str, data: &[f32], cols: usize) -> Result<()> {
    let odd = |x: &f32| x.to_bits() & EXPONENT == EXPONENT;
    // No early exit within a block: the loop stays a vector loop.
    let has_odd = |block: &[f32]| block.iter().fold(false, |any, x| any | odd(x));
    let Some(block) = data.chunks(BLOCK).position(has_odd) else { return Ok(()) };
    let first = block * BLOCK;
    let at = first + data[first..].iter().position(odd).unwrap_or_default();
    let place = match cols {
        0 | 1 => format!("place {at}"),
        cols => format!("row {}, column {}", at / cols, at % cols),
    };
    let what = format!("holds {} at {place}: every value has to be finite", data[at]);
    Err(Error::Data { name: name.into(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_no_number_is_named() {
        let mut data = vec![f32::MAX; 3 * BLOCK];
        assert!(check_finite("x", &data, 1).is_ok());
        data[2 * BLOCK + 7] = f32::NAN;
        data[BLOCK + 5] = f32::NEG_INFINITY;
        let said = |cols| check_finite("x", &data, cols).unwrap_err().to_string();
        assert!(said(1).contains("holds -inf at place 4101"), "{}", said(1));
        assert!(said(64).contains("row 64, column 5"), "{}", said(64));
        assert!(check_finite("x", &data[..BLOCK], 1).is_ok());
        assert!(check_finite("x", &[], 1).is_ok());
    }
}
