# service/lease_queue.c
# R6: a name is granted while its schemas are being dropped.
s/if (record->lease.forced && lease_is_claimed(leases, record->lease.namespace))/if (false)/
