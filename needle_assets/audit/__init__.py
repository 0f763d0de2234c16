"""How far the data can be trusted: every promise measured again, by other means than it was kept.

Nothing here is used to build data, and the measures of names share no code with `corpus.mentions`.
"""
