"""wiki_bio in, anonymous biographies out."""
