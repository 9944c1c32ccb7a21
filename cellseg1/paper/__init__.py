"""The published experiments (arXiv 2412.01410): their data sets, runs, results table and figures.

With the publishers' archives, anyone can repeat the tables and figures with this program and compare them with the
published numbers.  Nothing here imports torch or Qt; the extra ``paper`` installs matplotlib and pyarrow.
"""
