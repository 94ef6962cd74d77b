"""Shadow test: a sample of what the champion classifies goes to a challenger in a separate function.

`classifier` takes the sample in the classifier function and `sender` sends it after the response; `comparison` is the
shadow function. A deployment without ``shadow`` settings imports none of it.
"""
