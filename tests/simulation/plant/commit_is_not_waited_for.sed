# service/drop_aftermath.c
# R12, P9: a COMMIT without an answer is taken for one that did not happen, before its backend is gone.
s/(answer->question == PG_SESSIONS && has_backend(answer, drop->backend_pid))/false/
s/^static bool has_backend/__attribute__((unused)) &/
