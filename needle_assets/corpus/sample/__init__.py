"""The built-in sample: biographies in wiki_bio's manner, written by us, and the truth of them.

Reading other corpora does not belong here.
"""

from needle_assets.corpus.sample.rows import sample_corpus, sample_truth
from needle_assets.corpus.sample.wiki_bio import to_wiki_bio

__all__ = ["sample_corpus", "sample_truth", "to_wiki_bio"]
