"""The machinery of a descent: compiled loops, shards, workers, checkpoints, a network's costs.

It stands above what the course teaches and gives the same answers, faster or on more data.
"""
