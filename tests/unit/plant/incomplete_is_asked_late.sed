# daemon/core/decide.c decide berth_core
# I2: an incomplete census is believed of what the ledger calls ended.
s/if (!facts->live)/if (!facts->live \&\& facts->standing != STANDING_ENDED)/
s/live_set_has(facts->live, namespace)/(facts->live \&\& live_set_has(facts->live, namespace))/
