"""Compare model variants by the traffic that they served: log lines in, verdicts out (``modelkit compare-variants``).

`sources` and `cloudwatch` give the texts of a log, `records` reads the lines that the function writes, `arms` adds them
up in bounded memory, `labels` says which answers were right, `inference` has the statistics, and `verdict` the
conclusions, which `text` and `page` show.
"""
