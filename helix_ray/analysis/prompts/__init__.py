"""Named, versioned, hashed prompt templates. A prompt holds opaque ids and sequences, and nothing else of a read.

The static text comes first, so that a provider can cache it; what differs between reads comes last. Every template is shown in
docs/prompts.md.
"""

from helix_ray.analysis.prompts.ask import Ask, opaque_id
from helix_ray.analysis.prompts.catalogue import PROMPTS, get_prompt
from helix_ray.analysis.prompts.template import PromptTemplate

__all__ = ["PROMPTS", "Ask", "PromptTemplate", "get_prompt", "opaque_id"]
