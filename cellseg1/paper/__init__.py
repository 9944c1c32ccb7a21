"""The published experiments (arXiv 2412.01410): their data sets, runs, results table and figures.

Anyone who has the publishers' archives repeats the tables and figures with this program and sees them beside the
published numbers.  Nothing here imports torch or Qt; matplotlib and pyarrow come with the extra ``paper``.
"""
