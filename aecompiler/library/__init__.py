"""Ready-made parts of attention programs: masks, scores, normalisers and recurrences.

Each is a few lines on the public builder, and reads as an example of how to write one's own.
"""
