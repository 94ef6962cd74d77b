"""MiniStack with some of its private functions replaced, so that it behaves as AWS does.

MiniStack is pinned. Everything that the project takes from it beyond its command and its environment variables is
listed, with its signature, in `compatibility.INTERFACE`; the other modules hold the replacements, one AWS service each,
and `server` installs them and starts MiniStack.
"""
