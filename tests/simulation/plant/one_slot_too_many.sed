# service/slots.c
# I4: one more than there are.
s/slots->n_slots = settings->ddl_slots;/slots->n_slots = settings->ddl_slots + 1;/
