"""From haystacks to a fine-tune: the JSONL dataset and its upload.

What a prompt says is `haystack`'s; how well the tuned model answers is `evaluation`'s.
"""
