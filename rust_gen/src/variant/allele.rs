//! The bases of an allele. Short ones, which nearly all are, live inside the value: no allocation for each variant.

use std::fmt;
use std::ops::Deref;

/// Bases kept inside the value. An indel of the default model has at most 20 bases and an anchor.
const INLINE: usize = 30;

/// A sequence of bases, possibly empty; always ASCII when it comes from a window or from Python.
///
/// ```
/// use _rust_gen::variant::Allele;
/// let allele = Allele::join(&[b"A", b"CG"]);
/// assert_eq!((allele.len(), allele.as_str()), (3, "ACG"));
/// ```
#[derive(Clone)]
pub struct Allele(Bases);

#[derive(Clone)]
enum Bases {
    Inline(u8, [u8; INLINE]),
    Heap(Vec<u8>),
}

impl Allele {
    /// No bases.
    #[must_use]
    pub const fn new() -> Self {
        Self(Bases::Inline(0, [0; INLINE]))
    }

    /// One base.
    #[inline]
    #[must_use]
    pub const fn single(base: u8) -> Self {
        let mut bases = [0; INLINE];
        bases[0] = base;
        Self(Bases::Inline(1, bases))
    }

    /// A part of a sequence.
    ///
    /// # Panics
    /// It does not lie within `bases`.
    #[inline]
    #[must_use]
    pub fn part(bases: &[u8], start: usize, length: usize) -> Self {
        // Copying always as many takes less than a loop whose end is hard to foresee; what is beyond the length is never seen.
        match bases[start..].first_chunk::<INLINE>() {
            Some(all) if length <= INLINE => Self(Bases::Inline(length as u8, *all)),
            _ => Self::join(&[&bases[start..start + length]]),
        }
    }

    /// One base, and then these.
    #[inline]
    #[must_use]
    pub fn behind(first: u8, rest: &Self) -> Self {
        match &rest.0 {
            Bases::Inline(len, bases) if usize::from(*len) < INLINE => {
                let mut longer = [first; INLINE];
                longer[1..].copy_from_slice(&bases[..INLINE - 1]);
                Self(Bases::Inline(len + 1, longer))
            }
            _ => Self::join(&[&[first], rest]),
        }
    }

    /// The parts, one after the other.
    #[must_use]
    pub fn join(parts: &[&[u8]]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > INLINE {
            return Self(Bases::Heap(parts.concat()));
        }
        let mut bases = [0; INLINE];
        let mut done = 0;
        for part in parts {
            for (slot, base) in bases[done..].iter_mut().zip(*part) {
                *slot = *base;
            }
            done += part.len();
        }
        Self(Bases::Inline(len as u8, bases))
    }

    /// One more base at the end.
    pub fn push(&mut self, base: u8) {
        match &mut self.0 {
            Bases::Inline(len, bases) if usize::from(*len) < INLINE => {
                bases[usize::from(*len)] = base;
                *len += 1;
            }
            Bases::Inline(_, bases) => {
                let mut longer = bases.to_vec();
                longer.push(base);
                self.0 = Bases::Heap(longer);
            }
            Bases::Heap(bases) => bases.push(base),
        }
    }

    /// The bases as text; empty if they are not UTF-8, which bases always are.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self).unwrap_or_default()
    }
}

impl Deref for Allele {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bases::Inline(len, bases) => &bases[..usize::from(*len)],
            Bases::Heap(bases) => bases,
        }
    }
}

impl Default for Allele {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&[u8]> for Allele {
    fn from(bases: &[u8]) -> Self {
        Self::join(&[bases])
    }
}

impl From<Vec<u8>> for Allele {
    fn from(bases: Vec<u8>) -> Self {
        if bases.len() > INLINE { Self(Bases::Heap(bases)) } else { Self::join(&[&bases]) }
    }
}

impl From<&str> for Allele {
    fn from(bases: &str) -> Self {
        bases.as_bytes().into()
    }
}

impl PartialEq for Allele {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Allele {}

impl PartialEq<str> for Allele {
    fn eq(&self, other: &str) -> bool {
        **self == *other.as_bytes()
    }
}

impl PartialEq<&str> for Allele {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Debug for Allele {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Allele {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_alleles_behave_alike() {
        for len in [0, 1, INLINE - 1, INLINE, INLINE + 1, 200] {
            let bases: Vec<u8> = b"ACGT".iter().copied().cycle().take(len).collect();
            let mut pushed = Allele::new();
            bases.iter().for_each(|base| pushed.push(*base));
            let (head, tail) = bases.split_at(len / 2);
            let mut longer = b"GG".to_vec();
            longer.extend_from_slice(&bases);
            let parts = [Allele::part(&bases, 0, len), Allele::part(&longer, 2, len)];
            assert_eq!(*Allele::behind(b'G', &pushed), longer[1..]);
            let [part, other] = parts;
            for allele in [pushed, part, other, Allele::join(&[head, tail]), bases.clone().into(), bases.as_slice().into()] {
                assert_eq!(*allele, *bases);
                assert_eq!(allele, allele.as_str());
                assert_eq!(allele.to_string().as_bytes(), bases);
            }
        }
    }
}
