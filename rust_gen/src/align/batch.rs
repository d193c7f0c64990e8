//! Many pairs at once, as plain columns.

use super::{Aligner, calls};

/// A call: pos (from 1), ref, alt, type.
pub type CallRow = (u32, String, String, &'static str);

/// Scores and calls of each read against its window.
///
/// # Errors
/// In words: columns of different lengths, or anything but upper-case IUPAC codes.
///
/// ```
/// use _rust_gen::align::batch::align;
/// assert_eq!(align(&["GATTACA"], &["GATCACA"]), Ok((vec![4], vec![vec![(4, "T".into(), "C".into(), "SNV")]])));
/// assert!(align(&["GATTACA"], &["GAT-ACA"]).is_err());
/// ```
pub fn align<T: AsRef<str>>(windows: &[T], reads: &[T]) -> Result<(Vec<u32>, Vec<Vec<CallRow>>), String> {
    if windows.len() != reads.len() {
        return Err(format!("as many reads as windows, found {} and {}", reads.len(), windows.len()));
    }
    let mut aligner = Aligner::default();
    let of_pair = |(index, (window, read)): (usize, (&T, &T))| {
        let window = bases(window, "windows", index)?;
        let read = bases(read, "reads", index)?;
        let alignment = aligner.align(window, read);
        let row = |call: crate::variant::Variant| {
            (call.pos.0, call.reference.as_str().to_owned(), call.alt.as_str().to_owned(), call.kind.name())
        };
        Ok((alignment.score, calls(window, read, &alignment).into_iter().map(row).collect()))
    };
    windows.iter().zip(reads).enumerate().map(of_pair).collect()
}

fn bases<'a, T: AsRef<str>>(sequence: &'a T, column: &str, index: usize) -> Result<&'a [u8], String> {
    let bases = sequence.as_ref().as_bytes();
    let is_code = |base: &u8| IUPAC[usize::from(*base)];
    // All of them first: without an early end the loop is the faster one.
    if bases.iter().fold(true, |all, base| all & is_code(base)) {
        return Ok(bases);
    }
    let at = bases.iter().take_while(|base| is_code(base)).count();
    Err(format!("{column}[{index}]: base {}: not an upper-case IUPAC code", at + 1))
}

const IUPAC: [bool; 256] = {
    let (mut known, codes, mut i) = ([false; 256], b"ACGTUNRYSWKMBDHV", 0);
    while i < codes.len() {
        known[codes[i] as usize] = true;
        i += 1;
    }
    known
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_aligned_is_said() {
        assert_eq!(align(&["A"], &[]), Err("as many reads as windows, found 0 and 1".into()));
        assert_eq!(align(&["A", "AC"], &["A", "Ac"]), Err("reads[1]: base 2: not an upper-case IUPAC code".into()));
        assert_eq!(align(&["A", "é"], &["A", "A"]), Err("windows[1]: base 1: not an upper-case IUPAC code".into()));
    }

    #[test]
    fn a_code_matches_itself_only() {
        let (scores, calls) = align(&["AARGT", "AARGT"], &["AARGT", "AAAGT"]).expect("codes");
        assert_eq!(scores, [0, 4]);
        assert_eq!(calls, [vec![], vec![(3, "R".into(), "A".into(), "SNV")]]);
    }
}
