# core/live_set.c
# I2: some database did not answer, and the rest is taken for the whole.
s/return live_report_incomplete(report) ? NULL : /return /
