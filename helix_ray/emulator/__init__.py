"""A faithful local Groq: wire format, limits, errors and bill as published, answers from a scripted model.

It stands apart on purpose. It shares no code with the throttle, the backends or the scoring that it is used to judge:
its token estimate, its bucket law, its variant caller and its prompt parser are its own. What it answers follows scripted
error rates and says nothing about any LLM.
"""
