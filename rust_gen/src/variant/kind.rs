//! What a variant is, and what made it.

/// What a variant is, as a function of its normalised alleles alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VariantType {
    /// One base substituted.
    Snv,
    /// Several adjacent bases substituted by as many (Sequence Ontology SO:0002007).
    Mnv,
    /// Bases added.
    Ins,
    /// Bases removed.
    Del,
    /// Bases replaced by another number of bases.
    Delins,
}

impl VariantType {
    /// The type of trimmed alleles with that many bases; None when both are empty.
    #[must_use]
    pub const fn of(deleted: usize, inserted: usize) -> Option<Self> {
        Some(match (deleted, inserted) {
            (0, 0) => return None,
            (0, _) => Self::Ins,
            (_, 0) => Self::Del,
            (1, 1) => Self::Snv,
            (a, b) if a == b => Self::Mnv,
            _ => Self::Delins,
        })
    }

    /// The name used in records and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snv => "SNV",
            Self::Mnv => "MNV",
            Self::Ins => "INS",
            Self::Del => "DEL",
            Self::Delins => "DELINS",
        }
    }
}

/// What the generator did. Kept beside the type, since a duplication is an insertion in VCF and an inversion an MNV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// Substituted one base.
    Snv,
    /// Substituted several adjacent bases.
    Mnv,
    /// Inserted random bases.
    Ins,
    /// Deleted bases.
    Del,
    /// Inserted a copy of bases beside them.
    Dup,
    /// Replaced bases by their reverse complement.
    Inv,
    /// Anything else; the generator makes none.
    Complex,
}

impl Event {
    /// The name used in records and in the configuration's `type_weights`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snv => "snv",
            Self::Mnv => "mnv",
            Self::Ins => "ins",
            Self::Del => "del",
            Self::Dup => "dup",
            Self::Inv => "inv",
            Self::Complex => "complex",
        }
    }
}

/// Whether a substitution stays within the purines or pyrimidines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TiTv {
    /// A and G, or C and T.
    Transition,
    /// One of each.
    Transversion,
}

impl TiTv {
    /// Of a substitution of one base by another.
    #[must_use]
    pub const fn of(from: u8, to: u8) -> Self {
        match (from, to) {
            (b'A', b'G') | (b'G', b'A') | (b'C', b'T') | (b'T', b'C') => Self::Transition,
            _ => Self::Transversion,
        }
    }

    /// The name used in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transition => "ti",
            Self::Transversion => "tv",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_from_the_lengths() {
        let types = [(0, 0), (0, 3), (2, 0), (1, 1), (3, 3), (1, 2), (5, 2)].map(|(d, i)| VariantType::of(d, i).map(VariantType::name));
        assert_eq!(types, [None, Some("INS"), Some("DEL"), Some("SNV"), Some("MNV"), Some("DELINS"), Some("DELINS")]);
    }

    #[test]
    fn each_base_has_one_transition() {
        for from in *b"ACGT" {
            let others = b"ACGT".iter().filter(|to| **to != from);
            assert_eq!(others.filter(|to| TiTv::of(from, **to) == TiTv::Transition).count(), 1);
        }
    }
}
