"""Networks: their weights, how they are tuned, and the features they give.

The only room with torch; its modules are imported by the verbs that need them.
"""
