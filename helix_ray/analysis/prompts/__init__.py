"""Named, versioned, hashed prompt templates. A prompt shows opaque ids and sequences, and nothing else of a read.

The static text comes first, so that a provider can cache it; what differs between reads comes last. docs/prompts.md shows all.
"""

from helix_ray.analysis.prompts.layouts import Ask, opaque_id
from helix_ray.analysis.prompts.template import PROMPTS, PromptTemplate, get_prompt, template_of

__all__ = ["PROMPTS", "Ask", "PromptTemplate", "get_prompt", "opaque_id", "template_of"]
