"""Step Functions as AWS documents it, where the pinned MiniStack differs: Distributed Map, redrive, names and limits.

`docs/step-functions.md` lists the sentences of the AWS documentation that these modules follow, and the test of each.
Everything but `seam`, `interpreter` and `store` is free of MiniStack.
"""
