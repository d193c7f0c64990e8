//! Small variants: what they are, how they are applied to a window, and their normal forms.

pub mod allele;
pub mod edit;
pub mod justify;
pub mod kind;
pub mod normalize;
pub mod spdi;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the room's own")]
pub mod variant;

pub use allele::Allele;
pub use edit::{Edit, apply_edits, trim};
pub use justify::{Contextual, Interval, justified, justify};
pub use kind::{Event, TiTv, VariantType};
pub use normalize::{NormalizeError, normalize, normalize_alleles};
pub use spdi::spdi;
pub use variant::{ApplyError, OneBased, Variant, apply};
