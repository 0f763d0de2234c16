"""What a biography says about its person: the label, and the labelers that find it."""
