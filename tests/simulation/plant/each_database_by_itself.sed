# service/census.c
# R2, per-database detection as in the first seed document: who lives elsewhere is not counted, so that a schema is
# judged by what its drop's own transaction sees, the sessions of its own server.
s/live_report_add(target->census->report, namespace);/(void)namespace;/
